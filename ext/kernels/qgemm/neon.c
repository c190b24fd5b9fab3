/* NEON without dot product, armv7 (2 rows by 4 channels) and aarch64 (4 by 4). An accumulator register holds four
 * partial sums of one row and one channel: 16 k of the row are multiplied with 16 k of the channel to int16, added in
 * pairs into it, and the four are summed at the end.
 *
 * The sum of two products fits int16 unless all four factors are -128. Weights of trained models have no -128, weights
 * of a stranger's file may: two products are added before they are widened in blocks that have none (bounds.h). */
#include <arm_neon.h>

#include "kernels/common_neon.h"
#include "kernels/qgemm/layouts.h"
#include "kernels/qgemm/tiles_neon.h"

#if defined(__aarch64__)
enum { MR = 4 };
#else
enum { MR = 2 };
#endif
enum { NR = 4, KR = 16, BESIDE = MR };

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

/* Products of mr rows with `blocks` blocks of channels, of which one is 1: acc[r + b]. `starts`, `pairs`, mr and blocks
 * are constants. The order of the products keeps several in flight: an in-order core waits for none of them. */
#define EACH_ROW ERT_UNROLL for (size_t r = 0; r < mr; r++)
#define EACH_BLOCK ERT_UNROLL for (size_t b = 0; b < blocks; b++)
#define EACH_CHANNEL ERT_UNROLL for (size_t c = 0; c < NR; c++)

typedef struct group {
  int8x16_t of[NR]; /* 16 weights of each channel */
} group;

static inline group load_group(const int8_t *w) {
  group g;
#if defined(__aarch64__)
  const int8x16x4_t loaded = vld1q_s8_x4(w);
  EACH_CHANNEL g.of[c] = loaded.val[c];
#else
  EACH_CHANNEL g.of[c] = vld1q_s8(w + c * KR);
#endif
  return g;
}

/* The first products of an accumulator are its start. */
ERT_INLINE int32x4_t add_pairs(const bool starts, int32x4_t acc, int16x8_t products) {
  return starts ? vpaddlq_s16(products) : vpadalq_s16(acc, products);
}

#if defined(__aarch64__)
/* Pairs of products of four rows with one channel. (GCC copies products to other registers between the two.) */
ERT_INLINE void multiply_pairs_of_4(int16x8_t sum[4], const int8x16_t *x, int8x16_t w) {
  __asm__("smull %0.8h, %4.8b, %8.8b\n\t"
          "smull %1.8h, %5.8b, %8.8b\n\t"
          "smull %2.8h, %6.8b, %8.8b\n\t"
          "smull %3.8h, %7.8b, %8.8b\n\t"
          "smlal2 %0.8h, %4.16b, %8.16b\n\t"
          "smlal2 %1.8h, %5.16b, %8.16b\n\t"
          "smlal2 %2.8h, %6.16b, %8.16b\n\t"
          "smlal2 %3.8h, %7.16b, %8.16b"
          : "=&w"(sum[0]), "=&w"(sum[1]), "=&w"(sum[2]), "=&w"(sum[3])
          : "w"(x[0]), "w"(x[1]), "w"(x[2]), "w"(x[3]), "w"(w));
}
#endif

/* 16 k with a group of weights. */
ERT_INLINE void multiply_16(const bool starts, const bool pairs, const size_t mr, const size_t blocks,
                            size_t block_bytes, int32x4_t acc[MR][NR], const int8x16_t *x, const int8_t *w) {
  EACH_BLOCK {
    const group g = load_group(w + b * block_bytes);
    EACH_CHANNEL {
      int16x8_t low[MR], high[MR];
#if defined(__aarch64__)
      if (pairs && mr == 4) {
        multiply_pairs_of_4(low, x, g.of[c]);
        EACH_ROW acc[r + b][c] = add_pairs(starts, acc[r + b][c], low[r]);
        continue;
      }
#endif
      EACH_ROW low[r] = vmull_s8(vget_low_s8(x[r]), vget_low_s8(g.of[c]));
      if (pairs) {
        EACH_ROW low[r] = ert_mlal_high_s8(low[r], x[r], g.of[c]);
      } else {
        EACH_ROW high[r] = ert_mull_high_s8(x[r], g.of[c]);
      }
      EACH_ROW acc[r + b][c] = add_pairs(starts, acc[r + b][c], low[r]);
      if (pairs) continue;
      EACH_ROW acc[r + b][c] = vpadalq_s16(acc[r + b][c], high[r]);
    }
  }
}

