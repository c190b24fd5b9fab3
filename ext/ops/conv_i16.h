/* int16 activations with int8 weights: conv2d, fully_connected (a window of one pixel) and depthwise_conv2d. Plain
 * loops, which the compiler makes vectors of; integers alone, so that nothing depends on their order. */
#ifndef ERT_OPS_CONV_I16_H
#define ERT_OPS_CONV_I16_H

#include "ops/conv_window.h"
#include "ops/rule_i16.h"

/* Weights are [out_channels][kernel_h][kernel_w][channels / groups], checked to fit the window. Sets op->state and asks
 * for scratch. */
ert_status ert_conv_i16_prepare(ert_prepare *p, ert_op *op, const ert_window *window, size_t groups,
                                size_t out_channels, int activation, ert_rescaling rescaling);
ert_status ert_conv_i16_invoke(ert_op *op);

/* Weights are [kernel_h][kernel_w][channels * multiplier]. */
ert_status ert_depthwise_i16_prepare(ert_prepare *p, ert_op *op, const ert_window *window, size_t multiplier,
                                     int activation);
ert_status ert_depthwise_i16_invoke(ert_op *op);

/* Input position of tap `tap` of output position `out` along one axis; false outside the input. */
static inline bool ert_tap_at(size_t out, size_t stride, size_t tap, size_t dilation, size_t before, size_t size,
                              size_t *at) {
  const size_t padded = out * stride + tap * dilation;
  *at = padded - before;
  return padded >= before && *at < size;
}

#endif
