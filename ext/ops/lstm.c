/* One direction of one layer:
 *
 *     i, f, g, o = W x + b + R h      with peepholes: i += p_i c, f += p_f c, o += p_o c'
 *     c' = s(f) c + s(i) a(g)         i = 1 - s(f) if coupled
 *     h' = s(o) a(c')                 times the projection
 *
 * With layer normalisation every gate's sum is normalised over the units, multiplied by `norm`, and gets b then. */
#include "ops/lstm.h"

#include <string.h>

#define NORM_EPSILON 1e-8 /* of TensorFlow Lite */

typedef struct lstm_state {
  ert_sequence seq;
  ert_matrix input, inner, projection;
  size_t gates;
  bool coupled;
  ert_gate gate, activation, output;
  float clip, cell_clip, projection_clip;
  size_t sums, rest, hidden, product; /* scratch; hidden: what is projected, product: the result */
} lstm_state;

static ert_status check_operands(ert_prepare *p, const ert_op *op, const ert_sequence *seq, size_t gates) {
  const bool real = op->in[ERT_LSTM_X]->dtype == ERT_DTYPE_FLOAT32;
  const int numbers = op->in[ERT_LSTM_X]->dtype, sums = real ? ERT_DTYPE_FLOAT32 : ERT_DTYPE_INT32,
            cells = real ? ERT_DTYPE_FLOAT32 : ERT_DTYPE_INT16;
  const ert_tensor *projection = ert_operand(op, ERT_LSTM_PROJECTION);
  const size_t units = seq->units, out = seq->out;
  const struct {
    int index;
    const char *what;
    int dtype;
    size_t d0, d1;
  } needed[] = {
      {ERT_LSTM_BIAS, "bias", sums, seq->rows, 0},
      {ERT_LSTM_H, "initial h", numbers, seq->batch, out},
      {ERT_LSTM_C, "initial c", cells, seq->batch, units},
      {ERT_LSTM_PEEPHOLE, "peephole", cells, 3, units},
      {ERT_LSTM_PROJECTION, "projection", numbers, out, units},
      {ERT_LSTM_PROJECTION_BIAS, "projection bias", sums, out, 0},
      {ERT_LSTM_NORM, "norm", ERT_DTYPE_FLOAT32, gates, units},
  };
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    ERT_TRY(ert_check_operand(p, ert_operand(op, (uint32_t)needed[i].index), needed[i].what, needed[i].dtype, needed[i].d0,
                              needed[i].d1));
  ERT_REQUIRE(p, projection != NULL || out == units, "recurrent weights have %zu columns, needed %zu", out, units);
  ERT_REQUIRE(p, projection != NULL || ert_operand(op, ERT_LSTM_PROJECTION_BIAS) == NULL,
              "there is a projection bias and no projection");
  ERT_TRY(ert_check_dtype(p, op->out[2], "final cell state", cells));
  const int32_t c[2] = {(int32_t)seq->batch, (int32_t)units};
  ERT_TRY(ert_sequence_outputs(p, op, seq));
  return ert_prepare_shape(p, op->out[2], 2, c);
}

static ert_status read_attributes(ert_prepare *p, const ert_op *op, lstm_state *s) {
  const ert_fb_table attrs = op->attrs;
  const float alpha = ert_lstm_attrs_alpha(attrs), beta = ert_lstm_attrs_beta(attrs);
  ERT_TRY(ert_gate_init(p, "gate", ert_lstm_attrs_gate(attrs), ert_lstm_attrs_gate_alpha(attrs),
                        ert_lstm_attrs_gate_beta(attrs), &s->gate));
  ERT_TRY(ert_gate_init(p, "activation", ert_lstm_attrs_activation(attrs), alpha, beta, &s->activation));
  ERT_TRY(ert_gate_init(p, "output_activation", ert_lstm_attrs_output_activation(attrs), alpha, beta, &s->output));
  s->clip = ert_lstm_attrs_clip(attrs);
  s->cell_clip = ert_lstm_attrs_cell_clip(attrs);
  s->projection_clip = ert_lstm_attrs_projection_clip(attrs);
  ERT_TRY(ert_check_clip(p, "clip", s->clip));
  ERT_TRY(ert_check_clip(p, "cell_clip", s->cell_clip));
  return ert_check_clip(p, "projection_clip", s->projection_clip);
}