/* 8 k with half a group. */
ERT_INLINE void multiply_8(const bool starts, const size_t mr, const size_t blocks, size_t block_bytes,
                           int32x4_t acc[MR][NR], const int8x8_t *x, const int8_t *w) {
  EACH_BLOCK {
    EACH_CHANNEL {
      const int8x8_t wc = vld1_s8(w + b * block_bytes + c * KR);
      int16x8_t products[MR];
      EACH_ROW products[r] = vmull_s8(x[r], wc);
      EACH_ROW acc[r + b][c] = add_pairs(starts, acc[r + b][c], products[r]);
    }
  }
}

/* The k % 16 at the end of taps of more than 16: bytes before them meet weights of 0 (tail_last). */
ERT_INLINE void multiply_end(const bool pairs, const size_t mr, const size_t blocks, size_t block_bytes,
                             int32x4_t acc[MR][NR], const int8_t *const *x, size_t k, const int8_t *w) {
  if (k % KR <= 8) {
    int8x8_t v[MR];
    EACH_ROW v[r] = vld1_s8(x[r] + k - 8);
    multiply_8(false, mr, blocks, block_bytes, acc, v, w + 8);
  } else {
    int8x16_t v[MR];
    EACH_ROW v[r] = vld1q_s8(x[r] + k - 16);
    multiply_16(false, pairs, mr, blocks, block_bytes, acc, v, w);
  }
}

/* A tap of less than 16. */
ERT_INLINE void multiply_short(const bool starts, const size_t mr, const size_t blocks, size_t block_bytes,
                               int32x4_t acc[MR][NR], const int8_t *const *x, size_t k, const int8_t *w) {
  int8x8_t v[MR];
  if (k >= 8) {
    EACH_ROW v[r] = vld1_s8(x[r]);
  } else {
    EACH_ROW v[r] = ert_load_upto_7_s8(x[r], k);
  }
  multiply_8(starts, mr, blocks, block_bytes, acc, v, w);
  if (k > 8) {
    EACH_ROW v[r] = ert_last_of_8_s8(x[r] + k - 8, k - 8);
    multiply_8(false, mr, blocks, block_bytes, acc, v, w + 8);
  }
}

/* All taps. */
ERT_INLINE void multiply(const bool pairs, const size_t mr, const size_t blocks, size_t block_bytes,
                         int32x4_t acc[MR][NR], const int8_t *const *rows, const ert_qgemm_work *work,
                         const int8_t *w) {
  const size_t k = work->k, whole = k / KR * KR;
  const ptrdiff_t *tap = work->tap_offset, *const end = tap + work->taps;
  const int8_t *x[MR];
  EACH_ROW x[r] = rows[r] + *tap;
  if (k < KR) {
    multiply_short(true, mr, blocks, block_bytes, acc, x, k, w);
    while (++tap < end) {
      w += NR * KR;
      EACH_ROW x[r] = rows[r] + *tap;
      multiply_short(false, mr, blocks, block_bytes, acc, x, k, w);
    }
    return;
  }
  int8x16_t v[MR];
  EACH_ROW v[r] = vld1q_s8(x[r]);
  multiply_16(true, pairs, mr, blocks, block_bytes, acc, v, w);
  w += NR * KR;
  for (size_t i = KR;; i = 0) {
    for (; i != whole; i += KR, w += NR * KR) {
      EACH_ROW v[r] = vld1q_s8(x[r] + i);
      multiply_16(false, pairs, mr, blocks, block_bytes, acc, v, w);
    }
    if (whole != k) {
      multiply_end(pairs, mr, blocks, block_bytes, acc, x, k, w);
      w += NR * KR;
    }
    if (++tap == end) return;
    EACH_ROW x[r] = rows[r] + *tap;
  }
}

/* Three taps of 9: a 3x3 window over three channels, the first layer of most vision models. As taps of less than 16
 * each would take 8 k and then one more; together they are 27 of 32:
 *   [first 8 of tap 0, first 8 of tap 1] [first 8 of tap 2, last of tap 0, of tap 1, of tap 2, any]
 * The weights of a block are arranged likewise before its tiles. */
enum { RGB_TAPS = 3, RGB_K = 9, RGB_GROUPS = 2 };

static void arrange_rgb(const int8_t *w, int8_t to[RGB_GROUPS][NR][KR]) {
  memset(to, 0, RGB_GROUPS * NR * KR);
  for (size_t c = 0; c < NR; c++) {
    for (size_t t = 0; t < RGB_TAPS; t++) {
      const int8_t *of_tap = w + (t * NR + c) * KR;
      memcpy(to[t / 2][c] + t % 2 * 8, of_tap, 8);
      to[1][c][8 + t] = of_tap[8];
    }
  }
}

