/* SMMLA: a tile of 8 rows by 8 channels. An instruction takes 8 k of two rows and of two channels and adds the four
 * dot products to one register: [row 0 channel 0, row 0 channel 1, row 1 channel 0, row 1 channel 1]. */
#include <arm_neon.h>

#include "kernels/common_neon.h"
#include "kernels/qgemm/layouts.h"
#include "kernels/qgemm/tiles_neon.h"

enum { MR = 8, NR = 8, KR = 8, PAIRS = NR / 2 };

/* v[p]: 8 k of rows 2p and 2p + 1. */
#define MULTIPLY(v)                                                                                                \
  do {                                                                                                             \
    const int8x16x4_t part = vld1q_s8_x4(w);                                                                       \
    w += NR * KR;                                                                                                  \
    ERT_LOAD_AGAIN(w);                                                                                             \
    ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) {                                                                \
      ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) acc[p][c] = vmmlaq_s32(acc[p][c], (v)[p], part.val[c]);    \
    }                                                                                                              \
  } while (0)

static inline int8x16_t pair(int8x8_t a, int8x8_t b) { return vcombine_s8(a, b); }

ERT_INLINE void finish(const ert_requant_kind kind, const size_t row_pairs, const ert_requant_neon *q,
                       int32x4_t acc[MR / 2][PAIRS], const float32x4_t *m, int8x16_t *y) {
  ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
    const int32x4_t *a = acc[p];
    y[p] = ert_requant_neon_16(kind, q, a[0], a[1], a[2], a[3], m[0], m[1], m[2], m[3]);
  }
}

ERT_INLINE void tile(const size_t mr, const ert_qgemm_work *work, size_t first_row, int8_t *out) {
  const int8_t *const *rows = work->rows + first_row;
  const int32_t *bias = (const int32_t *)work->block;
  const float *multiplier = (const float *)(bias + NR);
  const int8_t *w = (const int8_t *)(multiplier + NR);
  const size_t k = work->k, whole = k / 16 * 16, row_pairs = (mr + 1) / 2;
  int32x4_t acc[MR / 2][PAIRS];
  float32x4_t m[PAIRS];
  ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) {
    const int32x2_t b = vld1_s32(bias + 2 * c);
    ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) acc[p][c] = vcombine_s32(b, b);
  }
  size_t t = 0;
  do {
    const ptrdiff_t offset = work->tap_offset[t];
    const int8_t *x[MR + 1];
    ERT_UNROLL for (size_t r = 0; r < mr; r++) x[r] = rows[r] + offset;
    if (mr == 1) x[1] = x[0]; /* a single row is computed twice and stored once */
    size_t i = 0;
    int8x16_t v[MR / 2];
    for (; i != whole; i += 16) {
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
        const int8_t *a = x[2 * p], *b = x[2 * p + 1];
        v[p] = k >= 8 ? pair(ert_last_of_8_s8(a + k - 8, k - i), ert_last_of_8_s8(b + k - 8, k - i))
                      : pair(ert_load_upto_7_s8(a + i, k - i), ert_load_upto_7_s8(b + i, k - i));
      }
      MULTIPLY(v);
    }
  } while (++t < work->taps);
  if (work->row_bias != NULL) {
    const int32_t *row_bias = work->row_bias + first_row;
    ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
      const int32x4_t both = vcombine_s32(vdup_n_s32(row_bias[2 * p]), vdup_n_s32(row_bias[mr == 1 ? 0 : 2 * p + 1]));
      ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) acc[p][c] = ert_add_s32(acc[p][c], both);
    }
  }
  ERT_UNROLL for (size_t c = 0; c < PAIRS; c++) {
    const float32x2_t of_pair = vabs_f32(vld1_f32(multiplier + 2 * c));
    m[c] = vcombine_f32(of_pair, of_pair);
  }
  int8x16_t outputs[MR / 2];
  ERT_REQUANT_SWITCH(work->kind, finish, row_pairs, &work->requant, acc, m, outputs);
  ERT_UNROLL for (size_t p = 0; p < row_pairs; p++) {
    const int16x8_t two = vreinterpretq_s16_s8(outputs[p]);
    const int8x16_t y = vreinterpretq_s8_s16(vuzp1q_s16(two, vextq_s16(two, two, 1))); /* pairs of channels by rows */
    int8_t *to = out + 2 * p * work->out_stride;
    if (work->valid_n == NR) {
      ert_store_8_of_16_s8(to, y, 0);
      if (mr > 1) ert_store_8_of_16_s8(to + work->out_stride, y, 1);
    } else {
      int8_t part[2 * NR];
      vst1q_s8(part, y);
      ert_qgemm_store_part(work, mr > 1 ? 2 : 1, NR, part, to);
    }
  }
}

ERT_QGEMM_TILES(8)
ERT_QGEMM_TILES(4)
ERT_QGEMM_TILES(2)
ERT_QGEMM_TILES(1)

extern const ert_qgemm_kernel ert_qgemm_neoni8mm_8x8;

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tiles_fn TILES[] = {tiles_1, tiles_2, tiles_4, tiles_8};
  ert_qgemm_run_tiles(&ert_qgemm_neoni8mm_8x8, TILES, args, m, rows, out, out_stride);
}

const ert_qgemm_kernel ert_qgemm_neoni8mm_8x8 = {ERT_QGEMM_LAYOUT_neoni8mm_8x8, .run = run};
