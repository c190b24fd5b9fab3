/* The rounding rules of int16: TFLite's fixed-point arithmetic, which its int16x8 models are made for. (int8 has one
 * rule in float32: requant.h.) int16 tensors are symmetric: there are no zero points.
 *
 * A ratio of scales, computed in float64, becomes multiplier * 2^(shift - 31): multiplier in [2^30, 2^31), rounded to
 * nearest with halves up; both 0 where the ratio is below 2^-32. Three products with it:
 *
 *   rescale_32     int32 accumulators, rounded twice. x << shift where shift > 0; the upper 32 bits of twice the
 *                  product, rounded, halves up (gemmlowp's SaturatingRoundingDoublingHighMul: its truncating division
 *                  with a nudge of either sign is that); then the right shift, rounded, halves away from 0. Used by
 *                  weighted operators with an int32 bias, add, sub, mul, relu and its kin, quantize, reduce.
 *   rescale_64     int64 accumulators below 2^47, with the upper 16 bits of the multiplier, rounded; rounded once,
 *                  halves up. Used by convolutions with an int64 bias or none, and by matmul.
 *   rescale_exact  int64 accumulators below 2^47 with the whole multiplier, rounded once, halves up. Used by
 *                  fully_connected.
 *
 * Which operator goes by which is what LiteRT 2 does. Sources: tensorflow/lite/kernels/internal/common.cc
 * (MultiplyByQuantizedMultiplier), quantization_util.cc (QuantizeMultiplier); found for fully_connected by comparison.
 * add and sub: both operands, shifted left by 15 bits, are rescaled to twice the larger scale, added, and rescaled.
 */
#ifndef ERT_REQUANT_FIXED_POINT_H
#define ERT_REQUANT_FIXED_POINT_H

#include <math.h>
#include <stdint.h>

typedef struct ert_fixed {
  int32_t multiplier, shift;
} ert_fixed;

/* Shifts that the rescalings take: a ratio below 2^30, and below 2^7 for int64 accumulators. */
#define ERT_FIXED_SHIFT_32 30
#define ERT_FIXED_SHIFT_64 7

/* ratio: finite and not negative. */
static inline ert_fixed ert_fixed_of(double ratio) {
  int exponent;
  const double fraction = frexp(ratio, &exponent);
  int64_t multiplier = (int64_t)(fraction * 2147483648.0 + 0.5);
  if (multiplier == INT64_C(1) << 31) {
    multiplier /= 2;
    exponent++;
  }
  if (exponent < -31) return (ert_fixed){0, 0};
  return (ert_fixed){(int32_t)multiplier, exponent};
}

static inline int32_t ert_rescale_32(int32_t x, ert_fixed f) {
  const int left = f.shift > 0 ? f.shift : 0, right = f.shift > 0 ? 0 : -f.shift;
  const int64_t product = (int64_t)(int32_t)((uint32_t)x << left) * f.multiplier;
  const int64_t high = (product + (INT64_C(1) << 30)) >> 31, half = INT64_C(1) << right >> 1;
  return (int32_t)((high + half - (high < 0 && half != 0)) >> right);
}

static inline int64_t ert_rescale_64(int64_t x, ert_fixed f) {
  const int32_t reduced = f.multiplier < 0x7FFF0000 ? (f.multiplier + (1 << 15)) >> 16 : 0x7FFF;
  const int right = 15 - f.shift;
  return (x * reduced + (INT64_C(1) << (right - 1))) >> right;
}

/* The product would need 78 bits: the lower 16 of x go first, and what they carry is added to the rest. */
static inline int64_t ert_rescale_exact(int64_t x, ert_fixed f) {
  const int right = 31 - f.shift;
  const int64_t low = ((x & 0xFFFF) * f.multiplier + (INT64_C(1) << (right - 1))) >> 16;
  return ((x >> 16) * f.multiplier + low) >> (right - 16);
}

#endif
