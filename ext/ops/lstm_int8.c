/* The int8 lstm: TensorFlow Lite's 8x8_16 form, bit for bit (lstm_eval.cc, LstmStepInteger). x and h are int8, c is int16
 * at a power of two, gates are int16: at 2^-12 before their function and at 2^-15 after it. W x and R h are each brought
 * to 2^-12, rounded and saturated, and added with saturation. */
#include <math.h>
#include <string.h>

#include "ops/gemmlowp.h"
#include "ops/lstm.h"
#include "requant/fixed_point.h"

#define LARGEST_WIDTH (1 << 16) /* products of int8 that an int32 holds the sum of */
#define GATE_SCALE 0x1p-12f
#define UNIT_SCALE 0x1p-15

typedef struct int8_matrix {
  const int8_t *w;  /* [rows][k] */
  int32_t *offset;  /* of every row: bias - zero point of the other operand * sum of the row */
  ert_fixed ratio[4]; /* of every gate */
  size_t rows, k;
} int8_matrix;

typedef struct int8_state {
  ert_sequence seq;
  size_t gates;
  bool coupled;
  int8_matrix input, inner, projection;
  const int16_t *peephole; /* [3][units], or NULL */
  ert_fixed peephole_ratio[3], hidden_ratio;
  int32_t hidden_zero, out_zero;
  int cell_bits;                   /* integer bits of c */
  int32_t cell_limit, out_limit;   /* 0: not clipped */
  size_t sums, hidden;             /* scratch */
} int8_state;

static ert_status ratio_of(ert_prepare *p, const char *what, double real, ert_fixed *ratio) {
  ERT_REQUIRE(p, isfinite(real) && real < ldexp(1.0, ERT_FIXED_SHIFT_32), "%s is rescaled by %g, needed less than 2^%d",
              what, real, ERT_FIXED_SHIFT_32);
  *ratio = ert_fixed_of(real);
  return ERT_OK;
}

/* The scale of each of `count` equal groups of rows. */
static ert_status group_scales(ert_prepare *p, const ert_tensor *t, const char *what, size_t count, float *scales) {
  const size_t rows = (size_t)t->dims[0], each = rows / count;
  ERT_REQUIRE(p, t->quant_count == 1 || (t->quant_count == rows && t->quant_axis == 0),
              "%s has %u scales along axis %d, needed 1, or %zu along axis 0", what, (unsigned)t->quant_count,
              (int)t->quant_axis, rows);
  for (size_t i = 0; i < t->quant_count; i++) {
    const size_t group = i / each;
    ERT_REQUIRE(p, t->zero_points[i] == 0, "%s has zero point %d, needed 0", what, (int)t->zero_points[i]);
    ERT_REQUIRE(p, t->quant_count == 1 || t->scales[i] == t->scales[group * each],
                "%s of one gate have different scales, needed one", what);
  }
  for (size_t group = 0; group < count; group++) scales[group] = t->scales[t->quant_count == 1 ? 0 : group * each];
  return ERT_OK;
}

static ert_status prepare_matrix(ert_prepare *p, const ert_tensor *w, const char *what, const ert_tensor *bias, int32_t zero,
                                 float scale_x, float scale_y, size_t count, int8_matrix *matrix) {
  ERT_TRY(ert_check_constant(p, w, what));
  if (bias != NULL) ERT_TRY(ert_check_constant(p, bias, "bias"));
  float scales[4];
  ERT_TRY(group_scales(p, w, what, count, scales));
  for (size_t i = 0; i < count; i++) ERT_TRY(ratio_of(p, what, scale_x * scales[i] / scale_y, &matrix->ratio[i]));
  matrix->w = w->data;
  matrix->rows = (size_t)w->dims[0];
  matrix->k = (size_t)w->dims[1];
  ERT_REQUIRE(p, matrix->k <= LARGEST_WIDTH, "%s has %zu columns, needed at most %d", what, matrix->k, LARGEST_WIDTH);
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(matrix->rows, sizeof(int32_t), &bytes), "%zu rows are too many", matrix->rows);
  if ((matrix->offset = ert_prepare_alloc(p, bytes)) == NULL) return ERT_OUT_OF_MEMORY;
  for (size_t row = 0; row < matrix->rows; row++) {
    uint32_t sum = 0;
    for (size_t i = 0; i < matrix->k; i++) sum += (uint32_t)(int32_t)matrix->w[row * matrix->k + i];
    const uint32_t added = bias != NULL ? (uint32_t)((const int32_t *)bias->data)[row] : 0;
    matrix->offset[row] = (int32_t)(added - (uint32_t)zero * sum);
  }
  return ERT_OK;
}