/* last: offset of the last byte of every tap. */
ERT_INLINE void load_rgb(const int8_t *row, const ptrdiff_t *offset, const ptrdiff_t *last, int8x16_t v[RGB_GROUPS]) {
  const int64x1_t third = vreinterpret_s64_s8(vld1_s8(row + offset[2]));
  v[0] = vcombine_s8(vld1_s8(row + offset[0]), vld1_s8(row + offset[1]));
  v[1] = vreinterpretq_s8_s64(vdupq_lane_s64(third, 0));
  v[1] = vld1q_lane_s8(row + last[0], v[1], 8);
  v[1] = vld1q_lane_s8(row + last[1], v[1], 9);
  v[1] = vld1q_lane_s8(row + last[2], v[1], 10);
}

ERT_INLINE void multiply_rgb(const bool pairs, const size_t mr, int32x4_t acc[MR][NR], const int8_t *const *rows,
                             const ptrdiff_t *offset, const ptrdiff_t *last, const int8_t w[RGB_GROUPS][NR][KR]) {
  int8x16_t loaded[MR][RGB_GROUPS], v[MR];
  EACH_ROW load_rgb(rows[r], offset, last, loaded[r]);
  EACH_ROW v[r] = loaded[r][0];
  multiply_16(true, pairs, mr, 1, 0, acc, v, w[0][0]);
  EACH_ROW v[r] = loaded[r][1];
  multiply_16(false, pairs, mr, 1, 0, acc, v, w[1][0]);
}

ERT_INLINE void finish(const ert_requant_kind kind, const size_t mr, const ert_requant_neon *q, const int32x4_t *sum,
                       const float32x4_t *m, int8x16_t *y) {
  if (mr <= 2) {
    const int8x8_t two = ert_requant_neon_8(kind, q, sum[0], sum[1], m[0], m[1]);
    *y = vcombine_s8(two, two);
  } else {
    *y = ert_requant_neon_16(kind, q, sum[0], sum[1], sum[2], sum[3], m[0], m[1], m[2], m[3]);
  }
}

/* Outputs of a tile from its products. */
ERT_INLINE void finish_tile(const size_t mr, const ert_qgemm_work *work, size_t first_row, int32x4_t acc[MR][NR],
                            int8_t *out) {
  const int32_t *bias = (const int32_t *)work->block;
  const int32x4_t of_channel = vld1q_s32(bias);
  const float32x4_t m1 = vabsq_f32(vld1q_f32((const float *)(bias + NR))), m[4] = {m1, m1, m1, m1};
  int32x4_t sum[4]; /* of rows; those beyond mr repeat the last one, for their requantisation costs nothing more */
  EACH_ROW sum[r] = ert_add_s32(sum_each(acc[r]), of_channel);
  if (work->row_bias != NULL) {
    const int32_t *row_bias = work->row_bias + first_row;
#if defined(__aarch64__)
    if (mr == 4) {
      const int32x4_t of_row = vld1q_s32(row_bias);
      sum[0] = ert_add_s32(sum[0], vdupq_laneq_s32(of_row, 0));
      sum[1] = ert_add_s32(sum[1], vdupq_laneq_s32(of_row, 1));
      sum[2] = ert_add_s32(sum[2], vdupq_laneq_s32(of_row, 2));
      sum[3] = ert_add_s32(sum[3], vdupq_laneq_s32(of_row, 3));
    } else
#endif
      EACH_ROW sum[r] = ert_add_s32(sum[r], vdupq_n_s32(row_bias[r]));
  }
  ERT_UNROLL for (size_t r = mr; r < 4; r++) sum[r] = sum[mr - 1];
  int8x16_t y; /* rows of four */
  ERT_REQUANT_SWITCH(work->kind, finish, mr, &work->requant, sum, m, &y);
  if (work->valid_n == NR) {
    ERT_UNROLL for (size_t r = 0; r < mr; r++, out += work->out_stride) ert_store_4_of_16_s8(out, y, r);
  } else {
    int8_t part[4 * NR];
    vst1q_s8(part, y);
    ert_qgemm_store_part(work, mr, NR, part, out);
  }
}

static inline const int8_t *weights_of(const ert_qgemm_work *work) {
  return (const int8_t *)work->block + NR * (sizeof(int32_t) + sizeof(float));
}

