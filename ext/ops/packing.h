/* What ert_prepare_packed has to know of the weights of a matrix product and of a depthwise convolution. */
#ifndef ERT_OPS_PACKING_H
#define ERT_OPS_PACKING_H

#include "kernels/fdw/fdw.h"
#include "kernels/qdw/qdw.h"
#include "ops/dense.h"

/* `count` groups or matrices of dense->packed_bytes each, with the multipliers of `channels`. Here and below, `pack` and
 * `context` remain to be set. */
ert_packing ert_dense_packing(const ert_dense *dense, size_t count, size_t channels, size_t bytes);

/* turned: the window's rows go to the kernel in another order, a number for each. */
ert_packing ert_qdw_packing(const ert_qdw_kernel *kernel, const ert_output_rule *rule, size_t channels,
                            size_t kernel_h, size_t kernel_w, unsigned turned, size_t bytes);
ert_packing ert_fdw_packing(const ert_fdw_kernel *kernel, size_t channels, size_t taps, size_t bytes);

#endif