static ert_status prepare_float(ert_prepare *p, ert_op *op, lstm_state *s) {
  ert_sequence *seq = &s->seq;
  const bool norm = ert_operand(op, ERT_LSTM_NORM) != NULL;
  const ert_tensor *bias = ert_operand(op, ERT_LSTM_BIAS), *projection = ert_operand(op, ERT_LSTM_PROJECTION);
  const size_t chunk_rows = ert_sequence_chunk_rows(seq), floats = sizeof(float);
  ERT_TRY(read_attributes(p, op, s));
  ERT_TRY(ert_matrix_prepare(p, seq, op->in[ERT_LSTM_WEIGHTS], 0, seq->rows, norm ? NULL : bias, chunk_rows, 0,
                             &s->input));
  ERT_TRY(ert_matrix_prepare(p, seq, op->in[ERT_LSTM_RECURRENT], 0, seq->rows, NULL, seq->batch, 1, &s->inner));
  ERT_TRY(ert_sequence_scratch(p, seq, chunk_rows, seq->rows, floats, &s->sums));
  ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, seq->rows, floats, &s->rest));
  ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, seq->units, floats, &s->hidden));
  ert_matrix_leave(op, &s->input, ERT_LSTM_WEIGHTS, ERT_LSTM_BIAS); /* with a norm the bias is added later */
  ert_matrix_leave(op, &s->inner, ERT_LSTM_RECURRENT, ERT_LSTM_BIAS);
  if (projection != NULL) {
    ERT_TRY(ert_matrix_prepare(p, seq, projection, 0, seq->out, ert_operand(op, ERT_LSTM_PROJECTION_BIAS), seq->batch, 2,
                               &s->projection));
    ert_matrix_leave(op, &s->projection, ERT_LSTM_PROJECTION, ERT_LSTM_PROJECTION_BIAS);
    ERT_TRY(ert_sequence_scratch(p, seq, seq->batch, seq->out, floats, &s->product));
  }
  ert_prepare_scratch(p, seq->scratch_bytes);
  op->kernel = ert_dense_kernel_name(&s->input.dense);
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[ERT_LSTM_X];
  const bool coupled = ert_lstm_attrs_coupled(op->attrs);
  ERT_REQUIRE(p, x->dtype == ERT_DTYPE_FLOAT32 || x->dtype == ERT_DTYPE_INT8, "input is %s, needed float32 or int8",
              ert_dtype_name(x->dtype));
  lstm_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  op->state = s;
  s->coupled = coupled;
  s->gates = coupled ? 3 : 4;
  ERT_TRY(ert_sequence_init(p, op, s->gates, ert_lstm_attrs_batch_major(op->attrs), ert_lstm_attrs_reverse(op->attrs),
                            ert_operand(op, ERT_LSTM_LENGTHS), &s->seq));
  ERT_TRY(check_operands(p, op, &s->seq, s->gates));
  return x->dtype == ERT_DTYPE_INT8 ? ert_lstm_int8_prepare(p, op, &s->seq, coupled) : prepare_float(p, op, s);
}

static float *floats_at(const ert_op *op, size_t offset) { return (float *)(void *)((uint8_t *)op->scratch + offset); }

static void normalise(size_t n, const float *factor, const float *added, float *x) {
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  const double mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
  const double scale = 1.0 / sqrt(squares / (double)n + NORM_EPSILON);
  for (size_t i = 0; i < n; i++)
    x[i] = (float)((x[i] - mean) * scale) * factor[i] + (added != NULL ? added[i] : 0.0f);
}

/* A gate's sum through its peephole, normalisation and function. spare: room for as many numbers as the gate has. */
static void finish(const ert_op *op, const ert_gate *function, size_t part, const float *peephole, const float *c,
                   float *spare, float *x) {
  const lstm_state *s = op->state;
  const ert_fvec_kernel *v = s->seq.fvec;
  const size_t units = s->seq.units;
  const ert_tensor *norm = ert_operand(op, ERT_LSTM_NORM), *bias = ert_operand(op, ERT_LSTM_BIAS);
  if (peephole != NULL) {
    ert_vmul(v, units, peephole, c, spare);
    ert_vadd(v, units, x, spare, x);
  }
  if (norm != NULL)
    normalise(units, (const float *)norm->data + part * units,
              bias != NULL ? (const float *)bias->data + part * units : NULL, x);
  ert_gate_apply(function, v, units, s->clip, x);
}

