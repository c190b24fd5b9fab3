/* unary on int16: the functions that are straight lines on either side of 0, and sigmoid and tanh at scale 2^-15. Others
 * become a lut, or float32, in the toolchain. See edgert/ops/_unary_int16.py. */
#ifndef ERT_OPS_UNARY_I16_H
#define ERT_OPS_UNARY_I16_H

#include "ops/op.h"

/* Sets op->state and states the output's shape. */
ert_status ert_unary_i16_prepare(ert_prepare *p, ert_op *op, int function, float alpha, float beta);
ert_status ert_unary_i16_invoke(ert_op *op);

#endif