/* What float attributes mean in steps of a scale, at most `most`; 0 for no clip. */
static int32_t limit_of(float clip, float scale, float most) { return (int32_t)fminf(clip / scale, most); }

static ert_status check_form(ert_prepare *p, const ert_op *op) {
  const ert_fb_table attrs = op->attrs;
  ERT_REQUIRE(p, ert_operand(op, ERT_LSTM_LENGTHS) == NULL && ert_operand(op, ERT_LSTM_NORM) == NULL,
              "int8 with lengths or layer normalisation, needed float32");
  ERT_REQUIRE(p, ert_lstm_attrs_gate(attrs) == ERT_UNARY_FUNCTION_SIGMOID &&
                     ert_lstm_attrs_activation(attrs) == ERT_UNARY_FUNCTION_TANH &&
                     ert_lstm_attrs_output_activation(attrs) == ERT_UNARY_FUNCTION_TANH && ert_lstm_attrs_clip(attrs) == 0.0f,
              "int8 with other functions than sigmoid and tanh, or with their input clipped, needed float32");
  ERT_TRY(ert_check_clip(p, "cell_clip", ert_lstm_attrs_cell_clip(attrs)));
  return ert_check_clip(p, "projection_clip", ert_lstm_attrs_projection_clip(attrs));
}

/* Scales of x, h and c; initial states have those of the final ones. */
static ert_status check_scales(ert_prepare *p, const ert_op *op, int *cell_bits) {
  const ert_tensor *c = op->out[2], *h0 = ert_operand(op, ERT_LSTM_H), *c0 = ert_operand(op, ERT_LSTM_C);
  ERT_TRY(ert_check_per_tensor(p, op->in[ERT_LSTM_X], "input"));
  ERT_TRY(ert_check_per_tensor(p, op->out[0], "output"));
  ERT_TRY(ert_check_per_tensor(p, c, "cell state"));
  ERT_REQUIRE(p, ert_same_quant(op->out[0], op->out[1]), "output and final state differ in quantisation");
  ERT_REQUIRE(p, h0 == NULL || ert_same_quant(h0, op->out[0]), "initial h and output differ in quantisation");
  ERT_REQUIRE(p, c0 == NULL || ert_same_quant(c0, c), "initial and final c differ in quantisation");
  int exponent;
  const float fraction = frexpf(c->scales[0], &exponent);
  ERT_REQUIRE(p, fraction == 0.5f && exponent >= -14 && exponent <= -8 && c->zero_points[0] == 0,
              "cell state has scale %g and zero point %d, needed a power of two from 2^-15 to 2^-9 and 0",
              (double)c->scales[0], (int)c->zero_points[0]);
  *cell_bits = exponent + 14;
  return ERT_OK;
}

static ert_status prepare_peephole(ert_prepare *p, const ert_op *op, float cell_scale, int8_state *s) {
  const ert_tensor *peephole = ert_operand(op, ERT_LSTM_PEEPHOLE);
  if (peephole == NULL) return ERT_OK;
  float scales[3];
  ERT_TRY(ert_check_constant(p, peephole, "peephole"));
  ERT_TRY(group_scales(p, peephole, "peephole", 3, scales));
  for (int i = 0; i < 3; i++)
    ERT_TRY(ratio_of(p, "peephole", (float)((double)cell_scale * scales[i] / GATE_SCALE), &s->peephole_ratio[i]));
  s->peephole = peephole->data;
  return ERT_OK;
}

