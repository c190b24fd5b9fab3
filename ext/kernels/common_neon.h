/* What the NEON kernels share: loads and stores of fewer bytes than a register, which touch exactly the bytes they
 * name, and products. */
#ifndef ERT_KERNELS_COMMON_NEON_H
#define ERT_KERNELS_COMMON_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/inline.h"

/* Makes the compiler forget that it knows what is at p, so that it loads again instead of copying a register: where
 * many accumulators start from the same bias, the load pipes are idle and the vector pipes are not. */
#define ERT_LOAD_AGAIN(p) __asm__("" : "+r"(p))

/* Products of the upper halves: one instruction on aarch64; on armv7 an upper half is a register of its own. (GCC moves
 * the halves to registers of their own on aarch64, too, unless it is told by name.) */
static inline int16x8_t ert_mull_high_s8(int8x16_t a, int8x16_t b) {
#if defined(__aarch64__)
  return vmull_high_s8(a, b);
#else
  return vmull_s8(vget_high_s8(a), vget_high_s8(b));
#endif
}

static inline int16x8_t ert_mlal_high_s8(int16x8_t acc, int8x16_t a, int8x16_t b) {
#if defined(__aarch64__)
  return vmlal_high_s8(acc, a, b);
#else
  return vmlal_s8(acc, vget_high_s8(a), vget_high_s8(b));
#endif
}

static inline int32x4_t ert_mlal_high_s16(int32x4_t acc, int16x8_t a, int16x8_t b) {
#if defined(__aarch64__)
  return vmlal_high_s16(acc, a, b);
#else
  return vmlal_s16(acc, vget_high_s16(a), vget_high_s16(b));
#endif
}

/* Modulo 2^32. (GCC defines vaddq_s32 by the operator +, so that UBSan reports it where it wraps.) */
static inline int32x4_t ert_add_s32(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_u32(vaddq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}

/* The last n bytes of 8, 1 <= n <= 7, then zeros. */
static inline int8x8_t ert_last_of_8_s8(const int8_t *p, size_t n) {
  return vreinterpret_s8_u64(vshl_u64(vreinterpret_u64_s8(vld1_s8(p)), vdup_n_s64(8 * (int64_t)n - 64)));
}

/* n bytes, 1 <= n <= 7, then zeros. Loads that overlap instead of a loop. */
static inline int8x8_t ert_load_upto_7_s8(const int8_t *p, size_t n) {
  uint64_t v;
  if (n < 4) {
    v = (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << (8 * (n / 2)) |
        (uint64_t)(uint8_t)p[n - 1] << (8 * (n - 1));
  } else {
    uint32_t first, last;
    memcpy(&first, p, sizeof first);
    memcpy(&last, p + n - 4, sizeof last);
    v = first | (uint64_t)last << (8 * (n - 4));
  }
  return vreinterpret_s8_u64(vcreate_u64(v));
}

/* Half 0 or 1 of v: 8 bytes, from where they are. */
static inline void ert_store_8_of_16_s8(int8_t *p, int8x16_t v, const size_t half) {
  const uint64x2_t bits = vreinterpretq_u64_s8(v);
  const uint64_t chosen = half == 0 ? vgetq_lane_u64(bits, 0) : vgetq_lane_u64(bits, 1);
  memcpy(p, &chosen, sizeof chosen);
}

/* Quarter 0 to 3 of v: 4 bytes. */
static inline void ert_store_4_of_16_s8(int8_t *p, int8x16_t v, const size_t quarter) {
  const uint32x4_t bits = vreinterpretq_u32_s8(v);
  const uint32_t chosen = quarter == 0   ? vgetq_lane_u32(bits, 0)
                          : quarter == 1 ? vgetq_lane_u32(bits, 1)
                          : quarter == 2 ? vgetq_lane_u32(bits, 2)
                                         : vgetq_lane_u32(bits, 3);
  memcpy(p, &chosen, sizeof chosen);
}

/* The first n bytes of v, 1 <= n <= 7. */
static inline void ert_store_upto_7_s8(int8_t *p, int8x8_t v, size_t n) {
  const uint64_t bits = vget_lane_u64(vreinterpret_u64_s8(v), 0);
  if (n < 4) {
    p[0] = (int8_t)bits;
    p[n / 2] = (int8_t)(bits >> (8 * (n / 2)));
    p[n - 1] = (int8_t)(bits >> (8 * (n - 1)));
    return;
  }
  const uint32_t first = (uint32_t)bits, last = (uint32_t)(bits >> (8 * (n - 4)));
  memcpy(p, &first, sizeof first);
  memcpy(p + n - 4, &last, sizeof last);
}

#endif