static void update(const ert_op *op, size_t b, float *gates, float *hidden) {
  const lstm_state *s = op->state;
  const ert_fvec_kernel *v = s->seq.fvec;
  const size_t units = s->seq.units, last = s->gates - 1;
  const ert_tensor *peephole = ert_operand(op, ERT_LSTM_PEEPHOLE);
  const float *p[3] = {NULL, NULL, NULL};
  for (size_t i = 0; peephole != NULL && i < 3; i++) p[i] = (const float *)peephole->data + i * units;
  float *f = gates + (last - 2) * units, *g = f + units, *o = g + units, *c = (float *)op->out[2]->data + b * units;
  finish(op, &s->gate, last - 2, p[1], c, hidden, f);
  finish(op, &s->activation, last - 1, NULL, c, hidden, g);
  if (s->coupled) {
    for (size_t i = 0; i < units; i++) g[i] *= 1.0f - f[i];
  } else {
    finish(op, &s->gate, 0, p[0], c, hidden, gates);
    ert_vmul(v, units, gates, g, g);
  }
  ert_vmul(v, units, f, c, c);
  ert_vadd(v, units, c, g, c);
  if (s->cell_clip > 0.0f) v->clamp(units, c, -s->cell_clip, s->cell_clip, c);
  finish(op, &s->gate, last, p[2], c, hidden, o);
  memcpy(hidden, c, units * sizeof(float));
  ert_gate_apply(&s->output, v, units, 0.0f, hidden);
  ert_vmul(v, units, hidden, o, hidden);
}

static void step(ert_op *op, size_t t, float *sums) {
  const lstm_state *s = op->state;
  const ert_sequence *seq = &s->seq;
  const bool projects = ert_operand(op, ERT_LSTM_PROJECTION) != NULL;
  const size_t rows = seq->rows, out = seq->out;
  float *h = op->out[1]->data, *rest = floats_at(op, s->rest), *hidden = floats_at(op, s->hidden);
  float *product = projects ? floats_at(op, s->product) : hidden;
  ert_matrix_run(op, &s->inner, seq->batch, h, out, rest, rows);
  for (size_t b = 0; b < seq->batch; b++) {
    if (!ert_sequence_active(seq, b, t)) continue;
    float *gates = sums + b * rows;
    ert_vadd(seq->fvec, rows, gates, rest + b * rows, gates);
    update(op, b, gates, hidden + b * seq->units);
  }
  if (projects) ert_matrix_run(op, &s->projection, seq->batch, hidden, seq->units, product, out);
  for (size_t b = 0; b < seq->batch; b++) {
    if (!ert_sequence_active(seq, b, t)) continue;
    float *now = h + b * out;
    memcpy(now, product + b * out, out * sizeof(float));
    if (projects && s->projection_clip > 0.0f)
      seq->fvec->clamp(out, now, -s->projection_clip, s->projection_clip, now);
  }
  ert_sequence_write(seq, op->out[1], t, op->out[0], 0);
}

static ert_status invoke(ert_op *op) {
  if (op->in[ERT_LSTM_X]->dtype == ERT_DTYPE_INT8) return ert_lstm_int8_invoke(op);
  const lstm_state *s = op->state;
  ert_matrix_begin(op, &s->input);
  ert_matrix_begin(op, &s->inner);
  if (ert_operand(op, ERT_LSTM_PROJECTION) != NULL) ert_matrix_begin(op, &s->projection);
  /* Sequences without steps are projected with the others, and what they give is not used. */
  memset(floats_at(op, s->hidden), 0, s->seq.batch * s->seq.units * sizeof(float));
  ert_sequence_begin(op->out[1], ert_operand(op, ERT_LSTM_H), 0);
  ert_sequence_begin(op->out[2], ert_operand(op, ERT_LSTM_C), 0);
  ert_sequence_run(op, &s->seq, &s->input, floats_at(op, s->sums), step);
  ert_sequence_end(&s->seq, op->out[1]);
  ert_sequence_end(&s->seq, op->out[2]);
  return ERT_OK;
}

const ert_op_def ert_op_lstm = {"lstm", 3, 11, 3, prepare, invoke, ERT_TRAIT_PACKS};
