/* Weights with a zero point, as the uint8 models of TensorFlow 1 have them, without the sums over the input that a zero
 * point costs for every output pixel: it is taken off the weights when they are packed. Of w - zero, a weight or two
 * leave int8, those that set the range of the tensor; what they are beyond it becomes a step of products of its own
 * (ert_qgemm_args.extras). */
#ifndef ERT_OPS_ZERO_OFF_H
#define ERT_OPS_ZERO_OFF_H

#include "ops/dense.h"

/* What to pack instead of the operator's own weights and bias; NULL: those themselves. */
typedef struct ert_zero_off {
  int8_t *weights;
  int32_t *bias;
} ert_zero_off;

/* w: [groups][dense->n][taps][k]. Where the zero point can be taken off, fills `off` and changes `dense` accordingly;
 * otherwise leaves both. Call it before ert_dense_pack, and ert_zero_off_free after. */
ert_status ert_zero_off_init(ert_prepare *p, ert_dense *dense, size_t groups, const void *w, const void *bias,
                             ert_zero_off *off);
void ert_zero_off_free(ert_zero_off *off);

#endif
