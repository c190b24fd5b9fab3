/* Eight channels of a run of pixels: inputs are widened to int16 and multiplied into int32, several pixels at once so
 * that a weight is loaded once for all of them. Where neighbouring pixels share their taps (stride and dilation are
 * equal), each input is loaded and widened once a row. */
#include <arm_neon.h>
#include <stdbool.h>

#include "kernels/bounds.h"
#include "kernels/qdw/layouts.h"
#include "kernels/qdw/pixels_neon.h"

enum { MAX_SHARED_WIDTH = 5 };

typedef struct block {
  const int32_t *bias;
  const float *multiplier;
  const int16_t *weights;
  size_t valid; /* channels */
  ert_requant_kind kind;
} block;

ERT_INLINE int16x8_t load(const int8_t *x, const bool whole, size_t valid) {
  return vmovl_s8(whole ? vld1_s8(x) : ert_load_upto_7_s8(x, valid));
}

static inline void multiply_add(int32x4_t acc[2], int16x8_t x, int16x8_t w) {
  acc[0] = vmlal_s16(acc[0], vget_low_s16(x), vget_low_s16(w));
  acc[1] = ert_mlal_high_s16(acc[1], x, w);
}

/* `count` pixels; `width` is kernel_w when taps are shared, or 0. Both are constants, and so is `whole`. */
ERT_INLINE void pixels_of_block(const size_t count, const size_t width, const bool whole, const ert_qdw_args *args,
                                const block *b, const ert_requant_neon *q, const int8_t *const *rows,
                                size_t offset, int8_t *out) {
  int32x4_t acc[PIXELS][2];
  ert_qdw_start(count, b->bias, acc);
  const int16_t *w = b->weights;
  for (size_t i = 0; i < args->kernel_h; i++) {
    const int8_t *x = rows[i] + offset;
    if (width != 0) {
      int16x8_t column[PIXELS + MAX_SHARED_WIDTH];
      ERT_UNROLL for (size_t j = 0; j < count + width - 1; j++) {
        column[j] = load(x + j * args->tap_stride, whole, b->valid);
      }
      ERT_UNROLL for (size_t j = 0; j < width; j++) {
        const int16x8_t wj = vld1q_s16(w + NR * j);
        ERT_UNROLL for (size_t p = 0; p < count; p++) multiply_add(acc[p], column[p + j], wj);
      }
      w += NR * width;
    } else {
      for (size_t j = 0; j < args->kernel_w; j++, x += args->tap_stride, w += NR) {
        const int16x8_t wj = vld1q_s16(w);
        ERT_UNROLL for (size_t p = 0; p < count; p++) {
          multiply_add(acc[p], load(x + p * args->pixel_stride, whole, b->valid), wj);
        }
      }
    }
  }
  ert_qdw_finish(b->kind, count, whole, b->valid, q, acc, b->multiplier, out, args->channels);
}

ERT_INLINE void run_block(const size_t width, const bool whole, const ert_qdw_args *args, const block *b,
                          const ert_requant_neon *q, size_t pixels, const int8_t *const *rows, size_t channel,
                          int8_t *out) {
  size_t p = 0;
  for (; p + PIXELS <= pixels; p += PIXELS) {
    pixels_of_block(PIXELS, width, whole, args, b, q, rows, p * args->pixel_stride + channel,
                    out + p * args->channels + channel);
  }
  for (; p < pixels; p++) {
    pixels_of_block(1, width, whole, args, b, q, rows, p * args->pixel_stride + channel,
                    out + p * args->channels + channel);
  }
}

static void run(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  const ert_requant_neon q = ert_requant_neon_init(args->out_zero, args->out_min, args->out_max);
  const size_t taps = args->kernel_h * args->kernel_w;
  const size_t block_bytes = (NR * (sizeof(int32_t) + sizeof(float) + taps * sizeof(int16_t)) + 63) / 64 * 64;
  const bool shared = args->tap_stride == args->pixel_stride;
  const uint8_t *packed = args->weights;
  for (size_t c = 0; c < args->channels; c += NR, packed += block_bytes) {
    block b = {.bias = (const int32_t *)packed, .valid = args->channels - c};
    b.multiplier = (const float *)(b.bias + NR);
    b.kind = ert_requant_neon_kind(&q, ert_bounds_of(b.multiplier).small);
    b.weights = (const int16_t *)(b.multiplier + NR);
    if (b.valid < NR) run_block(0, false, args, &b, &q, pixels, rows, c, out);
    else if (shared && args->kernel_w == 3) run_block(3, true, args, &b, &q, pixels, rows, c, out);
    else if (shared && args->kernel_w == 5) run_block(5, true, args, &b, &q, pixels, rows, c, out);
    else run_block(0, true, args, &b, &q, pixels, rows, c, out);
  }
}

const ert_qdw_kernel ert_qdw_neon_8 = {ERT_QDW_LAYOUT_neon_8, .run = run};
