/* SMMLA: a tile of 8 rows by 8 channels. An instruction takes 8 k of two rows and of two channels and adds the four
 * dot products to one register: [row 0 channel 0, row 0 channel 1, row 1 channel 0, row 1 channel 1]. */
#include <arm_neon.h>

#include "kernels/common_neon.h"
#include "kernels/qgemm/tiles_neon.h"
#include "requant/requant_neon.h"

enum { MR = 8, NR = 8, KR = 8, PAIRS = NR / 2 };

/* v[p]: 8 k of rows 2p and 2p + 1. */
#define MULTIPLY(v)                                                                                           \
  do {                                                                                                        \
    ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) {                                                           \
      const int8x16_t wc = vld1q_s8(w + 16 * c);                                                              \
      ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) acc[p][c] = vmmlaq_s32(acc[p][c], (v)[p], wc);        \
    }                                                                                                         \
    w += NR * KR;                                                                                             \
  } while (0)

static inline int8x16_t pair(int8x8_t a, int8x8_t b) { return vcombine_s8(a, b); }

ERT_SPECIALISE void tile(const size_t mr, const ert_qgemm_args *args, const uint8_t *block, size_t valid_n,
                         const int8_t *const *rows, const int32_t *row_bias, int8_t *out, size_t out_stride) {
  const int32_t *bias = (const int32_t *)block;
  const float *multiplier = (const float *)(bias + NR);
  const int8_t *w = (const int8_t *)(multiplier + NR);
  const size_t k = args->k, row_pairs = (mr + 1) / 2;
  int32x4_t acc[MR / 2][PAIRS];
  float32x4_t m[PAIRS];
  ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) {
    const int32x2_t b = vld1_s32(bias + 2 * c);
    ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) acc[p][c] = vcombine_s32(b, b);
  }
  size_t t = 0;
  do {
    const ptrdiff_t offset = args->tap_offset[t];
    const int8_t *x[MR + 1];
    ERT_UNROLL for (size_t r = 0; r < mr; r++) x[r] = rows[r] + offset;
    if (mr == 1) x[1] = x[0]; /* a single row is computed twice and stored once */
    size_t i = 0;
    int8x16_t v[MR / 2];
    for (; i + 16 <= k; i += 16) {
      int8x16_t high[MR / 2];
      ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
        const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(x[2 * p] + i));
        const int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(x[2 * p + 1] + i));
        v[p] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
        high[p] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
      }
      MULTIPLY(v);
      MULTIPLY(high);
    }
    if (i + 8 <= k) {
      ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) v[p] = pair(vld1_s8(x[2 * p] + i), vld1_s8(x[2 * p + 1] + i));
      MULTIPLY(v);
      i += 8;
    }
    if (i < k) {
      ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
        v[p] = pair(ert_load_upto_7_s8(x[2 * p] + i, k - i), ert_load_upto_7_s8(x[2 * p + 1] + i, k - i));
      }
      MULTIPLY(v);
    }
  } while (++t < args->taps);
  if (row_bias != NULL) {
    ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
      const int32x4_t both = vcombine_s32(vdup_n_s32(row_bias[2 * p]), vdup_n_s32(row_bias[mr == 1 ? 0 : 2 * p + 1]));
      ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) acc[p][c] = ert_add_s32(acc[p][c], both);
    }
  }
  ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) {
    const float32x2_t of_pair = vld1_f32(multiplier + 2 * c);
    m[c] = vcombine_f32(of_pair, of_pair);
  }
  const ert_requant_neon q = ert_requant_neon_init(args->out_zero, args->out_min, args->out_max);
  ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
    const int32x4_t *a = acc[p];
    const int16x8_t two = vreinterpretq_s16_s8(ert_requant_neon_16(&q, a[0], a[1], a[2], a[3], m[0], m[1], m[2], m[3]));
    const int8x16_t y = vreinterpretq_s8_s16(vuzp1q_s16(two, vextq_s16(two, two, 1))); /* pairs of channels by rows */
    const int8x8_t first = vget_low_s8(y), second = vget_high_s8(y);
    int8_t *to = out + 2 * p * out_stride;
    if (valid_n == NR) {
      vst1_s8(to, first);
      if (mr > 1) vst1_s8(to + out_stride, second);
    } else {
      ert_store_upto_7_s8(to, first, valid_n);
      if (mr > 1) ert_store_upto_7_s8(to + out_stride, second, valid_n);
    }
  }
}

ERT_QGEMM_TILE(8)
ERT_QGEMM_TILE(4)
ERT_QGEMM_TILE(2)
ERT_QGEMM_TILE(1)

extern const ert_qgemm_kernel ert_qgemm_neoni8mm_8x8;

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tile_fn TILES[] = {tile_1, tile_2, tile_4, tile_8};
  ert_qgemm_run_tiles(&ert_qgemm_neoni8mm_8x8, TILES, args, m, rows, out, out_stride);
}

const ert_qgemm_kernel ert_qgemm_neoni8mm_8x8 = {.name = "qgemm_neoni8mm_8x8",
                                                 .isa = ERT_ISA_NEONI8MM,
                                                 .mr = MR,
                                                 .nr = NR,
                                                 .kr = KR,
                                                 .weight_bytes = 1,
                                                 .run = run};
