/* The largest value of each window; padding never wins. Exact on int8. */
#include <math.h>

#include "ops/pool2d.h"

/* max and clamp as selects, which the compiler turns into vector instructions. int8 is compared as q + 128 in uint8:
 * SSE2 has a maximum of unsigned bytes and none of signed ones. */
#define AS_IT_IS(x) (x)
#define BIASED(x) ((uint8_t)((uint8_t)(x) ^ 0x80u))
#define MAX_POOL(suffix, type, work, lowest, low, high, encode, decode)                                         \
  static void max_pool_##suffix(const ert_op *op, size_t begin, size_t end) {                                   \
    const ert_pool2d *pool = op->state;                                                                         \
    const work lo = encode(pool->low), hi = encode(pool->high);                                                 \
    for (size_t item = begin; item < end; item++) {                                                             \
      ert_pool2d_window window;                                                                                 \
      ert_pool2d_window_at(pool, item, &window);                                                                \
      work best[ERT_POOL2D_CHANNELS];                                                                           \
      for (int32_t c = 0; c < window.channels; c++) best[c] = lowest;                                           \
      for (int32_t ky = window.ky_begin; ky < window.ky_end; ky++) {                                            \
        for (int32_t kx = window.kx_begin; kx < window.kx_end; kx++) {                                          \
          const type *x = (const type *)op->in[0]->data + ert_pool2d_tap(pool, &window, ky, kx);                \
          for (int32_t c = 0; c < window.channels; c++) best[c] = encode(x[c]) > best[c] ? encode(x[c]) : best[c]; \
        }                                                                                                       \
      }                                                                                                         \
      type *y = (type *)op->out[0]->data + window.out;                                                          \
      for (int32_t c = 0; c < window.channels; c++) {                                                           \
        const work above = best[c] < lo ? lo : best[c];                                                         \
        y[c] = decode(above > hi ? hi : above);                                                                 \
      }                                                                                                         \
    }                                                                                                           \
  }
#define UNBIASED(x) ((int8_t)BIASED(x))
MAX_POOL(f32, float, float, -INFINITY, lo, hi, AS_IT_IS, AS_IT_IS)
MAX_POOL(i8, int8_t, uint8_t, 0, lo_i8, hi_i8, BIASED, UNBIASED)

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
  ert_pool2d_run(op, op->state, op->in[0]->dtype == ERT_DTYPE_INT8 ? max_pool_i8 : max_pool_f32);
  return ERT_OK;
}

const ert_op_def ert_op_max_pool2d = {"max_pool2d", 1, 1, 1, prepare, invoke};
