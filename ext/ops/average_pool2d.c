/* The mean of each window, over the taps that lie inside the image; with count_include_pad over all of the padded
 * window, the padding counting as real 0.
 *
 * int8 and int16 are TFLite's integer formula (tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h, AveragePool):
 * the mean of the quantised values, rounded half away from zero. Padding that counts adds its zero point.
 */
#include <string.h>

#include "ops/pool2d.h"
#include "ops/rule_i16.h"

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

/* Eight channels in each of the compiler's own vectors: sums of up to 256 taps in int16, which stay in registers. */
enum { VECTOR_CHANNELS = 8, VECTORS = 4, BLOCK_CHANNELS = VECTORS * VECTOR_CHANNELS, INT16_TAPS = 256 };
typedef int8_t vector_i8 __attribute__((vector_size(VECTOR_CHANNELS)));
typedef int16_t vector_i16 __attribute__((vector_size(2 * VECTOR_CHANNELS)));

/* Adds n taps, which lie `step` apart, to the sums of BLOCK_CHANNELS channels; n <= INT16_TAPS. */
static void add_block(const int8_t *tap, int32_t n, size_t step, int32_t *sum) {
  vector_i16 part[VECTORS] = {{0}};
  for (int32_t i = 0; i < n; i++, tap += step) {
    for (int v = 0; v < VECTORS; v++) {
      vector_i8 x;
      memcpy(&x, tap + v * VECTOR_CHANNELS, sizeof x);
      part[v] += __builtin_convertvector(x, vector_i16);
    }
  }
  for (int v = 0; v < VECTORS; v++) {
    for (int c = 0; c < VECTOR_CHANNELS; c++) sum[v * VECTOR_CHANNELS + c] += part[v][c];
  }
}

/* A window as wide as the image is one run of taps, row after row. */
static void add_taps_block(const ert_pool2d *pool, const ert_pool2d_window *window, const int8_t *x, int32_t *sum) {
  int32_t rows = window->ky_end - window->ky_begin, columns = window->kx_end - window->kx_begin;
  if (columns == pool->w) {
    columns *= rows;
    rows = 1;
  }
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *tap = x + ert_pool2d_tap(pool, window, window->ky_begin + row, window->kx_begin);
    for (int32_t done = 0; done < columns; done += INT16_TAPS) {
      const int32_t n = columns - done < INT16_TAPS ? columns - done : INT16_TAPS;
      add_block(tap + (size_t)done * (size_t)pool->c, n, (size_t)pool->c, sum);
    }
  }
}

static void add_taps(const ert_pool2d *pool, const ert_pool2d_window *window, const int8_t *x, int32_t channels,
                     int32_t *sum) {
  for (int32_t ky = window->ky_begin; ky < window->ky_end; ky++) {
    for (int32_t kx = window->kx_begin; kx < window->kx_end; kx++) {
      const int8_t *tap = x + ert_pool2d_tap(pool, window, ky, kx);
      for (int32_t c = 0; c < channels; c++) sum[c] += tap[c];
    }
  }
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
    const int8_t *x = op->in[0]->data;
    int32_t done = 0;
    for (; done + BLOCK_CHANNELS <= window.channels; done += BLOCK_CHANNELS) {
      add_taps_block(pool, &window, x + done, sum + done);
    }
    add_taps(pool, &window, x + done, window.channels - done, sum + done);
    int8_t *y = (int8_t *)op->out[0]->data + window.out;
    for (int32_t c = 0; c < window.channels; c++) {
      const int32_t mean = divide_rounded(sum[c], count, multiplier);
      const int32_t above = mean < pool->lo_i8 ? pool->lo_i8 : mean;
      y[c] = (int8_t)(above > pool->hi_i8 ? pool->hi_i8 : above);
    }
  }
}

static void average_pool_i16(const ert_op *op, size_t begin, size_t end) {
  const average_state *state = op->state;
  const ert_pool2d *pool = &state->pool;
  for (size_t item = begin; item < end; item++) {
    ert_pool2d_window window;
    ert_pool2d_window_at(pool, item, &window);
    const int64_t count = counted_taps(state, valid_taps(&window));
    int64_t sum[ERT_POOL2D_CHANNELS] = {0};
    for (int32_t ky = window.ky_begin; ky < window.ky_end; ky++) {
      for (int32_t kx = window.kx_begin; kx < window.kx_end; kx++) {
        const int16_t *x = (const int16_t *)op->in[0]->data + ert_pool2d_tap(pool, &window, ky, kx);
        for (int32_t c = 0; c < window.channels; c++) sum[c] += x[c];
      }
    }
    int16_t *y = (int16_t *)op->out[0]->data + window.out;
    for (int32_t c = 0; c < window.channels; c++)
      y[c] = ert_clamp_i16((sum[c] + (sum[c] < 0 ? -(count / 2) : count / 2)) / count, pool->lo_i16, pool->hi_i16);
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
  const int dtype = op->in[0]->dtype;
  ert_pool2d_run(op, &state->pool, dtype == ERT_DTYPE_INT8    ? average_pool_i8
                                   : dtype == ERT_DTYPE_INT16 ? average_pool_i16
                                                              : average_pool_f32);
  return ERT_OK;
}

const ert_op_def ert_op_average_pool2d = {"average_pool2d", 1, 1, 1, prepare, invoke, 0};
