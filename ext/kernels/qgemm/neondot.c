/* SDOT: a tile of 8 rows by 8 channels, 16 accumulators. Four k of a row lie in one lane of its register and meet the
 * weights of four channels at once, so that 16 bytes of a row serve 8 SDOT; 64 SDOT go with 16 loads. */
#include <arm_neon.h>

#include "kernels/common_neon.h"
#include "kernels/qgemm/layouts.h"
#include "kernels/qgemm/tiles_neon.h"

enum { MR = 8, NR = 8, KR = 4, BESIDE = 4 };

/* One group of KR: acc[r] += x[r][lane] . w, for lane a constant. */
#define DOT_LANE(dot, x, lane)                               \
  do {                                                       \
    const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16); \
    w += NR * KR;                                            \
    ERT_UNROLL for (size_t r = 0; r < mr; r++) {             \
      acc[r][0] = dot(acc[r][0], w0, (x)[r], lane);          \
      acc[r][1] = dot(acc[r][1], w1, (x)[r], lane);          \
    }                                                        \
  } while (0)

/* A lane of x is part of the instruction: one of two, by the half of 16 k. */
#define DOT_ONE_OF(half, acc, w, x, lane_0, lane_1) \
  ((half) == 0 ? vdotq_laneq_s32(acc, w, x, lane_0) : vdotq_laneq_s32(acc, w, x, lane_1))

ERT_INLINE void finish(const ert_requant_kind kind, const size_t mr, const ert_requant_neon *q,
                       int32x4_t acc[MR][2], const float *multiplier, int8x16_t *y) {
  const float32x4_t m0 = vabsq_f32(vld1q_f32(multiplier)), m1 = vld1q_f32(multiplier + 4);
  ERT_UNROLL for (size_t r = 0; r < mr; r += 2) {
    const size_t s = r + 1 < mr ? r + 1 : r;
    y[r / 2] = ert_requant_neon_16(kind, q, acc[r][0], acc[r][1], acc[s][0], acc[s][1], m0, m1, m0, m1);
  }
}

/* 4 bytes, or one, into a lane; others are arbitrary. (GCC would repeat them in all lanes by an instruction more.) */
static inline int8x8_t load_lane(const int8_t *x) {
  int8x8_t v;
  __asm__("ldr %s0, %1" : "=w"(v) : "m"(*(const int8_t(*)[4])x));
  return v;
}

static inline int8x8_t load_byte(const int8_t *x) {
  int8x8_t v;
  __asm__("ldr %b0, %1" : "=w"(v) : "m"(*x));
  return v;
}

/* The k % 16 at the end of a tap, from i on; returns the weights behind it. */
ERT_INLINE const int8_t *multiply_end(const size_t mr, const int8_t *const *x, size_t i, size_t k, const int8_t *w,
                                      int32x4_t acc[MR][2]) {
  int8x8_t v[MR];
  if (i + 8 <= k) {
    ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_s8(x[r] + i);
    DOT_LANE(vdotq_lane_s32, v, 0);
    DOT_LANE(vdotq_lane_s32, v, 1);
    i += 8;
  }
  if (i + 4 <= k) {
    ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = load_lane(x[r] + i);
    DOT_LANE(vdotq_lane_s32, v, 0);
    i += 4;
  }
  if (i < k) {
    /* Up to 3 bytes; the rest of the lane is arbitrary and meets weights of 0. */
    ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = load_byte(x[r] + i);
    if (i + 1 < k) {
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_lane_s8(x[r] + i + 1, v[r], 1);
    }
    if (i + 2 < k) {
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_lane_s8(x[r] + i + 2, v[r], 2);
    }
    DOT_LANE(vdotq_lane_s32, v, 0);
  }
  return w;
}

