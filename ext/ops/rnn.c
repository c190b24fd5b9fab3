/* h' = f(W x + b + R h), one direction of one layer. */
#include "ops/recurrent.h"

typedef struct rnn_state {
  ert_sequence seq;
  ert_matrix input, inner;
  ert_gate activation;
  float clip;
  size_t sums, rest; /* scratch */
} rnn_state;

enum { X, WEIGHTS, RECURRENT, BIAS, INITIAL, LENGTHS };

static ert_status prepare(ert_prepare *p, ert_op *op) {
  rnn_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  op->state = s;
  ert_sequence *seq = &s->seq;
  ERT_TRY(ert_check_dtype(p, op->in[X], "input", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_sequence_init(p, op, 1, ert_rnn_attrs_batch_major(op->attrs), ert_rnn_attrs_reverse(op->attrs),
                            ert_operand(op, LENGTHS), seq));
  ERT_REQUIRE(p, seq->out == seq->units, "recurrent weights have %zu columns, needed %zu", seq->out, seq->units);
  ERT_TRY(ert_check_operand(p, ert_operand(op, BIAS), "bias", ERT_DTYPE_FLOAT32, seq->units, 0));
  ERT_TRY(ert_check_operand(p, ert_operand(op, INITIAL), "initial state", ERT_DTYPE_FLOAT32, seq->batch, seq->out));
  s->clip = ert_rnn_attrs_clip(op->attrs);
  ERT_TRY(ert_check_clip(p, "clip", s->clip));
  ERT_TRY(ert_gate_init(p, "activation", ert_rnn_attrs_activation(op->attrs), ert_rnn_attrs_alpha(op->attrs),
                        ert_rnn_attrs_beta(op->attrs), &s->activation));
  ERT_TRY(ert_sequence_outputs(p, op, seq));
  ERT_TRY(ert_matrix_prepare(p, seq, op->in[WEIGHTS], 0, seq->rows, ert_operand(op, BIAS), ert_sequence_chunk_rows(seq),
                             0, &s->input));
  ERT_TRY(ert_matrix_prepare(p, seq, op->in[RECURRENT], 0, seq->rows, NULL, seq->batch, 1, &s->inner));
  ERT_TRY(ert_sequence_scratch(p, seq, ert_sequence_chunk_rows(seq), seq->rows, sizeof(float), &s->sums));
  ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, seq->rows, sizeof(float), &s->rest));
  ert_matrix_leave(op, &s->input, WEIGHTS, BIAS);
  ert_matrix_leave(op, &s->inner, RECURRENT, BIAS);
  ert_prepare_scratch(p, seq->scratch_bytes);
  op->kernel = ert_dense_kernel_name(&s->input.dense);
  return ERT_OK;
}

static void step(ert_op *op, size_t t, float *sums) {
  const rnn_state *s = op->state;
  const ert_sequence *seq = &s->seq;
  float *h = op->out[1]->data, *rest = (float *)(void *)((uint8_t *)op->scratch + s->rest);
  ert_matrix_run(op, &s->inner, seq->batch, h, seq->out, rest, seq->rows);
  for (size_t b = 0; b < seq->batch; b++) {
    if (!ert_sequence_active(seq, b, t)) continue;
    float *now = h + b * seq->out;
    ert_vadd(seq->fvec, seq->units, sums + b * seq->rows, rest + b * seq->rows, now);
    ert_gate_apply(&s->activation, seq->fvec, seq->units, s->clip, now);
  }
  ert_sequence_write(seq, op->out[1], t, op->out[0], 0);
}

static ert_status invoke(ert_op *op) {
  const rnn_state *s = op->state;
  ert_matrix_begin(op, &s->input);
  ert_matrix_begin(op, &s->inner);
  ert_sequence_begin(op->out[1], ert_operand(op, INITIAL), 0);
  ert_sequence_run(op, &s->seq, &s->input, (float *)(void *)((uint8_t *)op->scratch + s->sums), step);
  ert_sequence_end(&s->seq, op->out[1]);
  return ERT_OK;
}

const ert_op_def ert_op_rnn = {"rnn", 3, 6, 2, prepare, invoke, ERT_TRAIT_PACKS};
