/* Convolution in groups of few channels by the kernels of kernels/qgroup; conv_direct.h serves all others. */
#ifndef ERT_OPS_CONV_GROUPED_H
#define ERT_OPS_CONV_GROUPED_H

#include "kernels/qgroup/qgroup.h"
#include "ops/conv_window.h"
#include "ops/weighted.h"

typedef struct ert_conv_grouped {
  ert_window window;
  ert_output_rule rule;
  const ert_qgroup_kernel *kernel;
  ert_qgroup_args args;
  size_t row_bytes; /* of the padded input */
  size_t tasks;
} ert_conv_grouped;

/* As ert_conv_direct_prepare, but that op->state remains as it is. *made is NULL where no kernel serves the convolution:
 * then nothing has been asked for. */
ert_status ert_conv_grouped_prepare(ert_prepare *p, ert_op *op, const ert_window *window, const ert_output_rule *rule,
                                    size_t groups, size_t out_channels, const void *weights, const void *bias,
                                    ert_conv_grouped **made);
ert_status ert_conv_grouped_invoke(ert_op *op, const ert_conv_grouped *conv);

#endif
