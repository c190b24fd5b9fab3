/* fully_connected: x[...,K] with w[N,K]. */
#include "ops/conv_i16.h"
#include "ops/product.h"

/* A convolution of one tap over the rows of x. */
static ert_status prepare_i16(ert_prepare *p, ert_op *op) {
  const size_t k = (size_t)op->in[1]->dims[1], rows = k == 0 ? 0 : op->in[0]->elements / k;
  const ert_window window = {.batch = 1, .in_h = 1, .in_w = rows, .channels = k, .out_h = 1, .out_w = rows, .kernel_h = 1,
                             .kernel_w = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
  return ert_conv_i16_prepare(p, op, &window, 1, (size_t)op->in[1]->dims[0],
                              ert_fully_connected_attrs_activation(op->attrs), ERT_RESCALE_EXACT);
}

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

  if (x->dtype == ERT_DTYPE_INT16) return prepare_i16(p, op);
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

static ert_status invoke(ert_op *op) {
  return op->in[0]->dtype == ERT_DTYPE_INT16 ? ert_conv_i16_invoke(op) : ert_product_invoke(op);
}

const ert_op_def ert_op_fully_connected = {"fully_connected", 2, 3, 1, prepare, invoke, ERT_TRAIT_PACKS};
