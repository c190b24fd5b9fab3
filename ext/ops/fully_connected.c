/* fully_connected: x[...,K] with w[N,K]. */
#include "ops/product.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *w = op->in[1];
  ERT_TRY(ert_check_rank(p, w, "weights", 2));
  ERT_REQUIRE(p, x->rank >= 1 && x->dims[x->rank - 1] == w->dims[1],
              "input has %d as its last dimension, needed %d as the weights", x->rank >= 1 ? (int)x->dims[x->rank - 1] : 0,
              (int)w->dims[1]);
  int32_t dims[ERT_MAX_RANK];
  for (int i = 0; i < x->rank; i++) dims[i] = x->dims[i];
  dims[x->rank - 1] = w->dims[0];
  ERT_TRY(ert_prepare_shape(p, op->out[0], x->rank, dims));

  const size_t channels = (size_t)w->dims[0];
  ert_output_rule rule;
  ERT_TRY(ert_output_rule_init(p, x, w, op->out[0], channels, 0, ert_fully_connected_attrs_activation(op->attrs),
                               &rule));
  const void *bias;
  ERT_TRY(ert_check_bias(p, op, rule.is_int8, channels, &bias));
  const ert_product_shape shape = {
      .m = x->elements / (size_t)w->dims[1], .n = channels, .k = (size_t)w->dims[1], .transpose_b = true};
  return ert_product_prepare(p, op, &shape, &rule, bias);
}

const ert_op_def ert_op_fully_connected = {"fully_connected", 2, 3, 1, prepare, ert_product_invoke};
