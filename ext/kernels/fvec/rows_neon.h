/* Sums of rows of bytes by SADALP, which adds bytes in pairs to lanes of int16. Four rows at a time share the set-up of
 * every tap and the sums across lanes in the end. The last bytes of a tap are read again with those before them, which
 * are counted already and masked away. SDOT with ones would take as many instructions. */
#ifndef ERT_KERNELS_FVEC_ROWS_NEON_H
#define ERT_KERNELS_FVEC_ROWS_NEON_H

#include <arm_neon.h>
#include <stdint.h>

#include "kernels/common_neon.h"
#include "kernels/fvec/scalar_bytes.h"

enum {
  ROWS_AT_ONCE = 4,
  MOST_STEPS = 127, /* pairs of bytes, -256 at the least, that a lane of int16 holds */
  MOST_TAPS = 31    /* of less than 16 bytes, each two steps, with two lanes added before they are widened */
};

#define ERT_EACH_ROW ERT_UNROLL for (size_t r = 0; r < ROWS_AT_ONCE; r++)

static inline int32x4_t sum_lanes_of_4(const int32x4_t *a) {
#if defined(__aarch64__)
  return vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3]));
#else
  int32x2_t half[ROWS_AT_ONCE];
  ERT_EACH_ROW half[r] = vadd_s32(vget_low_s32(a[r]), vget_high_s32(a[r]));
  return vcombine_s32(vpadd_s32(half[0], half[1]), vpadd_s32(half[2], half[3]));
#endif
}

/* -1 in the last n of 16 bytes, n <= 16. */
static inline int8x16_t last_of_16(size_t n) {
  static const int8_t MASK[32] = {[16] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  return vld1q_s8(MASK + n);
}

/* Four rows of taps of 16 bytes or more. */
static inline int32x4_t sum_long(const int8_t *const *rows, size_t taps, const ptrdiff_t *tap_offset, size_t k,
                                 int8x16_t counted) {
  int32x4_t total[ROWS_AT_ONCE];
  int16x8_t acc[ROWS_AT_ONCE];
  size_t steps = 0;
  ERT_EACH_ROW acc[r] = vdupq_n_s16(0);
  ERT_EACH_ROW total[r] = vdupq_n_s32(0);
  for (size_t t = 0; t < taps; t++) {
    const int8_t *x[ROWS_AT_ONCE];
    ERT_EACH_ROW x[r] = rows[r] + tap_offset[t];
    size_t i = 0;
    while (i + 16 <= k) { /* up to MOST_STEPS - 1, to leave one to the end of the tap */
      const size_t left = 16 * (MOST_STEPS - 1 - steps), end = k - i < left ? k : i + left;
      for (; i + 16 <= end; i += 16, steps++) ERT_EACH_ROW acc[r] = vpadalq_s8(acc[r], vld1q_s8(x[r] + i));
      if (steps < MOST_STEPS - 1) break;
      ERT_EACH_ROW total[r] = vpadalq_s16(total[r], acc[r]);
      ERT_EACH_ROW acc[r] = vdupq_n_s16(0);
      steps = 0;
    }
    if (i == k) continue;
    ERT_EACH_ROW acc[r] = vpadalq_s8(acc[r], vandq_s8(vld1q_s8(x[r] + k - 16), counted));
    steps++; /* MOST_STEPS - 1 at most */
  }
  ERT_EACH_ROW total[r] = vpadalq_s16(total[r], acc[r]);
  return sum_lanes_of_4(total);
}

/* Four rows of at most MOST_TAPS taps of less than 16 bytes. */
static inline int32x4_t sum_short(const int8_t *const *rows, size_t taps, const ptrdiff_t *tap_offset, size_t k,
                                  int8x8_t counted) {
  int16x4_t acc[ROWS_AT_ONCE];
  ERT_EACH_ROW acc[r] = vdup_n_s16(0);
  for (size_t t = 0; t < taps; t++) {
    const int8_t *x[ROWS_AT_ONCE];
    ERT_EACH_ROW x[r] = rows[r] + tap_offset[t];
    if (k < 8) {
      ERT_EACH_ROW acc[r] = vpadal_s8(acc[r], ert_load_upto_7_s8(x[r], k));
      continue;
    }
    ERT_EACH_ROW acc[r] = vpadal_s8(acc[r], vld1_s8(x[r]));
    if (k > 8) ERT_EACH_ROW acc[r] = vpadal_s8(acc[r], vand_s8(vld1_s8(x[r] + k - 8), counted));
  }
  return vpaddlq_s16(vcombine_s16(vpadd_s16(acc[0], acc[1]), vpadd_s16(acc[2], acc[3])));
}

/* Four rows of 8 bytes that follow each other: two in a register. */
static inline int32x4_t sum_rows_of_8(const int8_t *x) {
  const int16x8_t a = vpaddlq_s8(vld1q_s8(x)), b = vpaddlq_s8(vld1q_s8(x + 16));
  return vpaddlq_s16(vcombine_s16(vpadd_s16(vget_low_s16(a), vget_high_s16(a)),
                                  vpadd_s16(vget_low_s16(b), vget_high_s16(b))));
}

static void sum_rows_i8(size_t m, const int8_t *const *rows, size_t row_step, size_t taps, const ptrdiff_t *tap_offset,
                        size_t k, int32_t factor, int32_t *out) {
  if (k < 16 && taps > MOST_TAPS) {
    ert_fvec_sum_rows_by(sum_i8, m, rows, taps, tap_offset, k, factor, out);
    return;
  }
  const int8x16_t counted = last_of_16(k < 16 ? k % 8 : k % 16);
  const bool together = taps == 1 && k == 8 && row_step == 8;
  for (size_t i = 0; i < m; i += ROWS_AT_ONCE) {
    const size_t count = m - i < ROWS_AT_ONCE ? m - i : ROWS_AT_ONCE;
    const int8_t *of_last[ROWS_AT_ONCE];
    const int8_t *const *x = rows + i;
    if (count < ROWS_AT_ONCE) {
      ERT_EACH_ROW of_last[r] = x[r < count ? r : count - 1];
      x = of_last;
    }
    int32x4_t sum;
    if (together && count == ROWS_AT_ONCE) sum = sum_rows_of_8(x[0] + tap_offset[0]);
    else if (k < 16) sum = sum_short(x, taps, tap_offset, k, vget_high_s8(counted));
    else sum = sum_long(x, taps, tap_offset, k, counted);
    sum = vmulq_n_s32(sum, factor);
    if (count == ROWS_AT_ONCE) {
      vst1q_s32(out + i, sum);
    } else {
      int32_t part[ROWS_AT_ONCE];
      vst1q_s32(part, sum);
      for (size_t r = 0; r < count; r++) out[i + r] = part[r];
    }
  }
}

#endif
