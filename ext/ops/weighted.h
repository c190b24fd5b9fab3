/* What conv2d, depthwise_conv2d and fully_connected check alike: types, quantisation, bias, activation. */
#ifndef ERT_OPS_WEIGHTED_H
#define ERT_OPS_WEIGHTED_H

#include "ops/op.h"

/* How int8 or float32 results leave an operator that multiplies and adds. */
typedef struct ert_output_rule {
  bool is_int8;           /* else float32 */
  float lo_f32, hi_f32;   /* float32: bounds of the activation */
  int8_t lo_i8, hi_i8;    /* int8: the same, quantised */
  int32_t zero_x, zero_w, zero_y;
  float *multipliers;     /* int8: scale_x * scale_w[c] / scale_y, one a channel; float32: NULL */
  bool wide;              /* some multiplier is 1 or more */
} ert_output_rule;

enum { /* ert_op.unread of operators x, weights, bias? */
  ERT_WEIGHTS = 1 << 1,
  ERT_WEIGHTS_AND_BIAS = 1 << 1 | 1 << 2
};

/* Checks dtypes (all float32 or all int8), quantisation and the activation of x * w -> y, and fills `rule` for
 * `channels` outputs. Weights have one scale, or `channels` scales along weight_axis and then no zero points. */
ert_status ert_output_rule_init(ert_prepare *p, const ert_tensor *x, const ert_tensor *w, const ert_tensor *y,
                                size_t channels, int weight_axis, int activation, ert_output_rule *rule);

/* The third operand: absent, or a constant of `channels` int32 (int8 operator) or float32. `data` receives its
 * elements or NULL. */
ert_status ert_check_bias(ert_prepare *p, const ert_op *op, bool is_int8, size_t channels, const void **data);

/* An enum value of the file that stands for a fused activation. */
ert_status ert_check_activation(ert_prepare *p, int activation);

/* scale_a * scale_b / scale_y in float32, in this order; refused when it is not finite. */
ert_status ert_combined_scale(ert_prepare *p, float scale_a, float scale_b, float scale_y, float *multiplier);

#endif
