/* What lstm, gru and rnn share: the sizes of one direction of a layer, its matrices, its steps in their order.
 *
 *     ERT_TRY(ert_sequence_init(p, op, 4, batch_major, reverse, &seq));
 *     ERT_TRY(ert_matrix_prepare(p, &seq, w, 0, seq.rows, bias, ert_sequence_chunk_rows(&seq), 0, &input));
 *     ...                                     invoke: ert_sequence_run(op, &seq, &input, sums, step)
 *
 * The products of x with the weights are computed for a chunk of steps at once; the state's own products step by step.
 * The final states' tensors hold the states while the steps run. */
#ifndef ERT_OPS_RECURRENT_H
#define ERT_OPS_RECURRENT_H

#include <math.h>

#include "ops/dense.h"

typedef struct ert_sequence {
  size_t steps, batch, width; /* of x */
  size_t units, rows;         /* rows: of the weights, units for each gate */
  size_t out;                 /* of h and y */
  size_t chunk;               /* steps that are multiplied with the weights at once */
  bool batch_major, reverse;
  const ert_tensor *lengths; /* int32[batch], or NULL */
  const ert_fvec_kernel *fvec;
  size_t scratch_bytes;
} ert_sequence;

/* The operand, or NULL. */
const ert_tensor *ert_operand(const ert_op *op, uint32_t index);
/* Its shape, [d0] (d1 is 0) or [d0, d1], and its type. An absent one passes. */
ert_status ert_check_operand(ert_prepare *p, const ert_tensor *t, const char *what, int dtype, size_t d0, size_t d1);
/* float32 weights: no quantisation to heed. Checks x, the weights [gates * H, I] and the rank of the recurrent ones. */
ert_status ert_sequence_init(ert_prepare *p, const ert_op *op, size_t gates, bool batch_major, bool reverse,
                             const ert_tensor *lengths, ert_sequence *seq);
/* States the shapes of y and h. */
ert_status ert_sequence_outputs(ert_prepare *p, const ert_op *op, const ert_sequence *seq);

/* Scratch of a * b * element bytes; `offset` receives where it begins. The operator asks for seq->scratch_bytes in the end. */
ert_status ert_sequence_scratch(ert_prepare *p, ert_sequence *seq, size_t a, size_t b, size_t element, size_t *offset);

/* Whether sequence b has a step t. */
static inline bool ert_sequence_active(const ert_sequence *seq, size_t b, size_t t) {
  return seq->lengths == NULL || (int64_t)t < ((const int32_t *)seq->lengths->data)[b];
}
/* Row of x or y, in rows. */
static inline size_t ert_sequence_row(const ert_sequence *seq, size_t b, size_t t) {
  return seq->batch_major ? b * seq->steps + t : t * seq->batch + b;
}
static inline size_t ert_sequence_chunk_rows(const ert_sequence *seq) { return seq->chunk * seq->batch; }

/* A state's tensor takes the initial state: `fill` in every byte where there is none. */
void ert_sequence_begin(ert_tensor *state, const ert_tensor *initial, int fill);
/* h of step t to y; zero for sequences that are over. */
void ert_sequence_write(const ert_sequence *seq, const ert_tensor *h, size_t t, ert_tensor *y, int fill);
/* Zero for the final state of sequences without steps. */
void ert_sequence_end(const ert_sequence *seq, ert_tensor *state);

/* Rows times the transposed float32 matrix w[first .. first + n][k], plus bias. Constants are packed once, computed ones
 * at the beginning of every run. */
typedef struct ert_matrix {
  ert_dense dense;
  const ert_tensor *w, *bias; /* bias may be NULL */
  size_t first, n, k, tasks;
  const uint8_t *packed;
  size_t offset; /* scratch of the packed weights where packed is NULL */
} ert_matrix;

/* m: rows that it is usually given. number: tells an operator's matrices apart. */
ert_status ert_matrix_prepare(ert_prepare *p, ert_sequence *seq, const ert_tensor *w, size_t first, size_t n,
                              const ert_tensor *bias, size_t m, unsigned number, ert_matrix *matrix);
/* Says (ert_op.unread) that a matrix which is packed is not read again, where it is operand `w` and its bias, if it has
 * one, operand `bias`. */
void ert_matrix_leave(ert_op *op, const ert_matrix *matrix, uint32_t w, uint32_t bias);
void ert_matrix_begin(const ert_op *op, const ert_matrix *matrix);
void ert_matrix_run(const ert_op *op, const ert_matrix *matrix, size_t m, const float *x, size_t x_stride, float *out,
                    size_t out_stride);

/* A step: sums [batch][rows] hold the products of x. */
typedef void (*ert_step_fn)(ert_op *op, size_t t, float *sums);
void ert_sequence_run(ert_op *op, const ert_sequence *seq, const ert_matrix *input, float *sums, ert_step_fn step);

/* A function of a gate or a state. */
typedef struct ert_gate {
  int function; /* ERT_UNARY_FUNCTION_: SIGMOID, HARD_SIGMOID, TANH, RELU, CLIP */
  float alpha, beta;
} ert_gate;
ert_status ert_gate_init(ert_prepare *p, const char *what, int function, float alpha, float beta, ert_gate *gate);
/* x = function(clamp(x, -clip, clip)); clip 0: not clamped. */
void ert_gate_apply(const ert_gate *gate, const ert_fvec_kernel *v, size_t n, float clip, float *x);
ert_status ert_check_clip(ert_prepare *p, const char *what, float clip);

static inline void ert_vadd(const ert_fvec_kernel *v, size_t n, const float *a, const float *b, float *out) {
  v->binary[ERT_FVEC_ADD][ERT_FVEC_VV](n, a, b, -INFINITY, INFINITY, out);
}
static inline void ert_vmul(const ert_fvec_kernel *v, size_t n, const float *a, const float *b, float *out) {
  v->binary[ERT_FVEC_MUL][ERT_FVEC_VV](n, a, b, -INFINITY, INFINITY, out);
}

#endif