ERT_INLINE void tile(const size_t mr, const ert_qgemm_work *work, size_t first_row, int8_t *out) {
  const int8_t *const *rows = work->rows + first_row;
  const int32_t *bias = (const int32_t *)work->block;
  const float *multiplier = (const float *)(bias + NR);
  const int8_t *w = (const int8_t *)(multiplier + NR);
  const size_t k = work->k, whole = k / 16 * 16;
  int32x4_t acc[MR][2];
  ERT_UNROLL for (size_t r = 0; r < mr; r++) {
    acc[r][0] = vld1q_s32(bias);
    acc[r][1] = vld1q_s32(bias + 4);
    ERT_LOAD_AGAIN(bias);
  }
  size_t t = 0;
  do {
    const ptrdiff_t offset = work->tap_offset[t];
    const int8_t *x[MR];
    ERT_UNROLL for (size_t r = 0; r < mr; r++) x[r] = rows[r] + offset;
    for (size_t i = 0; i != whole; i += 16) {
      int8x16_t v[MR];
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1q_s8(x[r] + i);
      ERT_UNROLL for (size_t half = 0; half < 2; half++) {
        const int8x16x4_t part = vld1q_s8_x4(w);
        w += 2 * NR * KR;
        ERT_LOAD_AGAIN(w);
        ERT_UNROLL for (size_t r = 0; r < mr; r++) {
          acc[r][0] = DOT_ONE_OF(half, acc[r][0], part.val[0], v[r], 0, 2);
          acc[r][1] = DOT_ONE_OF(half, acc[r][1], part.val[1], v[r], 0, 2);
        }
        ERT_UNROLL for (size_t r = 0; r < mr; r++) {
          acc[r][0] = DOT_ONE_OF(half, acc[r][0], part.val[2], v[r], 1, 3);
          acc[r][1] = DOT_ONE_OF(half, acc[r][1], part.val[3], v[r], 1, 3);
        }
      }
    }
    if (whole != k) w = multiply_end(mr, x, whole, k, w, acc);
  } while (++t < work->taps);
  if (work->row_bias != NULL) {
    const int32_t *row_bias = work->row_bias + first_row;
    ERT_UNROLL for (size_t r = 0; r < mr; r++) {
      acc[r][0] = ert_add_s32(acc[r][0], vdupq_n_s32(row_bias[r]));
      acc[r][1] = ert_add_s32(acc[r][1], vdupq_n_s32(row_bias[r]));
    }
  }
  int8x16_t y[MR / 2]; /* two rows each */
  ERT_REQUANT_SWITCH(work->kind, finish, mr, &work->requant, acc, multiplier, y);
  if (work->valid_n == NR) {
    ERT_UNROLL for (size_t r = 0; r < mr; r++, out += work->out_stride) ert_store_8_of_16_s8(out, y[r / 2], r % 2);
  } else {
    int8_t part[MR * NR];
    ERT_UNROLL for (size_t r = 0; r < mr; r += 2) vst1q_s8(part + r * NR, y[r / 2]);
    ert_qgemm_store_part(work, mr, NR, part, out);
  }
}

/* n bytes, 1 <= n <= 15, then zeros. */
static inline int8x16_t load_upto_15(const int8_t *p, size_t n) {
  const int8x8_t none = vdup_n_s8(0);
  if (n < 8) return vcombine_s8(ert_load_upto_7_s8(p, n), none);
  return vcombine_s8(vld1_s8(p), n > 8 ? ert_load_upto_7_s8(p + 8, n - 8) : none);
}

/* 16 k of one row. */
#define DOT_ROW(v)                                                                           \
  ERT_UNROLL for (size_t b = 0; b < blocks; b++) {                                           \
    const int8x16x4_t w0 = vld1q_s8_x4(w[b]);                                                    \
    w[b] += 64;                                                                              \
    ERT_LOAD_AGAIN(w[b]);                                                                    \
    const int8x16x4_t w1 = vld1q_s8_x4(w[b]);                                                    \
    w[b] += 64;                                                                              \
    ERT_LOAD_AGAIN(w[b]);                                                                    \
    ERT_UNROLL for (size_t h = 0; h < 2; h++) {                                              \
      acc[b][h] = vdotq_laneq_s32(acc[b][h], w0.val[h], v, 0);                               \
      acc[b][h] = vdotq_laneq_s32(acc[b][h], w0.val[h + 2], v, 1);                           \
      acc[b][h] = vdotq_laneq_s32(acc[b][h], w1.val[h], v, 2);                               \
      acc[b][h] = vdotq_laneq_s32(acc[b][h], w1.val[h + 2], v, 3);                           \
    }                                                                                        \
  }

/* The first `groups` groups of KR of it. */
#define DOT_ROW_GROUP(lane, v)                                                               \
  if (groups > (lane)) {                                                                     \
    ERT_UNROLL for (size_t b = 0; b < blocks; b++) {                                         \
      acc[b][0] = vdotq_laneq_s32(acc[b][0], vld1q_s8(w[b]), v, lane);                       \
      acc[b][1] = vdotq_laneq_s32(acc[b][1], vld1q_s8(w[b] + 16), v, lane);                  \
      w[b] += NR * KR;                                                                       \
    }                                                                                        \
  }

