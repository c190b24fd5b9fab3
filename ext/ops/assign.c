/* Writes a value into a variable, which keeps it until the next assignment. */
#include <string.h>

#include "ops/op.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *variable = op->in[0], *value = op->in[1];
  ERT_REQUIRE(p, variable->kind == ERT_TENSOR_KIND_VARIABLE, "input 0 ('%.100s') is not a variable", variable->name);
  ERT_TRY(ert_check_dtype(p, value, "value", variable->dtype));
  ERT_REQUIRE(p, ert_same_shape(variable, value), "value and variable differ in shape (%d and %d dimensions)",
              value->rank, variable->rank);
  ERT_REQUIRE(p, (variable->quant_count == 0 && value->quant_count == 0) || ert_same_quant(variable, value),
              "value and variable differ in quantisation, needed the same");
  return ERT_OK;
}

static ert_status invoke(ert_op *op) {
  memmove(op->in[0]->data, op->in[1]->data, op->in[0]->bytes); /* a variable may be assigned to itself */
  return ERT_OK;
}

const ert_op_def ert_op_assign = {"assign", 2, 2, 0, prepare, invoke, 0};
