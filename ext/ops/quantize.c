/* q = clamp(rne(x / scale) + zero_point): float32 to int8, uint8 or int16. NaN gives the zero point.
 * int8 to uint8 and back with equal scales and zero points 128 apart: the same number under another name (q xor 128),
 * for models whose inputs and outputs are uint8.
 * int8, int16 and int32 to each other: the 32-bit rescaling of requant/fixed_point.h; from int8 to int16 by a table.
 * int8 to int8 (a change of scale) exists in the toolchain alone, which turns it into a lut. */
#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"
#include "ops/rule_i16.h"

typedef struct quantize_state {
  const ert_fvec_kernel *vectors;
  float scale;
  int32_t zero_point;
  float lo, hi; /* of the output type, less the zero point */
  ert_fixed fixed; /* integers to integers */
  int32_t zero_x;
  int16_t *table; /* int8 to int16: of every q + 128 */
} quantize_state;

static bool is_byte(const ert_tensor *t) { return t->dtype == ERT_DTYPE_INT8 || t->dtype == ERT_DTYPE_UINT8; }

static ert_status prepare_shift(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_REQUIRE(p, is_byte(y) && y->dtype != x->dtype, "from %s to %s, needed int8 to uint8 or uint8 to int8",
              ert_dtype_name(x->dtype), ert_dtype_name(y->dtype));
  ERT_TRY(ert_check_per_tensor(p, x, "input"));
  ERT_TRY(ert_check_per_tensor(p, y, "output"));
  const int32_t shift = x->dtype == ERT_DTYPE_INT8 ? 128 : -128;
  ERT_REQUIRE(p, x->scales[0] == y->scales[0] && y->zero_points[0] - x->zero_points[0] == shift,
              "scales are %g and %g and zero points %d and %d, needed equal scales and zero points 128 apart",
              (double)x->scales[0], (double)y->scales[0], (int)x->zero_points[0], (int)y->zero_points[0]);
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static bool is_wide(const ert_tensor *t) { return t->dtype == ERT_DTYPE_INT16 || t->dtype == ERT_DTYPE_INT32; }

static inline int64_t rescaled(const quantize_state *s, int64_t x, int64_t most) {
  const int32_t difference = (int32_t)(uint32_t)(uint64_t)(x - s->zero_x);
  const int64_t q = (int64_t)ert_rescale_32(difference, s->fixed) + s->zero_point;
  return q > most ? most : q < -most - 1 ? -most - 1 : q;
}

static ert_status make_table(ert_prepare *p, quantize_state *state) {
  state->table = ert_prepare_alloc(p, 256 * sizeof *state->table);
  if (state->table == NULL) return ERT_OUT_OF_MEMORY;
  for (int i = 0; i < 256; i++) state->table[i] = (int16_t)rescaled(state, i - 128, INT16_MAX);
  return ERT_OK;
}

static ert_status prepare_rescale(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_REQUIRE(p, (is_wide(x) || x->dtype == ERT_DTYPE_INT8) && (is_wide(y) || y->dtype == ERT_DTYPE_INT8),
              "from %s to %s, needed int8, int16 or int32", ert_dtype_name(x->dtype), ert_dtype_name(y->dtype));
  ERT_TRY(ert_check_per_tensor(p, x, "input"));
  ERT_TRY(ert_check_per_tensor(p, y, "output"));
  quantize_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->zero_x = x->zero_points[0];
  state->zero_point = y->zero_points[0];
  ERT_TRY(ert_fixed_init(p, (double)x->scales[0] / (double)y->scales[0], ERT_FIXED_SHIFT_32, &state->fixed));
  if (x->dtype == ERT_DTYPE_INT8 && y->dtype == ERT_DTYPE_INT16) ERT_TRY(make_table(p, state));
  op->state = state;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  if (x->dtype != ERT_DTYPE_FLOAT32 && (is_wide(x) || is_wide(y))) return prepare_rescale(p, op);
  if (is_byte(x)) return prepare_shift(p, op);
  ERT_TRY(ert_check_dtype(p, x, "input", ERT_DTYPE_FLOAT32));
  ERT_REQUIRE(p, y->dtype == ERT_DTYPE_INT8 || y->dtype == ERT_DTYPE_UINT8 || y->dtype == ERT_DTYPE_INT16,
              "output is %s, needed int8, uint8 or int16", ert_dtype_name(y->dtype));
  ERT_TRY(ert_check_per_tensor(p, y, "output"));
  quantize_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  const int32_t lo = y->dtype == ERT_DTYPE_INT8 ? INT8_MIN : y->dtype == ERT_DTYPE_INT16 ? INT16_MIN : 0;
  const int32_t hi = y->dtype == ERT_DTYPE_INT8 ? INT8_MAX : y->dtype == ERT_DTYPE_INT16 ? INT16_MAX : UINT8_MAX;
  const int32_t zero_point = y->zero_points[0];
  ERT_REQUIRE(p, zero_point >= lo && zero_point <= hi, "output has zero point %d, needed one of %d to %d",
              (int)zero_point, (int)lo, (int)hi);
  state->vectors = ert_fvec_select(ert_prepare_isa(p));
  state->scale = y->scales[0];
  state->zero_point = zero_point;
  state->lo = (float)(lo - zero_point);
  state->hi = (float)(hi - zero_point);
  op->state = state;
  if (y->dtype == ERT_DTYPE_INT8) op->kernel = state->vectors->name;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

/* Clamped before it is rounded, which gives the same integer and keeps it within reach of the magic number (as in
 * requant/requant.h). */
static inline int32_t quantize_one(const quantize_state *s, float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  float q = x / s->scale;
  q = q == q ? q : 0.0f;
  q = q < s->lo ? s->lo : q;
  q = q > s->hi ? s->hi : q;
  return (int32_t)((q + magic) - magic) + s->zero_point;
}

static void run_i8(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const quantize_state *s = op->state;
  const float *x = op->in[0]->data;
  int8_t *y = op->out[0]->data;
  s->vectors->quantize_i8(end - begin, x + begin, s->scale, s->zero_point, y + begin);
}

static void run_u8(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const float *x = op->in[0]->data;
  uint8_t *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = (uint8_t)quantize_one(op->state, x[i]);
}

static void run_i16(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const float *x = op->in[0]->data;
  int16_t *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = (int16_t)quantize_one(op->state, x[i]);
}

static void run_shift(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const uint8_t *x = op->in[0]->data;
  uint8_t *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = x[i] ^ 0x80u;
}

static inline int64_t integer_at(const ert_tensor *t, size_t i) {
  return t->dtype == ERT_DTYPE_INT8    ? ((const int8_t *)t->data)[i]
         : t->dtype == ERT_DTYPE_INT16 ? ((const int16_t *)t->data)[i]
                                       : ((const int32_t *)t->data)[i];
}

static void run_rescale(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const quantize_state *s = op->state;
  ert_tensor *y = op->out[0];
  const int64_t most = y->dtype == ERT_DTYPE_INT8 ? INT8_MAX : y->dtype == ERT_DTYPE_INT16 ? INT16_MAX : INT32_MAX;
  for (size_t i = begin; i < end; i++) {
    const int64_t q = rescaled(s, integer_at(op->in[0], i), most);
    if (y->dtype == ERT_DTYPE_INT8) ((int8_t *)y->data)[i] = (int8_t)q;
    else if (y->dtype == ERT_DTYPE_INT16) ((int16_t *)y->data)[i] = (int16_t)q;
    else ((int32_t *)y->data)[i] = (int32_t)q;
  }
}

static void run_table(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const int16_t *table = ((const quantize_state *)op->state)->table + 128;
  const int8_t *x = op->in[0]->data;
  int16_t *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = table[x[i]];
}

static ert_status invoke(ert_op *op) {
  if (op->in[0]->dtype == ERT_DTYPE_INT8 && op->out[0]->dtype == ERT_DTYPE_INT16) {
    ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run_table, op);
    return ERT_OK;
  }
  if (op->in[0]->dtype != ERT_DTYPE_FLOAT32 && (is_wide(op->in[0]) || is_wide(op->out[0]))) {
    ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run_rescale, op);
    return ERT_OK;
  }
  if (is_byte(op->in[0])) {
    ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run_shift, op);
    return ERT_OK;
  }
  const uint8_t dtype = op->out[0]->dtype;
  const ert_chunk_fn run = dtype == ERT_DTYPE_INT8 ? run_i8 : dtype == ERT_DTYPE_UINT8 ? run_u8 : run_i16;
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_quantize = {"quantize", 1, 1, 1, prepare, invoke, 0};
