/* What the NEON kernels share: how the accumulators of a few pixels of eight channels become outputs. */
#ifndef ERT_KERNELS_QDW_PIXELS_NEON_H
#define ERT_KERNELS_QDW_PIXELS_NEON_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernels/common_neon.h"
#include "requant/requant_neon.h"

#if defined(__aarch64__)
enum { PIXELS = 4 };
#else
enum { PIXELS = 2 };
#endif
enum { NR = 8 };

/* Accumulators start from the bias. */
ERT_INLINE void ert_qdw_start(const size_t count, const int32_t *bias, int32x4_t acc[PIXELS][2]) {
  ERT_UNROLL for (size_t p = 0; p < count; p++) {
    acc[p][0] = vld1q_s32(bias);
    acc[p][1] = vld1q_s32(bias + 4);
    ERT_LOAD_AGAIN(bias);
  }
}

/* Two pixels in each y; a single one in the lower half. */
ERT_INLINE void ert_qdw_round(const ert_requant_kind kind, const size_t count, const ert_requant_neon *q,
                              int32x4_t acc[PIXELS][2], const float *multiplier, int8x16_t *y) {
  const float32x4_t m0 = vabsq_f32(vld1q_f32(multiplier)), m1 = vld1q_f32(multiplier + 4);
  if (count == 1) {
    const int8x8_t one = ert_requant_neon_8(kind, q, acc[0][0], acc[0][1], m0, m1);
    y[0] = vcombine_s8(one, one);
    return;
  }
  ERT_UNROLL for (size_t p = 0; p < count; p += 2) {
    y[p / 2] = ert_requant_neon_16(kind, q, acc[p][0], acc[p][1], acc[p + 1][0], acc[p + 1][1], m0, m1, m0, m1);
  }
}

/* `count` pixels, `channels` bytes apart: `valid` channels of each, 1 to 7, or all if `whole`. */
ERT_INLINE void ert_qdw_finish(const ert_requant_kind kind, const size_t count, const bool whole, size_t valid,
                               const ert_requant_neon *q, int32x4_t acc[PIXELS][2], const float *multiplier,
                               int8_t *out, size_t channels) {
  int8x16_t y[(PIXELS + 1) / 2];
  ERT_REQUANT_SWITCH(kind, ert_qdw_round, count, q, acc, multiplier, y);
  ERT_UNROLL for (size_t p = 0; p < count; p++, out += channels) {
    if (whole) ert_store_8_of_16_s8(out, y[p / 2], p % 2);
    else ert_store_upto_7_s8(out, p % 2 == 0 ? vget_low_s8(y[p / 2]) : vget_high_s8(y[p / 2]), valid);
  }
}

#endif
