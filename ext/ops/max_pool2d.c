/* The largest value of each window; padding never wins. Exact on int8 and int16. */
#include <math.h>
#include <string.h>

#include "ops/pool2d.h"

/* Plain loops, which the compiler vectorises. */
#define MAX_POOL(suffix, type, lowest, low, high)                                                     \
  static void max_pool_##suffix(const ert_pool2d *pool, const ert_pool2d_window *window, const type *x, \
                                type *y, int32_t channels) {                                          \
    type best[ERT_POOL2D_CHANNELS];                                                                   \
    for (int32_t c = 0; c < channels; c++) best[c] = lowest;                                          \
    for (int32_t ky = window->ky_begin; ky < window->ky_end; ky++) {                                  \
      for (int32_t kx = window->kx_begin; kx < window->kx_end; kx++) {                                \
        const type *tap = x + ert_pool2d_tap(pool, window, ky, kx);                                   \
        for (int32_t c = 0; c < channels; c++) best[c] = tap[c] > best[c] ? tap[c] : best[c];         \
      }                                                                                               \
    }                                                                                                 \
    for (int32_t c = 0; c < channels; c++) {                                                          \
      const type above = best[c] < pool->low ? pool->low : best[c];                                   \
      y[c] = above > pool->high ? pool->high : above;                                                 \
    }                                                                                                 \
  }
MAX_POOL(f32, float, -INFINITY, lo, hi)
MAX_POOL(i8, int8_t, INT8_MIN, lo_i8, hi_i8)
MAX_POOL(i16, int16_t, INT16_MIN, lo_i16, hi_i16)

/* Sixteen channels in each of the compiler's own vectors, which stay in registers over the whole window. */
enum { VECTOR_CHANNELS = 16, MOST_VECTORS = 4 };
typedef int8_t vector_i8 __attribute__((vector_size(VECTOR_CHANNELS)));

static inline vector_i8 load(const int8_t *p) {
  vector_i8 v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline vector_i8 larger(vector_i8 a, vector_i8 b) {
  const vector_i8 mask = a > b;
  return (a & mask) | (b & ~mask);
}

/* Inlined with a constant number of vectors: several hide each other's latency. */
static inline __attribute__((always_inline)) void max_pool_vectors(const ert_pool2d *pool,
                                                                   const ert_pool2d_window *window, const int8_t *x,
                                                                   int8_t *y, const int vectors) {
  const vector_i8 zero = {0};
  vector_i8 best[MOST_VECTORS];
  for (int v = 0; v < vectors; v++) best[v] = zero + INT8_MIN;
  const size_t step = (size_t)pool->dilation_w * (size_t)pool->c;
  for (int32_t ky = window->ky_begin; ky < window->ky_end; ky++) {
    const int8_t *tap = x + ert_pool2d_tap(pool, window, ky, window->kx_begin);
    for (int32_t kx = window->kx_begin; kx < window->kx_end; kx++, tap += step) {
      for (int v = 0; v < vectors; v++) best[v] = larger(best[v], load(tap + v * VECTOR_CHANNELS));
    }
  }
  for (int v = 0; v < vectors; v++) {
    best[v] = larger(best[v], zero + pool->lo_i8);
    best[v] = ~larger(~best[v], ~(zero + pool->hi_i8)); /* the smaller of both */
    memcpy(y + v * VECTOR_CHANNELS, &best[v], sizeof best[v]);
  }
}

static void max_pool_items(const ert_op *op, size_t begin, size_t end) {
  const ert_pool2d *pool = op->state;
  const int dtype = op->in[0]->dtype;
  for (size_t item = begin; item < end; item++) {
    ert_pool2d_window window;
    ert_pool2d_window_at(pool, item, &window);
    if (dtype == ERT_DTYPE_INT16) {
      max_pool_i16(pool, &window, op->in[0]->data, (int16_t *)op->out[0]->data + window.out, window.channels);
      continue;
    }
    if (dtype == ERT_DTYPE_FLOAT32) {
      max_pool_f32(pool, &window, op->in[0]->data, (float *)op->out[0]->data + window.out, window.channels);
      continue;
    }
    const int8_t *x = op->in[0]->data;
    int8_t *y = (int8_t *)op->out[0]->data + window.out;
    int32_t c = 0;
    for (; c + MOST_VECTORS * VECTOR_CHANNELS <= window.channels; c += MOST_VECTORS * VECTOR_CHANNELS) {
      max_pool_vectors(pool, &window, x + c, y + c, MOST_VECTORS);
    }
    for (; c + VECTOR_CHANNELS <= window.channels; c += VECTOR_CHANNELS) {
      max_pool_vectors(pool, &window, x + c, y + c, 1);
    }
    if (c < window.channels && c > 0) { /* the last vector again, and some channels a second time */
      const int32_t last = window.channels - VECTOR_CHANNELS;
      max_pool_vectors(pool, &window, x + last, y + last, 1);
    } else if (c < window.channels) {
      max_pool_i8(pool, &window, x, y, window.channels);
    }
  }
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  ert_pool2d *pool = ert_prepare_alloc(p, sizeof *pool);
  if (pool == NULL) return ERT_OUT_OF_MEMORY;
  const ert_fb_table a = op->attrs;
  *pool = (ert_pool2d){
      .kernel_h = ert_max_pool2d_attrs_kernel_h(a),     .kernel_w = ert_max_pool2d_attrs_kernel_w(a),
      .stride_h = ert_max_pool2d_attrs_stride_h(a),     .stride_w = ert_max_pool2d_attrs_stride_w(a),
      .dilation_h = ert_max_pool2d_attrs_dilation_h(a), .dilation_w = ert_max_pool2d_attrs_dilation_w(a),
      .pad_top = ert_max_pool2d_attrs_pad_top(a),       .pad_left = ert_max_pool2d_attrs_pad_left(a),
      .pad_bottom = ert_max_pool2d_attrs_pad_bottom(a), .pad_right = ert_max_pool2d_attrs_pad_right(a),
      .activation = ert_max_pool2d_attrs_activation(a),
  };
  op->state = pool;
  return ert_pool2d_prepare(p, op, pool);
}

static ert_status invoke(ert_op *op) {
  ert_pool2d_run(op, op->state, max_pool_items);
  return ERT_OK;
}

const ert_op_def ert_op_max_pool2d = {"max_pool2d", 1, 1, 1, prepare, invoke, 0};
