/* The rounding rule of requant.h for NEON, armv7 and aarch64 alike.
 *
 * The last step adds 1.5 * 2^23, which leaves rne(y) in the low bits of the float: they are narrowed as they are,
 * with no conversion back (on Cortex-A76 a conversion takes two slots of one pipe, an addition one slot of either).
 * armv7 NEON flushes denormals to zero; a product that small rounds to zero anyway.
 */
#ifndef ERT_REQUANT_NEON_H
#define ERT_REQUANT_NEON_H

#include <arm_neon.h>
#include <stdint.h>

typedef struct ert_requant_neon {
  float32x4_t lo, hi, magic;
  uint8x16_t zero;
} ert_requant_neon;

static inline ert_requant_neon ert_requant_neon_init(int32_t out_zero, int8_t out_min, int8_t out_max) {
  ert_requant_neon q;
  q.lo = vdupq_n_f32((float)(out_min - out_zero));
  q.hi = vdupq_n_f32((float)(out_max - out_zero));
  q.magic = vdupq_n_f32(12582912.0f);
  q.zero = vdupq_n_u8((uint8_t)out_zero);
  return q;
}

/* Four outputs less the zero point, each in the low 16 bits of its 32-bit lane. */
static inline int16x8_t ert_requant_neon_bits(const ert_requant_neon *q, int32x4_t acc, float32x4_t multiplier) {
  float32x4_t y = vmulq_f32(vcvtq_f32_s32(acc), multiplier);
  y = vminq_f32(vmaxq_f32(y, q->lo), q->hi);
  return vreinterpretq_s16_f32(vaddq_f32(y, q->magic));
}

/* The low halves of the lanes of a, then of b. */
static inline int16x8_t ert_narrow_neon_s32(int16x8_t a, int16x8_t b) {
#if defined(__aarch64__)
  return vuzp1q_s16(a, b);
#else
  return vcombine_s16(vmovn_s32(vreinterpretq_s32_s16(a)), vmovn_s32(vreinterpretq_s32_s16(b)));
#endif
}

static inline int8x16_t ert_narrow_neon_s16(int16x8_t a, int16x8_t b) {
#if defined(__aarch64__)
  return vuzp1q_s8(vreinterpretq_s8_s16(a), vreinterpretq_s8_s16(b));
#else
  return vcombine_s8(vmovn_s16(a), vmovn_s16(b));
#endif
}

/* Sixteen outputs from four accumulators. */
static inline int8x16_t ert_requant_neon_16(const ert_requant_neon *q, int32x4_t a0, int32x4_t a1, int32x4_t a2,
                                            int32x4_t a3, float32x4_t m0, float32x4_t m1, float32x4_t m2,
                                            float32x4_t m3) {
  const int16x8_t lo = ert_narrow_neon_s32(ert_requant_neon_bits(q, a0, m0), ert_requant_neon_bits(q, a1, m1));
  const int16x8_t hi = ert_narrow_neon_s32(ert_requant_neon_bits(q, a2, m2), ert_requant_neon_bits(q, a3, m3));
  /* Modulo 256: an output less the zero point needs 9 bits, the output itself lies in [out_min, out_max]. */
  return vreinterpretq_s8_u8(vaddq_u8(vreinterpretq_u8_s8(ert_narrow_neon_s16(lo, hi)), q->zero));
}

/* Eight outputs from two accumulators. */
static inline int8x8_t ert_requant_neon_8(const ert_requant_neon *q, int32x4_t a0, int32x4_t a1, float32x4_t m0,
                                          float32x4_t m1) {
  const int16x8_t v = ert_narrow_neon_s32(ert_requant_neon_bits(q, a0, m0), ert_requant_neon_bits(q, a1, m1));
  return vreinterpret_s8_u8(vadd_u8(vreinterpret_u8_s8(vmovn_s16(v)), vget_low_u8(q->zero)));
}

#endif