ert_status ert_lstm_int8_prepare(ert_prepare *p, ert_op *op, const ert_sequence *seq, bool coupled) {
  int8_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  ERT_TRY(ert_prepare_constants(p));
  op->state = s;
  s->seq = *seq;
  s->coupled = coupled;
  s->gates = coupled ? 3 : 4;
  ERT_TRY(check_form(p, op));
  ERT_TRY(check_scales(p, op, &s->cell_bits));
  const ert_tensor *x = op->in[ERT_LSTM_X], *y = op->out[0], *projection = ert_operand(op, ERT_LSTM_PROJECTION);
  const float y_scale = y->scales[0], cell_scale = op->out[2]->scales[0];
  const float hidden_scale = ert_lstm_attrs_hidden_scale(op->attrs);
  ERT_REQUIRE(p, isfinite(hidden_scale) && hidden_scale > 0.0f, "hidden_scale is %g, needed a positive number",
              (double)hidden_scale);
  s->hidden_zero = ert_lstm_attrs_hidden_zero_point(op->attrs);
  ERT_REQUIRE(p, s->hidden_zero >= -128 && s->hidden_zero <= 128, "hidden_zero_point is %d, needed -128 to 128",
              (int)s->hidden_zero); /* 128: TensorFlow Lite has the negative of what it means */
  ERT_TRY(ratio_of(p, "hidden", (float)(UNIT_SCALE / (double)hidden_scale * UNIT_SCALE), &s->hidden_ratio));
  ERT_TRY(prepare_matrix(p, op->in[ERT_LSTM_WEIGHTS], "weights", ert_operand(op, ERT_LSTM_BIAS), x->zero_points[0],
                         x->scales[0], GATE_SCALE, s->gates, &s->input));
  ERT_TRY(prepare_matrix(p, op->in[ERT_LSTM_RECURRENT], "recurrent weights", NULL, y->zero_points[0], y_scale, GATE_SCALE,
                         s->gates, &s->inner));
  if (projection != NULL)
    ERT_TRY(prepare_matrix(p, projection, "projection", ert_operand(op, ERT_LSTM_PROJECTION_BIAS), s->hidden_zero,
                           hidden_scale, y_scale, 1, &s->projection));
  ERT_TRY(prepare_peephole(p, op, cell_scale, s));
  s->out_zero = y->zero_points[0];
  s->cell_limit = limit_of(ert_lstm_attrs_cell_clip(op->attrs), cell_scale, 32767.0f);
  s->out_limit = limit_of(ert_lstm_attrs_projection_clip(op->attrs), y_scale, 127.0f);
  s->seq.scratch_bytes = 0;
  ERT_TRY(ert_sequence_scratch(p, &s->seq, seq->rows, 1, sizeof(int16_t), &s->sums));
  ERT_TRY(ert_sequence_scratch(p, &s->seq, seq->units, 1, 1, &s->hidden));
  ert_prepare_scratch(p, s->seq.scratch_bytes);
  return ERT_OK;
}

static int32_t row_sum(const int8_matrix *matrix, size_t row, const int8_t *x) {
  const int8_t *w = matrix->w + row * matrix->k;
  int32_t sum = 0; /* k products of at most 2^14 */
  for (size_t i = 0; i < matrix->k; i++) sum += (int32_t)w[i] * x[i];
  return (int32_t)((uint32_t)sum + (uint32_t)matrix->offset[row]);
}

static void add_peephole(const int8_state *s, size_t part, const int16_t *c, int16_t *sums) {
  if (s->peephole == NULL) return;
  const int16_t *p = s->peephole + part * s->seq.units;
  for (size_t i = 0; i < s->seq.units; i++)
    sums[i] = (int16_t)ert_gl_sat16(sums[i] + ert_rescale_32((int32_t)p[i] * c[i], s->peephole_ratio[part]));
}

