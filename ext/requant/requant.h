/* The one rounding rule: how a 32-bit accumulator becomes an int8 output.
 *
 *   y = f32(acc) * multiplier                 acc to float32: to nearest, ties to even; product rounded once
 *   q = rne(min(max(y, out_min - out_zero), out_max - out_zero)) + out_zero
 *
 * Clamping before rounding gives the same integers as clamping after it, since both bounds are integers, and keeps
 * y within +-383, where adding and subtracting 1.5 * 2^23 rounds to nearest even on every processor (armv7 NEON has no
 * such conversion). There is no fused multiply-add here: files are compiled with -ffp-contract=off.
 * Source of the rule: XNNPACK's "fp32" requantisation, https://github.com/google/XNNPACK.
 *
 * multiplier = (scale_x * scale_w[c]) / scale_y, in float32, in this order. It is finite and >= 0.
 * The vector forms stand beside this file, one instruction set a file, and tests/c compares each with ert_requant.
 */
#ifndef ERT_REQUANT_H
#define ERT_REQUANT_H

#include <stdint.h>

static inline int8_t ert_requant(int32_t acc, float multiplier, int32_t out_zero, int8_t out_min, int8_t out_max) {
  const float lo = (float)(out_min - out_zero), hi = (float)(out_max - out_zero);
  float y = (float)acc * multiplier;
  y = y < lo ? lo : y;
  y = y > hi ? hi : y;
  const float magic = 12582912.0f;
  return (int8_t)((int32_t)((y + magic) - magic) + out_zero);
}

#endif
