/* matmul of two int16 tensors. */
#ifndef ERT_OPS_MATMUL_I16_H
#define ERT_OPS_MATMUL_I16_H

#include "ops/product.h"
#include "ops/rule_i16.h"

/* As ert_product_prepare, with the output's shape already stated. */
ert_status ert_matmul_i16_prepare(ert_prepare *p, ert_op *op, const ert_product_shape *shape);
ert_status ert_matmul_i16_invoke(ert_op *op);

#endif
