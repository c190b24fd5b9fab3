/* SDOT: a tile of 8 rows by 8 channels, 16 accumulators. Four k of a row lie in one lane of its register and meet the
 * weights of four channels at once, so that 16 bytes of a row serve 8 SDOT; 64 SDOT go with 16 loads. */
#include <arm_neon.h>

#include "kernels/common_neon.h"
#include "kernels/qgemm/tiles_neon.h"

enum { MR = 8, NR = 8, KR = 4 };

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

static inline int8x16x4_t load_64(const int8_t *p) {
  return (int8x16x4_t){{vld1q_s8(p), vld1q_s8(p + 16), vld1q_s8(p + 32), vld1q_s8(p + 48)}};
}

ERT_INLINE void finish(const ert_requant_kind kind, const size_t mr, const ert_requant_neon *q,
                       int32x4_t acc[MR][2], const float *multiplier, int8x8_t *y) {
  const float32x4_t m0 = vabsq_f32(vld1q_f32(multiplier)), m1 = vld1q_f32(multiplier + 4);
  ERT_UNROLL for (size_t r = 0; r < mr; r += 2) {
    const size_t s = r + 1 < mr ? r + 1 : r;
    const int8x16_t two = ert_requant_neon_16(kind, q, acc[r][0], acc[r][1], acc[s][0], acc[s][1], m0, m1, m0, m1);
    y[r] = vget_low_s8(two);
    y[r + 1] = vget_high_s8(two);
  }
}

ERT_INLINE void tile(const size_t mr, const ert_qgemm_work *work, size_t first_row) {
  const int8_t *const *rows = work->rows + first_row;
  const int32_t *bias = (const int32_t *)work->block;
  const float *multiplier = (const float *)(bias + NR);
  const int8_t *w = (const int8_t *)(multiplier + NR);
  const size_t k = work->k;
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
    size_t i = 0;
    for (; i + 16 <= k; i += 16) {
      int8x16_t v[MR];
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1q_s8(x[r] + i);
      if (mr > 2) {
        DOT_LANE(vdotq_laneq_s32, v, 0);
        DOT_LANE(vdotq_laneq_s32, v, 1);
        DOT_LANE(vdotq_laneq_s32, v, 2);
        DOT_LANE(vdotq_laneq_s32, v, 3);
      } else { /* weights of all lanes first: they are loaded in pairs */
        const int8x16x4_t wa = load_64(w), wb = load_64(w + 64);
        w += 4 * NR * KR;
        ERT_UNROLL for (size_t r = 0; r < mr; r++) {
          acc[r][0] = vdotq_laneq_s32(acc[r][0], wa.val[0], v[r], 0);
          acc[r][1] = vdotq_laneq_s32(acc[r][1], wa.val[1], v[r], 0);
          acc[r][0] = vdotq_laneq_s32(acc[r][0], wa.val[2], v[r], 1);
          acc[r][1] = vdotq_laneq_s32(acc[r][1], wa.val[3], v[r], 1);
          acc[r][0] = vdotq_laneq_s32(acc[r][0], wb.val[0], v[r], 2);
          acc[r][1] = vdotq_laneq_s32(acc[r][1], wb.val[1], v[r], 2);
          acc[r][0] = vdotq_laneq_s32(acc[r][0], wb.val[2], v[r], 3);
          acc[r][1] = vdotq_laneq_s32(acc[r][1], wb.val[3], v[r], 3);
        }
      }
    }
    int8x8_t v[MR];
    if (i + 8 <= k) {
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_s8(x[r] + i);
      DOT_LANE(vdotq_lane_s32, v, 0);
      DOT_LANE(vdotq_lane_s32, v, 1);
      i += 8;
    }
    if (i + 4 <= k) {
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = ert_load_4_s8(x[r] + i);
      DOT_LANE(vdotq_lane_s32, v, 0);
      i += 4;
    }
    if (i < k) {
      /* Up to 3 bytes; the rest of the lane is arbitrary and meets weights of 0. */
      ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_dup_s8(x[r] + i);
      if (i + 1 < k) {
        ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_lane_s8(x[r] + i + 1, v[r], 1);
      }
      if (i + 2 < k) {
        ERT_UNROLL for (size_t r = 0; r < mr; r++) v[r] = vld1_lane_s8(x[r] + i + 2, v[r], 2);
      }
      DOT_LANE(vdotq_lane_s32, v, 0);
    }
  } while (++t < work->taps);
  if (work->row_bias != NULL) {
    const int32_t *row_bias = work->row_bias + first_row;
    ERT_UNROLL for (size_t r = 0; r < mr; r++) {
      acc[r][0] = ert_add_s32(acc[r][0], vdupq_n_s32(row_bias[r]));
      acc[r][1] = ert_add_s32(acc[r][1], vdupq_n_s32(row_bias[r]));
    }
  }
  int8x8_t y[MR + 1]; /* the one beyond takes the empty half of a last odd row */
  ERT_REQUANT_SWITCH(work->kind, finish, mr, &work->requant, acc, multiplier, y);
  if (work->valid_n == NR) {
    int8_t *out = work->out + first_row * work->out_stride;
    ERT_UNROLL for (size_t r = 0; r < mr; r++, out += work->out_stride) vst1_s8(out, y[r]);
  } else {
    int8_t part[MR][NR];
    ERT_UNROLL for (size_t r = 0; r < mr; r++) vst1_s8(part[r], y[r]);
    ert_qgemm_store_part(work, first_row, mr, NR, part[0]);
  }
}

ERT_QGEMM_TILES(8)
ERT_QGEMM_TILES(4)
ERT_QGEMM_TILES(2)
ERT_QGEMM_TILES(1)

extern const ert_qgemm_kernel ert_qgemm_neondot_8x8;

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tiles_fn TILES[] = {tiles_1, tiles_2, tiles_4, tiles_8};
  ert_qgemm_run_tiles(&ert_qgemm_neondot_8x8, TILES, args, m, rows, out, out_stride);
}

const ert_qgemm_kernel ert_qgemm_neondot_8x8 = {.name = "qgemm_neondot_8x8",
                                                .isa = ERT_ISA_NEONDOT,
                                                .mr = MR,
                                                .nr = NR,
                                                .kr = KR,
                                                .weight_bytes = 1,
                                                .bounds = true,
                                                .run = run};
