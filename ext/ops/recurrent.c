#include "ops/recurrent.h"

#include <string.h>

#include "ops/packing.h"

#define CHUNK_ROWS 64 /* rows of x that a product takes at once: enough to use the packed weights again from a cache */
#define CHUNK_STEPS 8

static const ptrdiff_t no_offset[1] = {0};
static const ert_output_rule plain = {.lo_f32 = -INFINITY, .hi_f32 = INFINITY};

/* --- sizes --- */

const ert_tensor *ert_operand(const ert_op *op, uint32_t index) { return index < op->in_count ? op->in[index] : NULL; }

ert_status ert_check_operand(ert_prepare *p, const ert_tensor *t, const char *what, int dtype, size_t d0, size_t d1) {
  if (t == NULL) return ERT_OK;
  ERT_TRY(ert_check_dtype(p, t, what, dtype));
  ERT_TRY(ert_check_rank(p, t, what, d1 == 0 ? 1 : 2));
  ERT_REQUIRE(p, (size_t)t->dims[0] == d0 && (d1 == 0 || (size_t)t->dims[1] == d1),
              "%s has the shape [%d, %d], needed [%zu, %zu] (0: no dimension)", what, (int)t->dims[0],
              d1 == 0 ? 0 : (int)t->dims[1], d0, d1);
  return ERT_OK;
}

ert_status ert_sequence_init(ert_prepare *p, const ert_op *op, size_t gates, bool batch_major, bool reverse,
                             const ert_tensor *lengths, ert_sequence *seq) {
  const ert_tensor *x = op->in[0], *w = op->in[1], *r = op->in[2];
  ERT_TRY(ert_check_rank(p, x, "input", 3));
  ERT_TRY(ert_check_rank(p, w, "weights", 2));
  ERT_TRY(ert_check_rank(p, r, "recurrent weights", 2));
  ERT_REQUIRE(p, x->elements > 0 && w->elements > 0 && r->elements > 0, "an operand is empty");
  *seq = (ert_sequence){
      .steps = (size_t)x->dims[batch_major ? 1 : 0], .batch = (size_t)x->dims[batch_major ? 0 : 1],
      .width = (size_t)x->dims[2], .rows = (size_t)w->dims[0], .out = (size_t)r->dims[1],
      .batch_major = batch_major, .reverse = reverse, .lengths = lengths, .fvec = ert_fvec_select(ert_prepare_isa(p)),
  };
  ERT_REQUIRE(p, seq->rows % gates == 0, "weights have %zu rows, needed a multiple of %zu", seq->rows, gates);
  seq->units = seq->rows / gates;
  const size_t chunk = ert_max_size(CHUNK_ROWS / seq->batch, CHUNK_STEPS);
  seq->chunk = ert_min_size(chunk, seq->steps);
  ERT_TRY(ert_check_operand(p, w, "weights", x->dtype, seq->rows, seq->width));
  ERT_TRY(ert_check_operand(p, r, "recurrent weights", x->dtype, seq->rows, seq->out));
  return ert_check_operand(p, lengths, "lengths", ERT_DTYPE_INT32, seq->batch, 0);
}

ert_status ert_sequence_outputs(ert_prepare *p, const ert_op *op, const ert_sequence *seq) {
  const ert_tensor *x = op->in[0];
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", x->dtype));
  ERT_TRY(ert_check_dtype(p, op->out[1], "final state", x->dtype));
  const int32_t y[3] = {x->dims[0], x->dims[1], (int32_t)seq->out};
  const int32_t h[2] = {(int32_t)seq->batch, (int32_t)seq->out};
  ERT_TRY(ert_prepare_shape(p, op->out[0], 3, y));
  return ert_prepare_shape(p, op->out[1], 2, h);
}

ert_status ert_sequence_scratch(ert_prepare *p, ert_sequence *seq, size_t a, size_t b, size_t element, size_t *offset) {
  size_t bytes;
  *offset = seq->scratch_bytes;
  ERT_REQUIRE(p, ert_mul(a, b, &bytes) && ert_mul(bytes, element, &bytes) && bytes <= PTRDIFF_MAX / 2 &&
                     ert_add(seq->scratch_bytes, ert_round_up(bytes, ERT_ALIGN), &seq->scratch_bytes),
              "%zu times %zu numbers are too many to work on", a, b);
  return ERT_OK;
}

