#include "ops/rule_i16.h"

#include "ops/weighted.h"

#define LARGEST_SUM (INT64_C(1) << 46) /* of products, and of a bias: together they stay below 2^47 */

ert_status ert_check_symmetric(ert_prepare *p, const ert_tensor *t, const char *what) {
  ERT_TRY(ert_check_per_tensor(p, t, what));
  ERT_REQUIRE(p, t->zero_points[0] == 0, "%s has zero point %d, needed 0 for int16", what, (int)t->zero_points[0]);
  return ERT_OK;
}

int16_t ert_quantized_bound_i16(float bound, float scale) {
  const float steps = roundf(bound / scale); /* halves away from 0 */
  return (int16_t)(steps < INT16_MIN ? INT16_MIN : steps > INT16_MAX ? INT16_MAX : steps);
}

void ert_activation_range_i16(int activation, float scale, int16_t *lo, int16_t *hi) {
  float least, most;
  ert_activation_range_f32(activation, &least, &most);
  *lo = ert_quantized_bound_i16(least, scale);
  *hi = ert_quantized_bound_i16(most, scale);
}

ert_status ert_fixed_init(ert_prepare *p, double ratio, int most, ert_fixed *fixed) {
  *fixed = ert_fixed_of(ratio);
  ERT_REQUIRE(p, fixed->shift <= most, "the ratio of scales is %g, needed less than 2^%d", ratio, most);
  return ERT_OK;
}

static ert_status init_bias(ert_prepare *p, const ert_op *op, size_t channels, ert_rule_i16 *rule) {
  if (op->in_count < 3 || op->in[2] == NULL) return ERT_OK;
  const ert_tensor *bias = op->in[2];
  if (bias->dtype == ERT_DTYPE_INT32) {
    const void *data;
    if (rule->rescaling == ERT_RESCALE_64) rule->rescaling = ERT_RESCALE_32;
    ERT_TRY(ert_check_bias(p, op, true, channels, &data));
    rule->bias_32 = data;
    return ERT_OK;
  }
  ERT_TRY(ert_check_constant(p, bias, "bias"));
  ERT_REQUIRE(p, bias->dtype == ERT_DTYPE_INT64, "bias is %s, needed int32 or int64", ert_dtype_name(bias->dtype));
  ERT_REQUIRE(p, bias->rank == 1 && bias->elements == channels, "bias has %zu elements, needed %zu in one dimension",
              bias->elements, channels);
  rule->bias_64 = bias->data;
  for (size_t c = 0; c < channels; c++) {
    ERT_REQUIRE(p, rule->bias_64[c] > -LARGEST_SUM && rule->bias_64[c] < LARGEST_SUM,
                "bias %zu is %lld, needed less than 2^46", c, (long long)rule->bias_64[c]);
  }
  return ERT_OK;
}

ert_status ert_rule_i16_init(ert_prepare *p, const ert_op *op, size_t channels, int weight_axis, size_t terms,
                             int activation, ert_rescaling rescaling, ert_rule_i16 *rule) {
  const ert_tensor *x = op->in[0], *w = op->in[1], *y = op->out[0];
  *rule = (ert_rule_i16){.rescaling = rescaling};
  ERT_TRY(ert_prepare_constants(p));
  ERT_TRY(ert_check_dtype(p, w, "weights", ERT_DTYPE_INT8));
  ERT_TRY(ert_check_dtype(p, y, "output", ERT_DTYPE_INT16));
  ERT_TRY(ert_check_constant(p, w, "weights"));
  ERT_TRY(ert_check_symmetric(p, x, "input"));
  ERT_TRY(ert_check_symmetric(p, y, "output"));
  ERT_TRY(ert_check_activation(p, activation));
  ERT_REQUIRE(p, w->quant_count == 1 || (w->quant_count == channels && w->quant_axis == weight_axis),
              "weights have %u scales along axis %d, needed 1, or %zu along axis %d", (unsigned)w->quant_count,
              (int)w->quant_axis, channels, weight_axis);
  ERT_REQUIRE(p, terms >= 1 && terms <= (size_t)(LARGEST_SUM >> 22), "sums have %zu terms, needed 1 to %lld", terms,
              (long long)(LARGEST_SUM >> 22));
  ERT_TRY(init_bias(p, op, channels, rule));
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(channels, sizeof(ert_fixed), &bytes), "%zu output channels are too many", channels);
  ert_fixed *fixed = ert_prepare_alloc(p, bytes);
  if (fixed == NULL) return ERT_OUT_OF_MEMORY;
  const int most = rule->rescaling == ERT_RESCALE_32 ? ERT_FIXED_SHIFT_32 : ERT_FIXED_SHIFT_64;
  for (size_t c = 0; c < channels; c++) {
    const size_t at = w->quant_count > 1 ? c : 0;
    ERT_REQUIRE(p, w->zero_points[at] == 0, "weights have zero point %d, needed 0 for int16", (int)w->zero_points[at]);
    const double product = (double)x->scales[0] * (double)w->scales[at];
    ERT_TRY(ert_fixed_init(p, product / (double)y->scales[0], most, &fixed[c]));
  }
  rule->fixed = fixed;
  ert_activation_range_i16(activation, y->scales[0], &rule->lo, &rule->hi);
  return ERT_OK;
}
