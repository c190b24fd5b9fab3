/* sub: a - b, broadcast as in NumPy. */
#include "ops/arithmetic.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  return ert_addition_prepare(p, op, -1, ert_sub_attrs_activation(op->attrs));
}

const ert_op_def ert_op_sub = {"sub", 2, 2, 1, prepare, ert_arithmetic_invoke, 0};
