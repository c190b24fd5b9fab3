/* The window that max_pool2d and average_pool2d slide over x[N,H,W,C]. */
#ifndef ERT_OPS_POOL2D_H
#define ERT_OPS_POOL2D_H

#include "ops/op.h"

/* Channels that a task keeps in local accumulators. */
#define ERT_POOL2D_CHANNELS 128

typedef struct ert_pool2d {
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
  int activation;
  /* The rest is ert_pool2d_prepare's. */
  int32_t n, h, w, c, out_h, out_w;
  size_t channel_blocks; /* of ERT_POOL2D_CHANNELS */
  size_t items;          /* output pixels times channel blocks: what tasks share out */
  float lo, hi;          /* bounds of the fused activation */
  int8_t lo_i8, hi_i8;
  int16_t lo_i16, hi_i16;
} ert_pool2d;

/* One item: the taps of a window that lie inside the image, for a block of channels. */
typedef struct ert_pool2d_window {
  int32_t y, x;           /* of tap (0, 0); may lie outside */
  int32_t ky_begin, ky_end, kx_begin, kx_end;
  size_t in_image;        /* element offset of the image and first channel */
  size_t out;             /* element offset of the output */
  int32_t channels;
} ert_pool2d_window;

/* Checks input, output and attributes, and states the output's shape. int8 and int16 need equal quantisation on both sides. */
ert_status ert_pool2d_prepare(ert_prepare *p, const ert_op *op, ert_pool2d *pool);

void ert_pool2d_window_at(const ert_pool2d *pool, size_t item, ert_pool2d_window *window);

/* Element offset of tap (ky, kx). */
static inline size_t ert_pool2d_tap(const ert_pool2d *pool, const ert_pool2d_window *window, int32_t ky, int32_t kx) {
  const size_t y = (size_t)(window->y + ky * pool->dilation_h), x = (size_t)(window->x + kx * pool->dilation_w);
  return window->in_image + (y * (size_t)pool->w + x) * (size_t)pool->c;
}

/* Runs fn(op, begin, end) over ranges of items, on several threads where there is enough to do. */
typedef void (*ert_pool2d_fn)(const ert_op *op, size_t begin, size_t end);
void ert_pool2d_run(const ert_op *op, const ert_pool2d *pool, ert_pool2d_fn fn);

#endif