static void sigmoids(size_t n, int16_t *x) {
  for (size_t i = 0; i < n; i++) x[i] = (int16_t)ert_gl_sigmoid(x[i]);
}

static void step(const int8_state *s, const int8_t *x, int8_t *h, int16_t *c, int16_t *sums, int8_t *hidden) {
  const size_t units = s->seq.units, last = s->gates - 1;
  for (size_t row = 0; row < s->seq.rows; row++) {
    const size_t part = row / units;
    const int32_t first = ert_gl_sat16(ert_rescale_32(row_sum(&s->input, row, x), s->input.ratio[part]));
    const int32_t second = ert_rescale_32(row_sum(&s->inner, row, h), s->inner.ratio[part]);
    sums[row] = (int16_t)ert_gl_sat16(first + ert_gl_clamp(second, -(1 << 20), 1 << 20));
  }
  int16_t *f = sums + (last - 2) * units, *g = f + units, *o = g + units;
  add_peephole(s, 1, c, f);
  sigmoids(units, f);
  if (!s->coupled) {
    add_peephole(s, 0, c, sums);
    sigmoids(units, sums);
  }
  for (size_t i = 0; i < units; i++) {
    const int32_t in = s->coupled ? ERT_GL_ONE - f[i] : sums[i];
    const int32_t kept = ert_gl_shift_right((int32_t)f[i] * c[i], 15);
    const int32_t added = ert_gl_shift_right(in * ert_gl_tanh(g[i], 3), 15 + s->cell_bits);
    const int32_t now = ert_gl_sat16(kept + added);
    c[i] = (int16_t)(s->cell_limit > 0 ? ert_gl_clamp(now, -s->cell_limit, s->cell_limit) : now);
  }
  add_peephole(s, 2, c, o);
  sigmoids(units, o);
  int8_t *made = s->projection.w != NULL ? hidden : h;
  for (size_t i = 0; i < units; i++) {
    const int32_t scaled = ert_rescale_32((int32_t)o[i] * ert_gl_tanh(c[i], s->cell_bits), s->hidden_ratio);
    made[i] = (int8_t)ert_gl_clamp(ert_gl_sat16(scaled) + s->hidden_zero, -128, 127);
  }
  for (size_t row = 0; row < s->projection.rows; row++) {
    const int32_t scaled = ert_gl_sat16(ert_rescale_32(row_sum(&s->projection, row, hidden), s->projection.ratio[0]));
    const int32_t now = ert_gl_clamp(scaled + s->out_zero, -128, 127);
    h[row] = (int8_t)(s->out_limit > 0 ? ert_gl_clamp(now, -s->out_limit, s->out_limit) : now);
  }
}

ert_status ert_lstm_int8_invoke(ert_op *op) {
  const int8_state *s = op->state;
  const ert_sequence *seq = &s->seq;
  int16_t *sums = (int16_t *)(void *)((uint8_t *)op->scratch + s->sums);
  int8_t *hidden = (int8_t *)op->scratch + s->hidden;
  ert_sequence_begin(op->out[1], ert_operand(op, ERT_LSTM_H), s->out_zero);
  ert_sequence_begin(op->out[2], ert_operand(op, ERT_LSTM_C), 0);
  for (size_t i = 0; i < seq->steps; i++) {
    const size_t t = seq->reverse ? seq->steps - 1 - i : i;
    for (size_t b = 0; b < seq->batch; b++) {
      const int8_t *x = (const int8_t *)op->in[ERT_LSTM_X]->data + ert_sequence_row(seq, b, t) * seq->width;
      step(s, x, (int8_t *)op->out[1]->data + b * seq->out, (int16_t *)op->out[2]->data + b * seq->units, sums, hidden);
    }
    ert_sequence_write(seq, op->out[1], t, op->out[0], 0);
  }
  return ERT_OK;
}
