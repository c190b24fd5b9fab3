#include <math.h>

#include "kernels/qadd/qadd.h"

/* The larger of the two scale ratios becomes a multiplier of 21 bits, and the other one shares its shift. */
bool ert_qadd_params_init(ert_qadd_params *params, float a_scale, int32_t a_zero, float b_scale, int32_t b_zero,
                          int b_sign, float out_scale, int32_t out_zero, int8_t out_min, int8_t out_max) {
  const float a_ratio = a_scale / out_scale, b_ratio = b_scale / out_scale;
  const float larger = a_ratio > b_ratio ? a_ratio : b_ratio;
  if (!(larger >= 0x1p-20f && larger < 0x1p16f)) return false; /* also when it is NaN */
  int exponent; /* larger is in [2^(exponent-1), 2^exponent) */
  (void)frexpf(larger, &exponent);
  int shift = 21 - exponent;
  if (shift > 30) shift = 30;
  const int32_t a_multiplier = (int32_t)lrintf(ldexpf(a_ratio, shift));
  const int32_t b_multiplier = (int32_t)lrintf(ldexpf(b_ratio, shift)) * (b_sign < 0 ? -1 : 1);
  *params = (ert_qadd_params){
      .bias = (INT32_C(1) << (shift - 1)) - a_multiplier * a_zero - b_multiplier * b_zero,
      .a_multiplier = a_multiplier,
      .b_multiplier = b_multiplier,
      .shift = (uint8_t)shift,
      .out_zero = out_zero,
      .out_min = out_min,
      .out_max = out_max,
  };
  return true;
}
