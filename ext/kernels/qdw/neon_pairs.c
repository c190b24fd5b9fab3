/* 3x3 and 5x5 with int8 weights, without dot product: two products at a time are added as int16 before they are
 * widened, which takes the multiplier half as often per tap and no widening of inputs. Columns that neighbouring pixels
 * share are loaded once. Where a weight is -128 a sum of two products may leave int16: each is widened alone then
 * (bounds.h). */
#include <arm_neon.h>

#include "kernels/bounds.h"
#include "kernels/qdw/layouts.h"
#include "kernels/qdw/pixels_neon.h"

enum { MAX_SIZE = 5 };

typedef struct block {
  const int32_t *bias;
  const float *multiplier;
  int8x8_t weights[MAX_SIZE * MAX_SIZE];
  size_t valid; /* channels */
  ert_requant_kind kind;
} block;

static inline void add(int32x4_t acc[2], int16x8_t products) {
  acc[0] = vaddw_s16(acc[0], vget_low_s16(products));
#if defined(__aarch64__)
  acc[1] = vaddw_high_s16(acc[1], products);
#else
  acc[1] = vaddw_s16(acc[1], vget_high_s16(products));
#endif
}

/* One row of the window, of `size` taps c, an odd number. The last one is paired with that of the next row, for which
 * `waiting` keeps its products. */
ERT_INLINE void multiply_row(const size_t size, const size_t row, const bool pairs, const int8x8_t *c,
                             const int8x8_t *w, int32x4_t acc[2], int16x8_t *waiting) {
  if (!pairs) {
    ERT_UNROLL for (size_t j = 0; j < size; j++) add(acc, vmull_s8(c[j], w[j]));
    return;
  }
  ERT_UNROLL for (size_t j = 0; j + 1 < size; j += 2) add(acc, vmlal_s8(vmull_s8(c[j], w[j]), c[j + 1], w[j + 1]));
  if (row % 2 == 1) add(acc, vmlal_s8(*waiting, c[size - 1], w[size - 1]));
  else if (row + 1 < size) *waiting = vmull_s8(c[size - 1], w[size - 1]);
  else add(acc, vmull_s8(c[size - 1], w[size - 1]));
}

/* `count` pixels, `apart` columns from one to the next, `size` where they share none. `pairs`: no weight is -128. */
ERT_INLINE void pixels_of_block(const size_t size, const size_t count, const size_t apart, const bool pairs,
                                const bool whole, const ert_qdw_args *args, const block *b, const ert_requant_neon *q,
                                const int8_t *const *x, int8_t *out) {
  int32x4_t acc[PIXELS][2];
  ert_qdw_start(count, b->bias, acc);
  int16x8_t waiting[PIXELS];
  ERT_UNROLL for (size_t i = 0; i < size; i++) {
    int8x8_t column[PIXELS * MAX_SIZE];
    ERT_UNROLL for (size_t p = 0; p < count; p++) {
      ERT_UNROLL for (size_t k = p == 0 ? 0 : (p - 1) * apart + size; k < p * apart + size; k++) {
        const size_t at =
            apart < size ? k * args->tap_stride : k / size * args->pixel_stride + k % size * args->tap_stride;
        column[k] = whole ? vld1_s8(x[i] + at) : ert_load_upto_7_s8(x[i] + at, b->valid);
      }
      multiply_row(size, i, pairs, column + p * apart, b->weights + i * size, acc[p], &waiting[p]);
    }
  }
  ert_qdw_finish(b->kind, count, whole, b->valid, q, acc, b->multiplier, out, args->channels);
}

ERT_INLINE void run_block(const size_t size, const size_t apart, const bool pairs, const bool whole,
                          const ert_qdw_args *args, const block *of_caller, const ert_requant_neon *q, size_t pixels,
                          const int8_t *const *rows, size_t channel, int8_t *out) {
  const block b = *of_caller;
  const int8_t *x[MAX_SIZE];
  ERT_UNROLL for (size_t i = 0; i < size; i++) x[i] = rows[i] + channel;
  /* What is rare does not get the code for several pixels of a large window. */
  for (; (pairs || size == 3) && pixels >= PIXELS; pixels -= PIXELS) {
    pixels_of_block(size, PIXELS, apart, pairs, whole, args, &b, q, x, out);
    ERT_UNROLL for (size_t i = 0; i < size; i++) x[i] += PIXELS * args->pixel_stride;
    out += PIXELS * args->channels;
  }
  for (; pixels > 0; pixels--) {
    pixels_of_block(size, 1, apart, pairs, whole, args, &b, q, x, out);
    ERT_UNROLL for (size_t i = 0; i < size; i++) x[i] += args->pixel_stride;
    out += args->channels;
  }
}

ERT_INLINE void run_size(const size_t size, const ert_qdw_args *args, size_t pixels, const int8_t *const *rows,
                         int8_t *out) {
  const ert_requant_neon q = ert_requant_neon_init(args->out_zero, args->out_min, args->out_max);
  const size_t block_bytes = (NR * (sizeof(int32_t) + sizeof(float) + size * size) + 63) / 64 * 64;
  const bool next = args->pixel_stride == args->tap_stride, second = args->pixel_stride == 2 * args->tap_stride;
  const uint8_t *packed = args->weights;
  for (size_t c = 0; c < args->channels; c += NR, packed += block_bytes) {
    block b = {.bias = (const int32_t *)packed, .valid = args->channels - c};
    b.multiplier = (const float *)(b.bias + NR);
    const ert_bounds bounds = ert_bounds_of(b.multiplier);
    b.kind = ert_requant_neon_kind(&q, bounds.small);
    const int8_t *w = (const int8_t *)(b.multiplier + NR);
    for (size_t t = 0; t < size * size; t++) b.weights[t] = vld1_s8(w + t * NR);
    if (b.valid < NR) run_block(size, size, false, false, args, &b, &q, pixels, rows, c, out + c);
    else if (bounds.pairs && next) run_block(size, 1, true, true, args, &b, &q, pixels, rows, c, out + c);
    else if (bounds.pairs && second) run_block(size, 2, true, true, args, &b, &q, pixels, rows, c, out + c);
    else run_block(size, size, false, true, args, &b, &q, pixels, rows, c, out + c);
  }
}

static void run_3x3(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  run_size(3, args, pixels, rows, out);
}

static void run_5x5(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  run_size(5, args, pixels, rows, out);
}

const ert_qdw_kernel ert_qdw_neon_8_3x3 = {ERT_QDW_LAYOUT_neon_8_3x3, .run = run_3x3};
const ert_qdw_kernel ert_qdw_neon_8_5x5 = {ERT_QDW_LAYOUT_neon_8_5x5, .run = run_5x5};
