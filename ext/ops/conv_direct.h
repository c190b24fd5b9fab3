/* Convolution as a matrix product whose rows point into the (padded) input: nothing is unfolded. conv2d, and
 * depthwise_conv2d of one channel, which is the same thing. */
#ifndef ERT_OPS_CONV_DIRECT_H
#define ERT_OPS_CONV_DIRECT_H

#include "ops/conv_window.h"
#include "ops/dense.h"

typedef struct ert_conv_direct {
  ert_window window;
  ert_dense dense;        /* of one group */
  size_t groups;
  size_t rows;            /* output pixels */
  bool row_by_row;        /* a kernel gets pixels of one output row at a time, which are a constant step apart */
  size_t row_stride;      /* elements of a row of the addressed (padded or plain) input */
  ert_dense_split split;
  const uint8_t *packed;  /* groups * dense.packed_bytes */
  const struct ert_conv_grouped *grouped; /* conv2d: what runs it instead, and nothing else here is set */
} ert_conv_direct;

/* Weights are [out_channels][kernel_h][kernel_w][channels / groups] with window and rule already checked; bias may be
 * NULL. Packs the weights, asks for scratch, and sets op->state and op->kernel. */
ert_status ert_conv_direct_prepare(ert_prepare *p, ert_op *op, const ert_window *window, const ert_output_rule *rule,
                                   size_t groups, size_t out_channels, const void *weights, const void *bias);
ert_status ert_conv_direct_invoke(ert_op *op, const ert_conv_direct *conv);

/* For op->bands of an operator whose op->state is the convolution itself. */
ert_bands ert_conv_direct_bands(const ert_conv_direct *conv);

#endif
