#include <arm_neon.h>

#include "kernels/fvec/body.h"
#include "kernels/fvec/scalar_bytes.h"

#if defined(ERT_ARCH_AARCH64)
/* TBL looks up 64 entries at once and gives 0 for an index beyond them, TBX keeps what was there: four quarters of the
 * table, with the index moved down by 64 each time, so that it lies in range in one of them. */
static void lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  size_t i = 0;
  if (n >= 16) {
    const int8x16x4_t quarter0 = vld1q_s8_x4(table), quarter1 = vld1q_s8_x4(table + 64);
    const int8x16x4_t quarter2 = vld1q_s8_x4(table + 128), quarter3 = vld1q_s8_x4(table + 192);
    const uint8x16_t step = vdupq_n_u8(64);
    for (; i + 16 <= n; i += 16) {
      uint8x16_t index = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(q + i)), vdupq_n_u8(128));
      int8x16_t found = vqtbl4q_s8(quarter0, index);
      index = vsubq_u8(index, step);
      found = vqtbx4q_s8(found, quarter1, index);
      index = vsubq_u8(index, step);
      found = vqtbx4q_s8(found, quarter2, index);
      index = vsubq_u8(index, step);
      found = vqtbx4q_s8(found, quarter3, index);
      vst1q_s8(out + i, found);
    }
  }
  ert_fvec_scalar_lut_i8(n - i, q + i, table, out + i);
}
#else
/* VTBL of armv7 looks up 32 entries for 8 indices: eight of them are slower than eight loads. */
static void lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  ert_fvec_scalar_lut_i8(n, q, table, out);
}
#endif

static int32_t sum_i8(size_t n, const int8_t *x) {
  enum { RUN = 64 * 16 }; /* bytes: 32 pairs at most for a lane of int16, which is -8192 at the least */
  int32x4_t total = vdupq_n_s32(0);
  size_t i = 0;
  while (i + 32 <= n) {
    int16x8_t even = vdupq_n_s16(0), odd = vdupq_n_s16(0);
    const size_t end = n - i < RUN ? n : i + RUN;
    for (; i + 32 <= end; i += 32) {
      even = vpadalq_s8(even, vld1q_s8(x + i));
      odd = vpadalq_s8(odd, vld1q_s8(x + i + 16));
    }
    total = vpadalq_s16(vpadalq_s16(total, even), odd);
  }
  int32_t lanes[4];
  vst1q_s32(lanes, total);
  const uint32_t sum = (uint32_t)lanes[0] + (uint32_t)lanes[1] + (uint32_t)lanes[2] + (uint32_t)lanes[3];
  return (int32_t)(sum + ert_fvec_scalar_sum_i8(n - i, x + i));
}

#include "kernels/fvec/rows_neon.h"

ERT_FVEC_DEFINE(neon, ERT_ISA_NEON);
