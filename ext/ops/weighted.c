#include "ops/weighted.h"

#include <math.h>

ert_status ert_check_activation(ert_prepare *p, int activation) {
  ERT_REQUIRE(p, activation <= ERT_ACTIVATION_RELU_N1_TO_1, "activation is %d, needed one of 0 to %d", activation,
              ERT_ACTIVATION_RELU_N1_TO_1);
  return ERT_OK;
}

ert_status ert_combined_scale(ert_prepare *p, float scale_a, float scale_b, float scale_y, float *multiplier) {
  const float product = scale_a * scale_b;
  *multiplier = product / scale_y;
  ERT_REQUIRE(p, isfinite(*multiplier), "the scales %g * %g / %g overflow, needed a finite ratio", (double)scale_a,
              (double)scale_b, (double)scale_y);
  return ERT_OK;
}

/* The checks of ert_combined_scale, gathered so that the loop becomes vectors: models have tens of thousands of channels. */
static ert_status set_multipliers(ert_prepare *p, float scale_x, const ert_tensor *w, float scale_y, size_t channels,
                                  ert_output_rule *rule) {
  const size_t count = w->quant_count > 1 ? channels : 1;
  float *multipliers = rule->multipliers;
  float largest = 0.0f;
  for (size_t c = 0; c < count; c++) {
    const float product = scale_x * w->scales[c]; /* positive, or infinite */
    multipliers[c] = product / scale_y;
    largest = multipliers[c] > largest ? multipliers[c] : largest;
  }
  for (size_t c = 0; !isfinite(largest) && c < count; c++)
    ERT_TRY(ert_combined_scale(p, scale_x, w->scales[c], scale_y, &multipliers[c]));
  for (size_t c = count; c < channels; c++) multipliers[c] = multipliers[0];
  rule->wide = largest >= 1.0f;
  return ERT_OK;
}

static ert_status init_int8(ert_prepare *p, const ert_tensor *x, const ert_tensor *w, const ert_tensor *y,
                            size_t channels, int weight_axis, int activation, ert_output_rule *rule) {
  ERT_TRY(ert_check_per_tensor(p, x, "input"));
  ERT_TRY(ert_check_per_tensor(p, y, "output"));
  const bool per_channel = w->quant_count > 1;
  ERT_REQUIRE(p, w->quant_count == 1 || (w->quant_count == channels && w->quant_axis == weight_axis),
              "weights have %u scales along axis %d, needed 1, or %zu along axis %d", (unsigned)w->quant_count,
              (int)w->quant_axis, channels, weight_axis);
  for (size_t c = 0; per_channel && c < channels; c++) {
    ERT_REQUIRE(p, w->zero_points[c] == 0, "weights of channel %zu have zero point %d, needed 0", c,
                (int)w->zero_points[c]);
  }
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(channels, sizeof(float), &bytes), "%zu output channels are too many", channels);
  rule->multipliers = ert_prepare_alloc(p, bytes);
  if (rule->multipliers == NULL) return ERT_OUT_OF_MEMORY;
  ERT_TRY(set_multipliers(p, x->scales[0], w, y->scales[0], channels, rule));
  rule->zero_x = x->zero_points[0];
  rule->zero_w = w->zero_points[0];
  rule->zero_y = y->zero_points[0];
  ert_activation_range_i8(activation, y->scales[0], rule->zero_y, &rule->lo_i8, &rule->hi_i8);
  return ERT_OK;
}

ert_status ert_output_rule_init(ert_prepare *p, const ert_tensor *x, const ert_tensor *w, const ert_tensor *y,
                                size_t channels, int weight_axis, int activation, ert_output_rule *rule) {
  *rule = (ert_output_rule){.is_int8 = x->dtype == ERT_DTYPE_INT8};
  ERT_REQUIRE(p, rule->is_int8 || x->dtype == ERT_DTYPE_FLOAT32, "input is %s, needed float32 or int8",
              ert_dtype_name(x->dtype));
  ERT_TRY(ert_check_dtype(p, w, "weights", x->dtype));
  ERT_TRY(ert_check_dtype(p, y, "output", x->dtype));
  ERT_TRY(ert_check_activation(p, activation));
  ert_activation_range_f32(activation, &rule->lo_f32, &rule->hi_f32);
  return rule->is_int8 ? init_int8(p, x, w, y, channels, weight_axis, activation, rule) : ERT_OK;
}

ert_status ert_check_bias(ert_prepare *p, const ert_op *op, bool is_int8, size_t channels, const void **data) {
  *data = NULL;
  if (op->in_count < 3 || op->in[2] == NULL) return ERT_OK;
  const ert_tensor *bias = op->in[2];
  ERT_TRY(ert_check_constant(p, bias, "bias"));
  ERT_TRY(ert_check_dtype(p, bias, "bias", is_int8 ? ERT_DTYPE_INT32 : ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_rank(p, bias, "bias", 1));
  ERT_REQUIRE(p, bias->elements == channels, "bias has %zu elements, needed %zu (one an output channel)",
              bias->elements, channels);
  *data = bias->data;
  return ERT_OK;
}
