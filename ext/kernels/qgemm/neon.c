/* NEON without dot product, armv7 (2 rows by 4 channels) and aarch64 (4 by 4). An accumulator register holds four
 * partial sums of one row and one channel: 16 k of the row are multiplied with 16 k of the channel to int16, added in
 * pairs into it, and the four are summed at the end.
 *
 * The sum of two products fits int16 unless all four factors are -128. Weights of trained models have no -128, weights
 * of a stranger's file may: two products are added before they are widened in blocks that have none (bounds.h). */
#include <arm_neon.h>

#include "kernels/common_neon.h"
#include "kernels/qgemm/tiles_neon.h"

#if defined(__aarch64__)
enum { MR = 4 };
#else
enum { MR = 2 };
#endif
enum { NR = 4, KR = 16 };

/* Lane i of the result is the sum of the lanes of a[i]. */
static inline int32x4_t sum_each(const int32x4_t *a) {
#if defined(__aarch64__)
  return vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3]));
#else
  int32x2_t half[4];
  ERT_UNROLL for (size_t i = 0; i < 4; i++) half[i] = vadd_s32(vget_low_s32(a[i]), vget_high_s32(a[i]));
  return vcombine_s32(vpadd_s32(half[0], half[1]), vpadd_s32(half[2], half[3]));
#endif
}

/* The products of a group, or of one half of it, with a column of channels at a time. The order keeps four results in
 * flight: an in-order core waits for none of them. */
#define EACH_ROW ERT_UNROLL for (size_t r = 0; r < mr; r++)
#define EACH_CHANNEL ERT_UNROLL for (size_t c = 0; c < NR; c++)

#define MULTIPLY_16_IN_PAIRS(v)                                                          \
  EACH_CHANNEL {                                                                         \
    const int8x16_t wc = vld1q_s8(w + c * KR);                                           \
    int16x8_t product[MR];                                                               \
    EACH_ROW product[r] = vmull_s8(vget_low_s8((v)[r]), vget_low_s8(wc));                \
    EACH_ROW product[r] = ert_mlal_high_s8(product[r], (v)[r], wc);                      \
    EACH_ROW acc[r][c] = vpadalq_s16(acc[r][c], product[r]);                             \
  }

#define MULTIPLY_16(v)                                                                   \
  EACH_CHANNEL {                                                                         \
    const int8x16_t wc = vld1q_s8(w + c * KR);                                           \
    int16x8_t low[MR], high[MR];                                                         \
    EACH_ROW low[r] = vmull_s8(vget_low_s8((v)[r]), vget_low_s8(wc));                    \
    EACH_ROW high[r] = ert_mull_high_s8((v)[r], wc);                                     \
    EACH_ROW acc[r][c] = vpadalq_s16(acc[r][c], low[r]);                                 \
    EACH_ROW acc[r][c] = vpadalq_s16(acc[r][c], high[r]);                                \
  }

#define MULTIPLY_8(v, half)                                                              \
  EACH_CHANNEL {                                                                         \
    const int8x8_t wc = vld1_s8(w + c * KR + 8 * (half));                                \
    int16x8_t product[MR];                                                               \
    EACH_ROW product[r] = vmull_s8((v)[r], wc);                                          \
    EACH_ROW acc[r][c] = vpadalq_s16(acc[r][c], product[r]);                             \
  }

/* The last n bytes of a tap of k, 1 <= n <= 7, then zeros. */
static inline int8x8_t load_end(const int8_t *tap, size_t k, size_t n) {
  return k >= 8 ? ert_last_of_8_s8(tap + k - 8, n) : ert_load_upto_7_s8(tap, n);
}

ERT_INLINE void finish(const ert_requant_kind kind, const size_t mr, const ert_requant_neon *q, const int32x4_t *sum,
                       float32x4_t m, int8x8_t *y) {
  if (mr <= 2) {
    y[0] = y[1] = ert_requant_neon_8(kind, q, sum[0], sum[1], m, m);
  } else {
    const int8x16_t four = ert_requant_neon_16(kind, q, sum[0], sum[1], sum[2], sum[3], m, m, m, m);
    y[0] = vget_low_s8(four);
    y[1] = vget_high_s8(four);
  }
}

