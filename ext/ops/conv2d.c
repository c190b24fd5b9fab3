/* conv2d: x[N,H,W,C] with w[O,KH,KW,C/groups]. */
#include "ops/conv_direct.h"
#include "ops/conv_grouped.h"
#include "ops/conv_i16.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *w = op->in[1];
  ERT_TRY(ert_check_rank(p, x, "input", 4));
  ERT_TRY(ert_check_rank(p, w, "weights", 4));
  ERT_TRY(ert_check_constant(p, w, "weights"));
  const int32_t out_channels = w->dims[0], groups = ert_conv2d_attrs_groups(op->attrs);
  ERT_REQUIRE(p, groups >= 1 && out_channels % groups == 0, "groups is %d, needed a divisor of %d output channels",
              (int)groups, (int)out_channels);
  ERT_REQUIRE(p, (int64_t)w->dims[3] * groups == x->dims[3],
              "input has %d channels, needed %lld (%d groups of the weights' %d)", (int)x->dims[3],
              (long long)w->dims[3] * groups, (int)groups, (int)w->dims[3]);

  const ert_window_attrs attrs = {
      .stride_h = ert_conv2d_attrs_stride_h(op->attrs),
      .stride_w = ert_conv2d_attrs_stride_w(op->attrs),
      .dilation_h = ert_conv2d_attrs_dilation_h(op->attrs),
      .dilation_w = ert_conv2d_attrs_dilation_w(op->attrs),
      .pad_top = ert_conv2d_attrs_pad_top(op->attrs),
      .pad_left = ert_conv2d_attrs_pad_left(op->attrs),
      .pad_bottom = ert_conv2d_attrs_pad_bottom(op->attrs),
      .pad_right = ert_conv2d_attrs_pad_right(op->attrs),
  };
  ert_window window;
  ERT_TRY(ert_window_init(p, x, (size_t)w->dims[1], (size_t)w->dims[2], &attrs, out_channels, op->out[0], &window));
  if (x->dtype == ERT_DTYPE_INT16)
    return ert_conv_i16_prepare(p, op, &window, (size_t)groups, (size_t)out_channels,
                                ert_conv2d_attrs_activation(op->attrs), ERT_RESCALE_64);
  ert_output_rule rule;
  ERT_TRY(ert_output_rule_init(p, x, w, op->out[0], (size_t)out_channels, 0,
                               ert_conv2d_attrs_activation(op->attrs), &rule));
  const void *bias;
  ERT_TRY(ert_check_bias(p, op, rule.is_int8, (size_t)out_channels, &bias));
  if (groups > 1) {
    ert_conv_grouped *grouped;
    ERT_TRY(ert_conv_grouped_prepare(p, op, &window, &rule, (size_t)groups, (size_t)out_channels, w->data, bias,
                                     &grouped));
    if (grouped != NULL) {
      ert_conv_direct *state = ert_prepare_alloc(p, sizeof *state);
      if (state == NULL) return ERT_OUT_OF_MEMORY;
      state->grouped = grouped;
      op->state = state;
      return ERT_OK;
    }
  }
  ERT_TRY(ert_conv_direct_prepare(p, op, &window, &rule, (size_t)groups, (size_t)out_channels, w->data, bias));
  op->bands = ert_conv_direct_bands(op->state);
  return ERT_OK;
}

static ert_status invoke(ert_op *op) {
  if (op->in[0]->dtype == ERT_DTYPE_INT16) return ert_conv_i16_invoke(op);
  const ert_conv_direct *conv = op->state;
  return conv->grouped != NULL ? ert_conv_grouped_invoke(op, conv->grouped) : ert_conv_direct_invoke(op, conv);
}

const ert_op_def ert_op_conv2d = {"conv2d", 2, 3, 1, prepare, invoke, ERT_TRAIT_PACKS};
