/* z, r = s(W x + b + R h + rb); h' = z h + (1 - z) n, one direction of one layer. Gates lie in the order z, r, n.
 * n = f(W x + b + r (R h + rb)) if reset_after, otherwise f(W x + b + R (r h) + rb). */
#include "ops/recurrent.h"

typedef struct gru_state {
  ert_sequence seq;
  ert_matrix input, inner; /* inner: of all gates if reset_after, otherwise of z and r */
  ert_matrix last;         /* of n, unless reset_after */
  bool reset_after;
  ert_gate gate, activation;
  float clip;
  size_t sums, rest, kept, new_rest; /* scratch; kept: r h, new_rest: its product */
} gru_state;

enum { X, WEIGHTS, RECURRENT, BIAS, RECURRENT_BIAS, INITIAL, LENGTHS };

static ert_status prepare(ert_prepare *p, ert_op *op) {
  gru_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  op->state = s;
  ert_sequence *seq = &s->seq;
  ERT_TRY(ert_check_dtype(p, op->in[X], "input", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_sequence_init(p, op, 3, ert_gru_attrs_batch_major(op->attrs), ert_gru_attrs_reverse(op->attrs),
                            ert_operand(op, LENGTHS), seq));
  const ert_tensor *r = op->in[RECURRENT], *inner_bias = ert_operand(op, RECURRENT_BIAS);
  ERT_REQUIRE(p, seq->out == seq->units, "recurrent weights have %zu columns, needed %zu", seq->out, seq->units);
  ERT_TRY(ert_check_operand(p, ert_operand(op, BIAS), "bias", ERT_DTYPE_FLOAT32, seq->rows, 0));
  ERT_TRY(ert_check_operand(p, inner_bias, "recurrent bias", ERT_DTYPE_FLOAT32, seq->rows, 0));
  ERT_TRY(ert_check_operand(p, ert_operand(op, INITIAL), "initial state", ERT_DTYPE_FLOAT32, seq->batch, seq->out));
  s->clip = ert_gru_attrs_clip(op->attrs);
  s->reset_after = ert_gru_attrs_reset_after(op->attrs);
  ERT_TRY(ert_check_clip(p, "clip", s->clip));
  ERT_TRY(ert_gate_init(p, "gate", ert_gru_attrs_gate(op->attrs), ert_gru_attrs_gate_alpha(op->attrs),
                        ert_gru_attrs_gate_beta(op->attrs), &s->gate));
  ERT_TRY(ert_gate_init(p, "activation", ert_gru_attrs_activation(op->attrs), ert_gru_attrs_alpha(op->attrs),
                        ert_gru_attrs_beta(op->attrs), &s->activation));
  ERT_TRY(ert_sequence_outputs(p, op, seq));

  const size_t h = seq->units, at_once = s->reset_after ? 3 * h : 2 * h;
  ERT_TRY(ert_matrix_prepare(p, seq, op->in[WEIGHTS], 0, seq->rows, ert_operand(op, BIAS), ert_sequence_chunk_rows(seq),
                             0, &s->input));
  ERT_TRY(ert_matrix_prepare(p, seq, r, 0, at_once, inner_bias, seq->batch, 1, &s->inner));
  if (!s->reset_after) {
    ERT_TRY(ert_matrix_prepare(p, seq, r, 2 * h, h, inner_bias, seq->batch, 2, &s->last));
    ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, h, sizeof(float), &s->kept));
    ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, h, sizeof(float), &s->new_rest));
  }
  ERT_TRY(ert_sequence_scratch(p, seq, ert_sequence_chunk_rows(seq), seq->rows, sizeof(float), &s->sums));
  ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, at_once, sizeof(float), &s->rest));
  ert_matrix_leave(op, &s->input, WEIGHTS, BIAS);
  ert_matrix_leave(op, &s->inner, RECURRENT, RECURRENT_BIAS); /* and s->last, which has the same operands */
  ert_prepare_scratch(p, seq->scratch_bytes);
  op->kernel = ert_dense_kernel_name(&s->input.dense);
  return ERT_OK;
}

static float *floats_at(const ert_op *op, size_t offset) { return (float *)(void *)((uint8_t *)op->scratch + offset); }

/* The functions run over all rows, those of sequences that are over too: their sums are numbers like others. */
static void step(ert_op *op, size_t t, float *sums) {
  const gru_state *s = op->state;
  const ert_sequence *seq = &s->seq;
  const ert_fvec_kernel *v = seq->fvec;
  const size_t units = seq->units, at_once = s->inner.n;
  float *h = op->out[1]->data, *rest = floats_at(op, s->rest), *kept = floats_at(op, s->kept);
  ert_matrix_run(op, &s->inner, seq->batch, h, units, rest, at_once);
  for (size_t b = 0; b < seq->batch; b++) {
    float *gates = sums + b * seq->rows, *r = gates + units;
    ert_vadd(v, 2 * units, gates, rest + b * at_once, gates);
    ert_gate_apply(&s->gate, v, 2 * units, s->clip, gates);
    if (s->reset_after) ert_vmul(v, units, r, rest + b * at_once + 2 * units, r);
    else ert_vmul(v, units, r, h + b * units, kept + b * units);
  }
  const float *added = sums + units;
  size_t stride = seq->rows;
  if (!s->reset_after) {
    ert_matrix_run(op, &s->last, seq->batch, kept, units, floats_at(op, s->new_rest), units);
    added = floats_at(op, s->new_rest);
    stride = units;
  }
  for (size_t b = 0; b < seq->batch; b++) {
    if (!ert_sequence_active(seq, b, t)) continue;
    float *z = sums + b * seq->rows, *n = z + 2 * units, *now = h + b * units;
    ert_vadd(v, units, n, added + b * stride, n);
    ert_gate_apply(&s->activation, v, units, s->clip, n);
    for (size_t i = 0; i < units; i++) now[i] = z[i] * now[i] + (1.0f - z[i]) * n[i];
  }
  ert_sequence_write(seq, op->out[1], t, op->out[0], 0);
}

static ert_status invoke(ert_op *op) {
  const gru_state *s = op->state;
  ert_matrix_begin(op, &s->input);
  ert_matrix_begin(op, &s->inner);
  if (!s->reset_after) ert_matrix_begin(op, &s->last);
  ert_sequence_begin(op->out[1], ert_operand(op, INITIAL), 0);
  ert_sequence_run(op, &s->seq, &s->input, floats_at(op, s->sums), step);
  ert_sequence_end(&s->seq, op->out[1]);
  return ERT_OK;
}

const ert_op_def ert_op_gru = {"gru", 3, 7, 2, prepare, invoke, ERT_TRAIT_PACKS};