/* --- states --- */

void ert_sequence_begin(ert_tensor *state, const ert_tensor *initial, int fill) {
  if (initial != NULL) memcpy(state->data, initial->data, state->bytes);
  else memset(state->data, fill, state->bytes);
}

void ert_sequence_write(const ert_sequence *seq, const ert_tensor *h, size_t t, ert_tensor *y, int fill) {
  const size_t bytes = h->bytes / seq->batch;
  for (size_t b = 0; b < seq->batch; b++) {
    uint8_t *to = (uint8_t *)y->data + ert_sequence_row(seq, b, t) * bytes;
    if (ert_sequence_active(seq, b, t)) memcpy(to, (const uint8_t *)h->data + b * bytes, bytes);
    else memset(to, fill, bytes);
  }
}

void ert_sequence_end(const ert_sequence *seq, ert_tensor *state) {
  const size_t bytes = state->bytes / seq->batch;
  for (size_t b = 0; b < seq->batch; b++)
    if (!ert_sequence_active(seq, b, 0)) memset((uint8_t *)state->data + b * bytes, 0, bytes);
}

/* --- matrices --- */

static ert_status pack_matrix(const void *context, void *packed) {
  const ert_matrix *matrix = context;
  const float *bias = matrix->bias != NULL ? (const float *)matrix->bias->data + matrix->first : NULL;
  ert_dense_pack(&matrix->dense, 0, matrix->n, (const float *)matrix->w->data + matrix->first * matrix->k, bias, packed);
  return ERT_OK;
}

ert_status ert_matrix_prepare(ert_prepare *p, ert_sequence *seq, const ert_tensor *w, size_t first, size_t n,
                              const ert_tensor *bias, size_t m, unsigned number, ert_matrix *matrix) {
  *matrix = (ert_matrix){.w = w, .bias = bias, .first = first, .n = n, .k = (size_t)w->dims[1]};
  ert_dense *dense = &matrix->dense;
  ERT_TRY(ert_dense_init(p, dense, &plain, m, n, 1, matrix->k, no_offset));
  const size_t blocks = (n + dense->nr - 1) / dense->nr;
  matrix->tasks = ert_min_size(ert_dense_choose_split(dense, m, ert_prepare_threads(p)).tasks, blocks);
  if (w->kind != ERT_TENSOR_KIND_CONSTANT || (bias != NULL && bias->kind != ERT_TENSOR_KIND_CONSTANT))
    return ert_sequence_scratch(p, seq, dense->packed_bytes, 1, 1, &matrix->offset);
  ert_packing packing = ert_dense_packing(dense, 1, n, dense->packed_bytes);
  packing.pack = pack_matrix;
  packing.context = matrix;
  packing.source += number;
  const void *packed;
  ERT_TRY(ert_prepare_packed(p, &packing, &packed));
  matrix->packed = packed;
  return ERT_OK;
}

void ert_matrix_leave(ert_op *op, const ert_matrix *matrix, uint32_t w, uint32_t bias) {
  if (matrix->packed == NULL) return;
  op->unread |= 1u << w;
  if (matrix->bias != NULL) op->unread |= 1u << bias;
}

void ert_matrix_begin(const ert_op *op, const ert_matrix *matrix) {
  if (matrix->packed == NULL) pack_matrix(matrix, (uint8_t *)op->scratch + matrix->offset);
}

typedef struct matrix_run {
  const ert_matrix *matrix;
  const uint8_t *packed;
  size_t m, x_stride, out_stride;
  const float *x;
  float *out;
} matrix_run;

static void matrix_task(void *arg, size_t task) {
  const matrix_run *run = arg;
  const ert_matrix *matrix = run->matrix;
  const ert_dense *dense = &matrix->dense;
  size_t begin, end;
  ert_split(matrix->n, dense->nr, matrix->tasks, task, &begin, &end);
  ert_dense_rows rows;
  for (size_t row = 0; row < run->m; row += dense->row_chunk) {
    const size_t m = ert_min_size(dense->row_chunk, run->m - row);
    for (size_t i = 0; i < m; i++) rows.f32[i] = run->x + (row + i) * run->x_stride;
    ert_dense_run(dense, run->packed + begin / dense->nr * dense->block_bytes, end - begin, m, &rows,
                  run->out + row * run->out_stride + begin, run->out_stride);
  }
}

