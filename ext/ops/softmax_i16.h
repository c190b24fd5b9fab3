/* softmax of int16: edgert/ops/_softmax_int16.py has the formula and where it comes from. */
#ifndef ERT_OPS_SOFTMAX_I16_H
#define ERT_OPS_SOFTMAX_I16_H

#include "ops/rows.h"
#include "ops/rule_i16.h"
#include "ops/table_i16.h"

typedef struct ert_softmax_i16 {
  ert_fixed fixed;
  int16_t exponentials[ERT_TABLE_I16], reciprocals[ERT_TABLE_I16];
} ert_softmax_i16;

ert_status ert_softmax_i16_init(ert_prepare *p, const ert_op *op, const ert_rows *rows, float beta,
                                ert_softmax_i16 *state);
void ert_softmax_i16_row(const ert_softmax_i16 *state, const ert_rows *rows, const int16_t *x, int16_t *y);

#endif
