/* Softmax along one axis.
 *
 * float32: exp(beta * (x - max)) / sum, in float32; elements that lie side by side go to 16 sums in turn, others to one.
 *
 * int8, in integers alone; the output has scale 1/256 and zero point -128:
 *   d_i = max(x) - x_i                               0 .. 255
 *   e_i = exp_table[d_i]                             2^23 * exp(-beta * scale_x * d_i), rounded by the packer
 *   s   = sum of e_i                                 64 bits
 *   y_i = min(floor((512 * e_i + s) / (2 * s)), 255) - 128        256 * e_i / s, rounded, halves up
 * The table starts with 2^23 and no entry is larger: s is at least 2^23 and, as a dimension is below 2^31, s is below 2^54.
 */
#include <math.h>

#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"
#include "ops/rows.h"
#include "ops/softmax_i16.h"

#define ENTRIES 256
#define ONE (1u << 23)

typedef struct softmax_state {
  ert_rows rows;
  float beta;
  const ert_fvec_kernel *fvec;
  uint32_t exp_table[ENTRIES];
  ert_softmax_i16 *i16;
} softmax_state;

static ert_status prepare_int8(ert_prepare *p, ert_op *op, softmax_state *state) {
  const ert_tensor *y = op->out[0];
  ERT_TRY(ert_check_per_tensor(p, op->in[0], "input"));
  ERT_TRY(ert_check_per_tensor(p, y, "output"));
  ERT_REQUIRE(p, y->scales[0] == 1.0f / 256.0f && y->zero_points[0] == -128,
              "output has scale %g and zero point %d, needed 1/256 and -128", (double)y->scales[0],
              (int)y->zero_points[0]);
  const ert_fb_vector table = ert_softmax_attrs_exp_table(op->attrs);
  ERT_REQUIRE(p, table.count == ENTRIES, "exp_table has %u entries, needed %d", (unsigned)table.count, ENTRIES);
  for (uint32_t i = 0; i < ENTRIES; i++) {
    state->exp_table[i] = ert_fb_u32_at(table, i);
    ERT_REQUIRE(p, state->exp_table[i] <= ONE, "entry %u of exp_table is %u, needed at most %u", (unsigned)i,
                (unsigned)state->exp_table[i], ONE);
  }
  ERT_REQUIRE(p, state->exp_table[0] == ONE, "exp_table starts with %u, needed %u", (unsigned)state->exp_table[0], ONE);
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  int axis;
  ERT_REQUIRE(p, x->dtype == ERT_DTYPE_FLOAT32 || x->dtype == ERT_DTYPE_INT8 || x->dtype == ERT_DTYPE_INT16,
              "input is %s, needed float32, int8 or int16", ert_dtype_name(x->dtype));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", x->dtype));
  ERT_TRY(ert_check_axis(p, ert_softmax_attrs_axis(op->attrs), x->rank, &axis));
  softmax_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->rows = ert_rows_of(x, axis);
  state->fvec = ert_fvec_select(ert_prepare_isa(p));
  state->beta = ert_softmax_attrs_beta(op->attrs);
  op->state = state;
  if (x->dtype == ERT_DTYPE_INT16) {
    state->i16 = ert_prepare_alloc(p, sizeof *state->i16);
    if (state->i16 == NULL) return ERT_OUT_OF_MEMORY;
    ERT_TRY(ert_softmax_i16_init(p, op, &state->rows, state->beta, state->i16));
  } else if (x->dtype == ERT_DTYPE_INT8) ERT_TRY(prepare_int8(p, op, state));
  else ERT_REQUIRE(p, isfinite(state->beta), "beta is %g, needed a finite number", (double)state->beta);
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static void row_f32(const softmax_state *s, const float *x, float *y) {
  const size_t step = s->rows.inner, end = s->rows.n * step;
  if (step == 1) {
    const float all = s->fvec->softmax_row(end, x, s->beta, y);
    s->fvec->binary[ERT_FVEC_DIV][ERT_FVEC_VS](end, y, &all, -INFINITY, INFINITY, y);
    return;
  }
  float most = x[0];
  for (size_t i = step; i < end; i += step) most = x[i] > most ? x[i] : most;
  float sum = 0.0f;
  for (size_t i = 0; i < end; i += step) {
    y[i] = expf((x[i] - most) * s->beta);
    sum += y[i];
  }
  for (size_t i = 0; i < end; i += step) y[i] /= sum;
}

static inline int8_t share_i8(uint32_t e, uint64_t sum) {
  const uint64_t share = ((uint64_t)e * 512 + sum) / (2 * sum);
  return (int8_t)((int32_t)(share > 255 ? 255 : share) - 128);
}

/* share_i8 by a multiplication in float64, without a branch. With at most 256 entries s is at most 2^31: a quotient
 * (512 * e + s) / (2 * s) that is no integer lies at least 2^-32 below the next one. The product's error is below
 * 2^-42, so that 2^-36 more reaches every integer that is meant and no other. */
static void short_row_i8(const softmax_state *s, int8_t most, const int8_t *x, int8_t *y) {
  int32_t e[ENTRIES];
  uint32_t sum = 0;
  const size_t n = s->rows.n;
  for (size_t i = 0; i < n; i++) {
    e[i] = (int32_t)s->exp_table[most - x[i]];
    sum += (uint32_t)e[i];
  }
  const double factor = 256.0 / (double)sum, half = 0.5 + 0x1p-36;
  for (size_t i = 0; i < n; i++) {
    const int32_t share = (int32_t)((double)e[i] * factor + half);
    y[i] = (int8_t)((share > 255 ? 255 : share) - 128);
  }
}

static void row_i8(const softmax_state *s, const int8_t *x, int8_t *y) {
  const size_t step = s->rows.inner, end = s->rows.n * step;
  int8_t most = x[0];
  for (size_t i = step; i < end; i += step) most = x[i] > most ? x[i] : most;
  if (step == 1 && s->rows.n <= ENTRIES) {
    short_row_i8(s, most, x, y);
    return;
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < end; i += step) sum += s->exp_table[most - x[i]];
  if (s->rows.n <= ENTRIES) {
    for (size_t i = 0; i < end; i += step) y[i] = share_i8(s->exp_table[most - x[i]], sum);
    return;
  }
  int8_t shares[ENTRIES]; /* a long row: one division for every distance that exists, not for every element */
  for (int d = 0; d < ENTRIES; d++) shares[d] = share_i8(s->exp_table[d], sum);
  for (size_t i = 0; i < end; i += step) y[i] = shares[most - x[i]];
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const softmax_state *s = op->state;
  for (size_t row = begin; row < end; row++) {
    const size_t at = ert_row_start(&s->rows, row);
    if (s->i16 != NULL)
      ert_softmax_i16_row(s->i16, &s->rows, (const int16_t *)op->in[0]->data + at, (int16_t *)op->out[0]->data + at);
    else if (op->in[0]->dtype == ERT_DTYPE_FLOAT32) row_f32(s, (const float *)op->in[0]->data + at, (float *)op->out[0]->data + at);
    else row_i8(s, (const int8_t *)op->in[0]->data + at, (int8_t *)op->out[0]->data + at);
  }
}

static ert_status invoke(ert_op *op) {
  const softmax_state *s = op->state;
  ert_run_chunks(op->pool, s->rows.count, ert_rows_chunk(&s->rows, ERT_CHUNK_COSTLY), run, op);
  return ERT_OK;
}

const ert_op_def ert_op_softmax = {"softmax", 1, 1, 1, prepare, invoke, 0};