ERT_INLINE void tile(const size_t mr, const ert_qgemm_work *work, size_t first_row, int8_t *out) {
  const int8_t *const *rows = work->rows + first_row, *w = weights_of(work);
  int32x4_t acc[MR][NR];
  if (work->pairs) multiply(true, mr, 1, 0, acc, rows, work, w);
  else multiply(false, mr, 1, 0, acc, rows, work, w);
  finish_tile(mr, work, first_row, acc, out);
}

/* As ERT_QGEMM_TILES(MR), for RGB_TAPS of RGB_K. */
static void tiles_rgb(const ert_qgemm_work *of_caller, size_t tiles, size_t n, size_t block_bytes) {
  ert_qgemm_work work = *of_caller;
  ptrdiff_t offset[RGB_TAPS], last[RGB_TAPS];
  ERT_UNROLL for (size_t t = 0; t < RGB_TAPS; t++) {
    offset[t] = work.tap_offset[t];
    last[t] = offset[t] + RGB_K - 1;
    ERT_LOAD_AGAIN(last[t]); /* it is what a load adds to a row, not a sum to be made again */
  }
  for (size_t first = 0; first < n; first += NR, work.block += block_bytes, work.out += NR) {
    ert_qgemm_enter_block(&work, NR, n - first);
    int8_t w[RGB_GROUPS][NR][KR];
    arrange_rgb(weights_of(&work), w);
    int8_t *out = work.out;
    for (size_t i = 0; i < tiles; i++, out += MR * work.out_stride) {
      const int8_t *const *rows = work.rows + i * MR;
      int32x4_t acc[MR][NR];
      if (work.pairs) multiply_rgb(true, MR, acc, rows, offset, last, w);
      else multiply_rgb(false, MR, acc, rows, offset, last, w);
      finish_tile(MR, &work, i * MR, acc, out);
    }
  }
}

/* A single row by one block or by BESIDE, which share the loads of the row. */
ERT_INLINE void row(const size_t blocks, const ert_qgemm_work *work, size_t block_bytes) {
  const int8_t *w = weights_of(work);
  int32x4_t acc[BESIDE][NR], sum[4];
  if (work->pairs) multiply(true, 1, blocks, block_bytes, acc, work->rows, work, w);
  else multiply(false, 1, blocks, block_bytes, acc, work->rows, work, w);
  const int32x4_t row_bias = vdupq_n_s32(work->row_bias != NULL ? work->row_bias[0] : 0);
  float32x4_t m[4];
  EACH_BLOCK {
    const int32_t *bias = (const int32_t *)(const void *)(work->block + b * block_bytes);
    sum[b] = ert_add_s32(ert_add_s32(sum_each(acc[b]), vld1q_s32(bias)), row_bias);
    m[b] = vabsq_f32(vld1q_f32((const float *)(const void *)(bias + NR)));
  }
  ERT_UNROLL for (size_t b = blocks; b < 4; b++) {
    sum[b] = sum[blocks - 1];
    m[b] = m[blocks - 1];
  }
  int8x16_t y;
  ERT_REQUANT_SWITCH(work->kind, finish, blocks, &work->requant, sum, m, &y);
  if (blocks == 4) {
    vst1q_s8(work->out, y);
  } else if (blocks == 2) {
    vst1_s8(work->out, vget_low_s8(y));
  } else if (work->valid_n == NR) {
    ert_store_4_of_16_s8(work->out, y, 0);
  } else {
    int8_t part[4 * NR];
    vst1q_s8(part, y);
    ert_qgemm_store_part(work, 1, NR, part, work->out);
  }
}

#if defined(__aarch64__)
#define KERNEL ert_qgemm_neon_4x4
#define LAYOUT ERT_QGEMM_LAYOUT_neon_4x4
ERT_QGEMM_TILES(4)
#else
#define KERNEL ert_qgemm_neon_2x4
#define LAYOUT ERT_QGEMM_LAYOUT_neon_2x4
#endif
ERT_QGEMM_TILES(2)
ERT_QGEMM_ROW

extern const ert_qgemm_kernel KERNEL;

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tiles_fn TILES[] = {
      tiles_1, tiles_2,
#if defined(__aarch64__)
      tiles_4,
#endif
  };
  static const ert_qgemm_tiles_fn RGB_TILES[] = {
      tiles_1,
#if defined(__aarch64__)
      tiles_2,
#endif
      tiles_rgb,
  };
  const bool rgb = args->taps == RGB_TAPS && args->k == RGB_K;
  ert_qgemm_run_tiles(&KERNEL, rgb ? RGB_TILES : TILES, args, m, rows, out, out_stride);
}

const ert_qgemm_kernel KERNEL = {LAYOUT, .run = run};