void ert_matrix_run(const ert_op *op, const ert_matrix *matrix, size_t m, const float *x, size_t x_stride, float *out,
                    size_t out_stride) {
  const uint8_t *packed = matrix->packed != NULL ? matrix->packed : (const uint8_t *)op->scratch + matrix->offset;
  matrix_run run = {matrix, packed, m, x_stride, out_stride, x, out};
  ert_pool_run(op->pool, matrix->tasks, matrix_task, &run);
}

/* --- steps --- */

void ert_sequence_run(ert_op *op, const ert_sequence *seq, const ert_matrix *input, float *sums, ert_step_fn step) {
  const float *x = op->in[0]->data;
  for (size_t done = 0; done < seq->steps;) {
    const size_t count = ert_min_size(seq->chunk, seq->steps - done);
    const size_t first = seq->reverse ? seq->steps - done - count : done;
    if (seq->batch_major && seq->batch > 1) {
      for (size_t b = 0; b < seq->batch; b++)
        ert_matrix_run(op, input, count, x + (b * seq->steps + first) * seq->width, seq->width, sums + b * seq->rows,
                       seq->batch * seq->rows);
    } else {
      ert_matrix_run(op, input, count * seq->batch, x + first * seq->batch * seq->width, seq->width, sums, seq->rows);
    }
    for (size_t i = 0; i < count; i++) {
      const size_t at = seq->reverse ? count - 1 - i : i;
      step(op, first + at, sums + at * seq->batch * seq->rows);
    }
    done += count;
  }
}

/* --- functions --- */

ert_status ert_gate_init(ert_prepare *p, const char *what, int function, float alpha, float beta, ert_gate *gate) {
  switch (function) {
    case ERT_UNARY_FUNCTION_SIGMOID:
    case ERT_UNARY_FUNCTION_TANH:
    case ERT_UNARY_FUNCTION_RELU: break;
    case ERT_UNARY_FUNCTION_CLIP:
      ERT_REQUIRE(p, alpha <= beta, "%s clips to [%g, %g]", what, (double)alpha, (double)beta);
      break;
    case ERT_UNARY_FUNCTION_HARD_SIGMOID:
      ERT_REQUIRE(p, isfinite(alpha) && isfinite(beta), "%s has alpha %g and beta %g, needed finite numbers", what,
                  (double)alpha, (double)beta);
      break;
    default: return ert_prepare_fail(p, "%s is function %d, which recurrent layers do not have", what, function);
  }
  *gate = (ert_gate){function, alpha, beta};
  return ERT_OK;
}

void ert_gate_apply(const ert_gate *gate, const ert_fvec_kernel *v, size_t n, float clip, float *x) {
  if (clip > 0.0f) v->clamp(n, x, -clip, clip, x);
  switch (gate->function) {
    case ERT_UNARY_FUNCTION_SIGMOID: v->unary[ERT_FVEC_SIGMOID](n, x, x); break;
    case ERT_UNARY_FUNCTION_TANH: v->unary[ERT_FVEC_TANH](n, x, x); break;
    case ERT_UNARY_FUNCTION_RELU: v->clamp(n, x, 0.0f, INFINITY, x); break;
    case ERT_UNARY_FUNCTION_CLIP: v->clamp(n, x, gate->alpha, gate->beta, x); break;
    default: /* HARD_SIGMOID */
      v->binary[ERT_FVEC_MUL][ERT_FVEC_VS](n, x, &gate->alpha, -INFINITY, INFINITY, x);
      v->binary[ERT_FVEC_ADD][ERT_FVEC_VS](n, x, &gate->beta, 0.0f, 1.0f, x);
  }
}

ert_status ert_check_clip(ert_prepare *p, const char *what, float clip) {
  ERT_REQUIRE(p, clip >= 0.0f, "%s is %g, needed 0 or a positive number", what, (double)clip);
  return ERT_OK;
}
