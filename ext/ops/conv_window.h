/* The window that conv2d and depthwise_conv2d slide over x[N,H,W,C]. */
#ifndef ERT_OPS_CONV_WINDOW_H
#define ERT_OPS_CONV_WINDOW_H

#include "ops/op.h"

/* As the file has them. */
typedef struct ert_window_attrs {
  int32_t stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
} ert_window_attrs;

typedef struct ert_window {
  size_t batch, in_h, in_w, channels, out_h, out_w;
  size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  size_t pad_top, pad_left;
  size_t span_h, span_w;     /* what a dilated window covers: dilation * (kernel - 1) + 1 */
  size_t needed_h, needed_w; /* rows and columns that the windows cover together, padding included */
  bool padded;               /* some tap lies outside the input */
} ert_window;

/* Checks x (rank 4), the attributes and that the window fits; states the shape of y for out_channels. */
ert_status ert_window_init(ert_prepare *p, const ert_tensor *x, size_t kernel_h, size_t kernel_w,
                           const ert_window_attrs *attrs, int32_t out_channels, ert_tensor *y, ert_window *window);

/* Bytes of the input with the padding that the windows need, or 0 on overflow. */
size_t ert_window_padded_bytes(const ert_window *window, size_t element);

/* Copies row `y` (of batch * needed_h) of the padded input; padding is `fill` as a byte (0 in float is 0.0f). */
void ert_window_pad_row(const ert_window *window, size_t element, size_t y, int fill, const void *x, void *padded);

#endif
