/* What scatter_nd and scatter_elements have in common: how an update joins what is there. */
#ifndef ERT_OPS_SCATTER_H
#define ERT_OPS_SCATTER_H

#include "ops/indices.h"

/* Checks types and quantisation of x, updates and the output, and that the reduction has a meaning for them. Only a
 * plain write and the choice of the smaller or larger number do for quantised ones. */
ert_status ert_scatter_check(ert_prepare *p, const ert_op *op, int reduction);

/* Lets n updates join n elements of the output, from element `at` and from element `from` on. */
void ert_scatter_join(const ert_op *op, int reduction, size_t at, size_t from, size_t n);

#endif
