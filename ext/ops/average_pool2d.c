/* The mean of each window, over the taps that lie inside the image; with count_include_pad over all of the padded
 * window, the padding counting as real 0.
 *
 * int8 is TFLite's integer formula (tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h, AveragePool):
 * the mean of the quantised values, rounded half away from zero. Padding that counts adds its zero point.
 */
#include "ops/pool2d.h"

typedef struct average_state {
  ert_pool2d pool; /* first: ert_pool2d_run's functions read op->state as one */
  bool include_pad;
  int32_t zero_point;
} average_state;

static int32_t valid_taps(const ert_pool2d_window *window) {
  return (window->ky_end - window->ky_begin) * (window->kx_end - window->kx_begin);
}

/* What the sum is divided by. A window never reaches beyond the declared padding: the output's size rounds down. */
static int32_t counted_taps(const average_state *state, int32_t valid) {
  return state->include_pad ? state->pool.kernel_h * state->pool.kernel_w : valid;
}

/* round(|sum| / count), half away from zero, by a multiplication: with M = floor(2^56 / count) + 1,
 * (a * M) >> 56 is floor(a / count) for a * count < 2^56 (M exceeds 2^56 / count by at most 1). Here
 * a <= 128.5 * count and count <= 2^22 (pool2d.c), and a * M stays below 2^64. */
static inline int32_t divide_rounded(int32_t sum, int32_t count, uint64_t multiplier) {
  const uint32_t magnitude = (uint32_t)(sum < 0 ? -sum : sum) + (uint32_t)count / 2;
  const int32_t quotient = (int32_t)(magnitude * multiplier >> 56);
  return sum < 0 ? -quotient : quotient;
}

static void average_pool_i8(const ert_op *op, size_t begin, size_t end) {
  const average_state *state = op->state;
  const ert_pool2d *pool = &state->pool;
  int32_t last_count = 0;
  uint64_t multiplier = 0;
  for (size_t item = begin; item < end; item++) {
    ert_pool2d_window window;
    ert_pool2d_window_at(pool, item, &window);
    const int32_t valid = valid_taps(&window), count = counted_taps(state, valid);
    if (count != last_count) {
      multiplier = (UINT64_C(1) << 56) / (uint64_t)count + 1;
      last_count = count;
    }
    int32_t sum[ERT_POOL2D_CHANNELS];
    for (int32_t c = 0; c < window.channels; c++) sum[c] = (count - valid) * state->zero_point;
    for (int32_t ky = window.ky_begin; ky < window.ky_end; ky++) {
      for (int32_t kx = window.kx_begin; kx < window.kx_end; kx++) {
        const int8_t *x = (const int8_t *)op->in[0]->data + ert_pool2d_tap(pool, &window, ky, kx);
        for (int32_t c = 0; c < window.channels; c++) sum[c] += x[c];
      }
    }
    int8_t *y = (int8_t *)op->out[0]->data + window.out;
    for (int32_t c = 0; c < window.channels; c++) {
      const int32_t mean = divide_rounded(sum[c], count, multiplier);
      const int32_t above = mean < pool->lo_i8 ? pool->lo_i8 : mean;
      y[c] = (int8_t)(above > pool->hi_i8 ? pool->hi_i8 : above);
    }
  }
}

static void average_pool_f32(const ert_op *op, size_t begin, size_t end) {
  const average_state *state = op->state;
  const ert_pool2d *pool = &state->pool;
  for (size_t item = begin; item < end; item++) {
    ert_pool2d_window window;
    ert_pool2d_window_at(pool, item, &window);
    const float count = (float)counted_taps(state, valid_taps(&window));
    float sum[ERT_POOL2D_CHANNELS];
    for (int32_t c = 0; c < window.channels; c++) sum[c] = 0.0f;
    for (int32_t ky = window.ky_begin; ky < window.ky_end; ky++) {
      for (int32_t kx = window.kx_begin; kx < window.kx_end; kx++) {
        const float *x = (const float *)op->in[0]->data + ert_pool2d_tap(pool, &window, ky, kx);
        for (int32_t c = 0; c < window.channels; c++) sum[c] += x[c];
      }
    }
    float *y = (float *)op->out[0]->data + window.out;
    for (int32_t c = 0; c < window.channels; c++) {
      const float mean = sum[c] / count;
      const float above = mean < pool->lo ? pool->lo : mean;
      y[c] = above > pool->hi ? pool->hi : above;
    }
  }
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  average_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  const ert_fb_table a = op->attrs;
  state->pool = (ert_pool2d){
      .kernel_h = ert_average_pool2d_attrs_kernel_h(a),
      .kernel_w = ert_average_pool2d_attrs_kernel_w(a),
      .stride_h = ert_average_pool2d_attrs_stride_h(a),
      .stride_w = ert_average_pool2d_attrs_stride_w(a),
      .dilation_h = 1,
      .dilation_w = 1,
      .pad_top = ert_average_pool2d_attrs_pad_top(a),
      .pad_left = ert_average_pool2d_attrs_pad_left(a),
      .pad_bottom = ert_average_pool2d_attrs_pad_bottom(a),
      .pad_right = ert_average_pool2d_attrs_pad_right(a),
      .activation = ert_average_pool2d_attrs_activation(a),
  };
  state->include_pad = ert_average_pool2d_attrs_count_include_pad(a);
  op->state = state;
  ERT_TRY(ert_pool2d_prepare(p, op, &state->pool));
  if (op->in[0]->dtype == ERT_DTYPE_INT8) state->zero_point = op->in[0]->zero_points[0];
  return ERT_OK;
}

static ert_status invoke(ert_op *op) {
  const average_state *state = op->state;
  ert_pool2d_run(op, &state->pool, op->in[0]->dtype == ERT_DTYPE_INT8 ? average_pool_i8 : average_pool_f32);
  return ERT_OK;
}

const ert_op_def ert_op_average_pool2d = {"average_pool2d", 1, 1, 1, prepare, invoke};