ERT_INLINE void finish_row(const ert_requant_kind kind, const size_t blocks, const ert_requant_neon *q,
                           int32x4_t acc[BESIDE][2], const uint8_t *block, size_t block_bytes, int8x16_t *y) {
  ERT_UNROLL for (size_t b = 0; b < blocks; b += 2, block += 2 * block_bytes) {
    const size_t second = b + 1 < blocks ? 1 : 0;
    const float *m0 = (const float *)(const void *)(block + NR * sizeof(int32_t));
    const float *m1 = (const float *)(const void *)(block + second * block_bytes + NR * sizeof(int32_t));
    y[b / 2] = ert_requant_neon_16(kind, q, acc[b][0], acc[b][1], acc[b + second][0], acc[b + second][1],
                                   vabsq_f32(vld1q_f32(m0)), vld1q_f32(m0 + 4), vabsq_f32(vld1q_f32(m1)),
                                   vld1q_f32(m1 + 4));
  }
}

/* A single row, a matrix-vector product, by one block or by BESIDE that finish alike and share the loads of the row. */
ERT_INLINE void row(const size_t blocks, const ert_qgemm_work *work, size_t block_bytes) {
  const int8_t *w[BESIDE];
  int32x4_t acc[BESIDE][2];
  ERT_UNROLL for (size_t b = 0; b < blocks; b++) {
    const int32_t *bias = (const int32_t *)(const void *)(work->block + b * block_bytes);
    acc[b][0] = vld1q_s32(bias);
    acc[b][1] = vld1q_s32(bias + 4);
    w[b] = (const int8_t *)bias + NR * (sizeof(int32_t) + sizeof(float));
  }
  for (size_t t = 0; t < work->taps; t++) {
    const int8_t *x = work->rows[0] + work->tap_offset[t], *end = x + work->k;
    for (; end - x >= 32; x += 32) {
      const int8x16_t v0 = vld1q_s8(x), v1 = vld1q_s8(x + 16);
      DOT_ROW(v0)
      DOT_ROW(v1)
    }
    if (end - x >= 16) {
      const int8x16_t v = vld1q_s8(x);
      x += 16;
      DOT_ROW(v)
    }
    if (x < end) {
      const size_t rest = (size_t)(end - x), groups = (rest + KR - 1) / KR;
      const int8x16_t v = load_upto_15(x, rest);
      DOT_ROW_GROUP(0, v)
      DOT_ROW_GROUP(1, v)
      DOT_ROW_GROUP(2, v)
      DOT_ROW_GROUP(3, v)
    }
  }
  if (work->row_bias != NULL) {
    const int32x4_t row_bias = vdupq_n_s32(work->row_bias[0]);
    ERT_UNROLL for (size_t b = 0; b < blocks; b++) {
      acc[b][0] = ert_add_s32(acc[b][0], row_bias);
      acc[b][1] = ert_add_s32(acc[b][1], row_bias);
    }
  }
  int8x16_t y[BESIDE / 2];
  ERT_REQUANT_SWITCH(work->kind, finish_row, blocks, &work->requant, acc, work->block, block_bytes, y);
  if (blocks > 1) {
    ERT_UNROLL for (size_t b = 0; b < blocks; b += 2) vst1q_s8(work->out + b * NR, y[b / 2]);
  } else if (work->valid_n == NR) {
    vst1_s8(work->out, vget_low_s8(y[0]));
  } else {
    int8_t part[NR];
    vst1_s8(part, vget_low_s8(y[0]));
    ert_qgemm_store_part(work, 1, NR, part, work->out);
  }
}

ERT_QGEMM_TILES(8)
ERT_QGEMM_TILES(4)
ERT_QGEMM_TILES(2)
ERT_QGEMM_ROW

extern const ert_qgemm_kernel ert_qgemm_neondot_8x8;

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tiles_fn TILES[] = {tiles_1, tiles_2, tiles_4, tiles_8};
  ert_qgemm_run_tiles(&ert_qgemm_neondot_8x8, TILES, args, m, rows, out, out_stride);
}

const ert_qgemm_kernel ert_qgemm_neondot_8x8 = {ERT_QGEMM_LAYOUT_neondot_8x8, .run = run};
