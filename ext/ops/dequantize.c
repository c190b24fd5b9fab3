/* y = float32(q - zero_point) * scale: int8, uint8, int16 and int32, per tensor or per channel; float16 widens. */
#include "base/half.h"
#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"

typedef struct dequantize_state {
  const ert_fvec_kernel *vectors;
  size_t channels, inner; /* element i belongs to channel i / inner % channels */
} dequantize_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_FLOAT32));
  ERT_REQUIRE(p, x->dtype == ERT_DTYPE_INT8 || x->dtype == ERT_DTYPE_UINT8 || x->dtype == ERT_DTYPE_INT16 ||
                     x->dtype == ERT_DTYPE_INT32 || x->dtype == ERT_DTYPE_FLOAT16,
              "input is %s, needed int8, uint8, int16, int32 or float16", ert_dtype_name(x->dtype));
  ERT_REQUIRE(p, x->dtype == ERT_DTYPE_FLOAT16 || x->quant_count > 0, "input has no scale");
  dequantize_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->vectors = ert_fvec_select(ert_prepare_isa(p));
  state->channels = 1;
  state->inner = x->elements;
  if (x->quant_count > 1) {
    ERT_REQUIRE(p, x->quant_axis >= 0 && x->quant_axis < x->rank, "input is quantised along axis %d, needed 0 to %d",
                (int)x->quant_axis, x->rank - 1);
    state->channels = (size_t)x->dims[x->quant_axis];
    ERT_REQUIRE(p, state->channels == x->quant_count, "input has %u scales, needed %zu", (unsigned)x->quant_count,
                state->channels);
    state->inner = 1;
    for (int i = x->quant_axis + 1; i < x->rank; i++) state->inner *= (size_t)x->dims[i];
  }
  op->state = state;
  if (x->dtype == ERT_DTYPE_INT8) op->kernel = state->vectors->name;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

#define DEQUANTIZE(type)                                                                            \
  do {                                                                                              \
    const type *q = (const type *)x->data + begin;                                                  \
    for (size_t i = 0; i < n; i++) y[i] = (float)((int64_t)q[i] - zero_point) * scale;              \
  } while (0)
#define DEQUANTIZE_NARROW(type) /* in 32 bits, for the sake of vectors */                           \
  do {                                                                                              \
    const type *q = (const type *)x->data + begin;                                                  \
    for (size_t i = 0; i < n; i++) y[i] = (float)((int32_t)q[i] - zero_point) * scale;              \
  } while (0)

/* n elements from `begin`, all of one channel. */
static void run_channel(const ert_op *op, size_t channel, size_t begin, size_t n) {
  const ert_tensor *x = op->in[0];
  const dequantize_state *s = op->state;
  const float scale = x->scales[channel];
  const int32_t zero_point = x->zero_points[channel];
  float *y = (float *)op->out[0]->data + begin;
  switch (x->dtype) {
    case ERT_DTYPE_INT8: s->vectors->dequantize_i8(n, (const int8_t *)x->data + begin, scale, zero_point, y); break;
    case ERT_DTYPE_UINT8: DEQUANTIZE_NARROW(uint8_t); break;
    case ERT_DTYPE_INT16: DEQUANTIZE_NARROW(int16_t); break;
    default: DEQUANTIZE(int32_t); break;
  }
}

/* n int8 from `begin`, a channel each: weights [K, N] and [KH, KW, C] are quantised along their last axis. */
static void run_channels(const ert_op *op, size_t begin, size_t n) {
  const ert_tensor *x = op->in[0];
  const dequantize_state *s = op->state;
  const size_t first = begin % s->channels;
  const int8_t *q = (const int8_t *)x->data + begin;
  const float *scales = x->scales + first;
  const int32_t *zero_points = x->zero_points + first;
  float *y = (float *)op->out[0]->data + begin;
  for (size_t i = 0; i < n; i++) y[i] = (float)(q[i] - zero_points[i]) * scales[i];
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const dequantize_state *s = op->state;
  if (op->in[0]->dtype == ERT_DTYPE_INT8 && s->inner == 1 && s->channels > 1) {
    for (size_t n; begin < end; begin += n) {
      n = ert_min_size(s->channels - begin % s->channels, end - begin);
      run_channels(op, begin, n);
    }
    return;
  }
  while (begin < end) {
    const size_t row = begin / s->inner;
    const size_t n = ert_min_size((row + 1) * s->inner, end) - begin;
    run_channel(op, row % s->channels, begin, n);
    begin += n;
  }
}

static void run_half(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const uint16_t *x = op->in[0]->data;
  float *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = ert_half_to_float(x[i]);
}

static ert_status invoke(ert_op *op) {
  const ert_chunk_fn fn = op->in[0]->dtype == ERT_DTYPE_FLOAT16 ? run_half : run;
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, fn, op);
  return ERT_OK;
}

const ert_op_def ert_op_dequantize = {"dequantize", 1, 1, 1, prepare, invoke, ERT_TRAIT_EXPANDS};