ERT_INLINE void tile(const size_t mr, const ert_qgemm_work *work, size_t first_row) {
  const int8_t *const *rows = work->rows + first_row;
  const int32_t *bias = (const int32_t *)work->block;
  const float *multiplier = (const float *)(bias + NR);
  const int8_t *w = (const int8_t *)(multiplier + NR);
  const ert_bounds bounds = ert_bounds_of(multiplier);
  const size_t k = work->k;
  int32x4_t acc[MR][NR];
  EACH_ROW {
    EACH_CHANNEL acc[r][c] = vdupq_n_s32(0);
  }
  size_t t = 0;
  do {
    const ptrdiff_t offset = work->tap_offset[t];
    const int8_t *x[MR];
    EACH_ROW x[r] = rows[r] + offset;
    size_t i = 0;
    if (bounds.pairs) {
      for (; i + 16 <= k; i += 16, w += NR * KR) {
        int8x16_t v[MR];
        EACH_ROW v[r] = vld1q_s8(x[r] + i);
        MULTIPLY_16_IN_PAIRS(v)
      }
    } else {
      for (; i + 16 <= k; i += 16, w += NR * KR) {
        int8x16_t v[MR];
        EACH_ROW v[r] = vld1q_s8(x[r] + i);
        MULTIPLY_16(v)
      }
    }
    if (i < k) {
      int8x8_t v[MR];
      if (k - i >= 8) {
        EACH_ROW v[r] = vld1_s8(x[r] + i);
      } else {
        EACH_ROW v[r] = load_end(x[r], k, k - i);
      }
      MULTIPLY_8(v, 0)
      if (k - i > 8) {
        EACH_ROW v[r] = load_end(x[r], k, k - i - 8);
        MULTIPLY_8(v, 1)
      }
      w += NR * KR;
    }
  } while (++t < work->taps);

  const int32x4_t of_channel = vld1q_s32(bias);
  const float32x4_t m = vabsq_f32(vld1q_f32(multiplier));
  int32x4_t sum[4]; /* of rows; those beyond mr repeat the last one, for their requantisation costs nothing more */
  EACH_ROW sum[r] = ert_add_s32(sum_each(acc[r]), of_channel);
  if (work->row_bias != NULL) {
    const int32_t *row_bias = work->row_bias + first_row;
    EACH_ROW sum[r] = ert_add_s32(sum[r], vdupq_n_s32(row_bias[r]));
  }
  ERT_UNROLL for (size_t r = mr; r < 4; r++) sum[r] = sum[mr - 1];
  int8x8_t y[2]; /* two rows each */
  ERT_REQUANT_SWITCH(work->kind, finish, mr, &work->requant, sum, m, y);
  if (work->valid_n == NR) {
    int8_t *out = work->out + first_row * work->out_stride;
    ERT_UNROLL for (size_t r = 0; r < mr; r++, out += work->out_stride) ert_store_4_s8(out, y[r / 2], r % 2);
  } else {
    int8_t part[4 * NR];
    vst1_s8(part, y[0]);
    vst1_s8(part + 8, y[1]);
    ert_qgemm_store_part(work, first_row, mr, NR, part);
  }
}

#if defined(__aarch64__)
#define KERNEL ert_qgemm_neon_4x4
ERT_QGEMM_TILES(4)
#else
#define KERNEL ert_qgemm_neon_2x4
#endif
ERT_QGEMM_TILES(2)
ERT_QGEMM_TILES(1)

extern const ert_qgemm_kernel KERNEL;

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tiles_fn TILES[] = {
      tiles_1, tiles_2,
#if defined(__aarch64__)
      tiles_4,
#endif
  };
  ert_qgemm_run_tiles(&KERNEL, TILES, args, m, rows, out, out_stride);
}

const ert_qgemm_kernel KERNEL = {.name = MR == 4 ? "qgemm_neon_4x4" : "qgemm_neon_2x4",
                                 .isa = ERT_ISA_NEON,
                                 .mr = MR,
                                 .nr = NR,
                                 .kr = KR,
                                 .weight_bytes = 1,
                                 .bounds = true,
                                 .run = run};
