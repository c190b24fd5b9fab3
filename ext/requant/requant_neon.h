/* The rounding rule of requant.h for NEON, armv7 and aarch64 alike.
 *
 * The last step adds 1.5 * 2^23, which leaves rne(y) in the low bits of the float: they are narrowed as they are,
 * with no conversion back (on Cortex-A76 a conversion takes two slots of one pipe, an addition one slot of either).
 * Where packing has proved accumulators and their products to be small (kernels/bounds.h), an accumulator is the float
 * 1.5 * 2^23 + acc already, and its rounded product fits int16: saturating narrowing clamps it, and the activation's
 * bounds are applied to sixteen outputs at a time, or not at all where they are those of int8. The zero point is added
 * with 1.5 * 2^23 where that is even, for then it changes no tie.
 * armv7 NEON flushes denormals to zero; a product that small rounds to zero anyway.
 */
#ifndef ERT_REQUANT_NEON_H
#define ERT_REQUANT_NEON_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/inline.h"

typedef enum ert_requant_kind {
  ERT_REQUANT_ANY,   /* any accumulator */
  ERT_REQUANT_SMALL, /* a small one */
  ERT_REQUANT_PLAIN, /* a small one, an even zero point and no bounds but those of int8 */
} ert_requant_kind;

typedef struct ert_requant_neon {
  float32x4_t lo, hi, magic;
  float32x4_t magic_zero; /* with the zero point, if `plain` */
  uint8x16_t zero;
  int16x8_t zero_16;
  int8x16_t min, max;
  bool plain;
} ert_requant_neon;

static inline ert_requant_neon ert_requant_neon_init(int32_t out_zero, int8_t out_min, int8_t out_max) {
  const float magic = 12582912.0f;
  ert_requant_neon q;
  q.lo = vdupq_n_f32((float)(out_min - out_zero));
  q.hi = vdupq_n_f32((float)(out_max - out_zero));
  q.magic = vdupq_n_f32(magic);
  q.magic_zero = vdupq_n_f32(magic + (float)out_zero);
  q.zero = vdupq_n_u8((uint8_t)out_zero);
  q.zero_16 = vdupq_n_s16((int16_t)out_zero);
  q.min = vdupq_n_s8(out_min);
  q.max = vdupq_n_s8(out_max);
  q.plain = out_zero % 2 == 0 && out_min == INT8_MIN && out_max == INT8_MAX;
  return q;
}

/* How to finish a block of which `small` is proved, or is not. */
static inline ert_requant_kind ert_requant_neon_kind(const ert_requant_neon *q, bool small) {
  if (!small) return ERT_REQUANT_ANY;
  return q->plain ? ERT_REQUANT_PLAIN : ERT_REQUANT_SMALL;
}

/* Four outputs, each in the low 16 bits of its 32-bit lane: with the zero point if plain, else less it, and clamped
 * if the accumulators are any. */
ERT_INLINE int16x8_t ert_requant_neon_bits(const ert_requant_kind kind, const ert_requant_neon *q, int32x4_t acc,
                                           float32x4_t multiplier) {
  if (kind == ERT_REQUANT_ANY) {
    const float32x4_t y = vmulq_f32(vcvtq_f32_s32(acc), multiplier);
    return vreinterpretq_s16_f32(vaddq_f32(vminq_f32(vmaxq_f32(y, q->lo), q->hi), q->magic));
  }
  const float32x4_t y = vmulq_f32(vsubq_f32(vreinterpretq_f32_s32(acc), q->magic), multiplier);
  return vreinterpretq_s16_f32(vaddq_f32(y, kind == ERT_REQUANT_PLAIN ? q->magic_zero : q->magic));
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

static inline int8x16_t ert_saturate_neon_s16(int16x8_t a, int16x8_t b) {
#if defined(__aarch64__)
  return vqmovn_high_s16(vqmovn_s16(a), b);
#else
  return vcombine_s8(vqmovn_s16(a), vqmovn_s16(b));
#endif
}

/* Sixteen outputs from four accumulators. kind is a constant. */
ERT_INLINE int8x16_t ert_requant_neon_16(const ert_requant_kind kind, const ert_requant_neon *q, int32x4_t a0,
                                         int32x4_t a1, int32x4_t a2, int32x4_t a3, float32x4_t m0, float32x4_t m1,
                                         float32x4_t m2, float32x4_t m3) {
  const int16x8_t low =
      ert_narrow_neon_s32(ert_requant_neon_bits(kind, q, a0, m0), ert_requant_neon_bits(kind, q, a1, m1));
  const int16x8_t high =
      ert_narrow_neon_s32(ert_requant_neon_bits(kind, q, a2, m2), ert_requant_neon_bits(kind, q, a3, m3));
  if (kind == ERT_REQUANT_PLAIN) return ert_saturate_neon_s16(low, high);
  if (kind == ERT_REQUANT_SMALL) {
    const int8x16_t y = ert_saturate_neon_s16(vqaddq_s16(low, q->zero_16), vqaddq_s16(high, q->zero_16));
    return vminq_s8(vmaxq_s8(y, q->min), q->max);
  }
  /* Modulo 256: an output less the zero point needs 9 bits, the output itself lies in [out_min, out_max]. */
  return vreinterpretq_s8_u8(vaddq_u8(vreinterpretq_u8_s8(ert_narrow_neon_s16(low, high)), q->zero));
}

/* Eight outputs from two accumulators. kind is a constant. */
ERT_INLINE int8x8_t ert_requant_neon_8(const ert_requant_kind kind, const ert_requant_neon *q, int32x4_t a0,
                                       int32x4_t a1, float32x4_t m0, float32x4_t m1) {
  const int16x8_t y =
      ert_narrow_neon_s32(ert_requant_neon_bits(kind, q, a0, m0), ert_requant_neon_bits(kind, q, a1, m1));
  if (kind == ERT_REQUANT_PLAIN) return vqmovn_s16(y);
  if (kind == ERT_REQUANT_SMALL) {
    const int8x8_t clamped = vmax_s8(vqmovn_s16(vqaddq_s16(y, q->zero_16)), vget_low_s8(q->min));
    return vmin_s8(clamped, vget_low_s8(q->max));
  }
  return vreinterpret_s8_u8(vadd_u8(vreinterpret_u8_s8(vmovn_s16(y)), vget_low_u8(q->zero)));
}

/* Calls finish(kind, ...) with the kind as a constant, so that it is compiled once for each. */
#define ERT_REQUANT_SWITCH(kind, finish, ...)                                            \
  do {                                                                                   \
    if ((kind) == ERT_REQUANT_PLAIN) finish(ERT_REQUANT_PLAIN, __VA_ARGS__);             \
    else if ((kind) == ERT_REQUANT_SMALL) finish(ERT_REQUANT_SMALL, __VA_ARGS__);        \
    else finish(ERT_REQUANT_ANY, __VA_ARGS__);                                           \
  } while (0)

#endif
