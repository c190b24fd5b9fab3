/* 3x3 by dot products. The three taps of a column of the window are interleaved once, [row 0, row 1, row 2, row 2] for
 * every channel, and SDOT multiplies them with a column of weights for four channels at once. Where neighbouring pixels
 * share columns (stride 1 and 2 without dilation), an interleaved column serves all of them. */
#include <arm_neon.h>

#include "kernels/bounds.h"
#include "kernels/qdw/layouts.h"
#include "kernels/qdw/pixels_neon.h"

enum { WIDTH = 3 };

/* Eight channels of a column: four taps of channels 0 .. 3, and of channels 4 .. 7. */
typedef struct column {
  int8x16_t low, high;
} column;

typedef struct block {
  const int32_t *bias;
  const float *multiplier;
  column weights[WIDTH];
  size_t valid; /* channels */
  ert_requant_kind kind;
} block;

static inline int8x16_t widen(int8x8_t v) { return vcombine_s8(v, vdup_n_s8(0)); }

ERT_INLINE column load_column(const bool whole, const int8_t *const *x, size_t offset, size_t valid) {
  int8x8_t v[3];
  ERT_UNROLL for (size_t i = 0; i < 3; i++) {
    v[i] = whole ? vld1_s8(x[i] + offset) : ert_load_upto_7_s8(x[i] + offset, valid);
  }
  const int16x8_t rows_01 = vreinterpretq_s16_s8(vzip1q_s8(widen(v[0]), widen(v[1])));
  const int16x8_t rows_22 = vreinterpretq_s16_s8(vzip1q_s8(widen(v[2]), widen(v[2]))); /* see .spare */
  return (column){.low = vreinterpretq_s8_s16(vzip1q_s16(rows_01, rows_22)),
                  .high = vreinterpretq_s8_s16(vzip2q_s16(rows_01, rows_22))};
}

/* `count` pixels. `apart` is the number of columns from a pixel to the next, 3 where they share none; shared holds the
 * columns that the first pixel has in common with the one before, and receives those of the last with the next. */
ERT_INLINE void pixels_of_block(const size_t count, const size_t apart, const bool whole, const ert_qdw_args *args,
                                const block *b, const ert_requant_neon *q, const int8_t *const *x,
                                column shared[WIDTH], int8_t *out) {
  int32x4_t acc[PIXELS][2];
  ert_qdw_start(count, b->bias, acc);
  ERT_UNROLL for (size_t k = 0; k < (count - 1) * apart + WIDTH; k++) {
    const size_t offset = apart < 3 ? k * args->tap_stride : k / 3 * args->pixel_stride + k % 3 * args->tap_stride;
    const column c = k < WIDTH - apart ? shared[k] : load_column(whole, x, offset, b->valid);
    ERT_UNROLL for (size_t p = 0; p < count; p++) {
      if (k < p * apart || k >= p * apart + WIDTH) continue;
      acc[p][0] = vdotq_s32(acc[p][0], c.low, b->weights[k - p * apart].low);
      acc[p][1] = vdotq_s32(acc[p][1], c.high, b->weights[k - p * apart].high);
    }
    if (k >= count * apart) shared[k - count * apart] = c;
  }
  ert_qdw_finish(b->kind, count, whole, b->valid, q, acc, b->multiplier, out, args->channels);
}

ERT_INLINE void run_block(const size_t apart, const bool whole, const ert_qdw_args *args, const block *of_args,
                          const ert_requant_neon *q, size_t pixels, const int8_t *const *rows, size_t channel,
                          int8_t *out) {
  const block b = *of_args;
  const int8_t *x[3] = {rows[0] + channel, rows[1] + channel, rows[2] + channel};
  column shared[WIDTH];
  ERT_UNROLL for (size_t k = 0; k < WIDTH - apart; k++) {
    shared[k] = load_column(whole, x, k * args->tap_stride, b.valid);
  }
  for (; pixels >= PIXELS; pixels -= PIXELS) {
    pixels_of_block(PIXELS, apart, whole, args, &b, q, x, shared, out);
    ERT_UNROLL for (size_t i = 0; i < 3; i++) x[i] += PIXELS * args->pixel_stride;
    out += PIXELS * args->channels;
  }
  for (; pixels > 0; pixels--) {
    pixels_of_block(1, apart, whole, args, &b, q, x, shared, out);
    ERT_UNROLL for (size_t i = 0; i < 3; i++) x[i] += args->pixel_stride;
    out += args->channels;
  }
}

static void run(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  const ert_requant_neon q = ert_requant_neon_init(args->out_zero, args->out_min, args->out_max);
  const size_t block_bytes = (NR * (sizeof(int32_t) + sizeof(float) + WIDTH * 4) + 63) / 64 * 64;
  const uint8_t *packed = args->weights;
  for (size_t c = 0; c < args->channels; c += NR, packed += block_bytes) {
    block b = {.bias = (const int32_t *)packed, .valid = args->channels - c};
    b.multiplier = (const float *)(b.bias + NR);
    b.kind = ert_requant_neon_kind(&q, ert_bounds_of(b.multiplier).small);
    const int8_t *w = (const int8_t *)(b.multiplier + NR);
    ERT_UNROLL for (size_t j = 0; j < WIDTH; j++) {
      b.weights[j] = (column){vld1q_s8(w + 4 * NR * j), vld1q_s8(w + 4 * NR * j + 16)};
    }
    if (b.valid < NR) run_block(3, false, args, &b, &q, pixels, rows, c, out + c);
    else if (args->pixel_stride == args->tap_stride) run_block(1, true, args, &b, &q, pixels, rows, c, out + c);
    else if (args->pixel_stride == 2 * args->tap_stride) run_block(2, true, args, &b, &q, pixels, rows, c, out + c);
    else run_block(3, true, args, &b, &q, pixels, rows, c, out + c);
  }
}

const ert_qdw_kernel ert_qdw_neondot_8_3x3 = {ERT_QDW_LAYOUT_neondot_8_3x3, .run = run};
