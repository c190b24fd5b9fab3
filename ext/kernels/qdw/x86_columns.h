/* 3x3 for int8 weights: the three taps of a column lie side by side as bytes, and VPDPBUSD adds their products to the
 * channel's accumulator; neighbouring pixels share columns. A block is 32 channels, four vectors of 256 bits.
 *
 * x goes in as x + 128; ert_qdw_pack took the surplus off the bias. The including file defines:
 *   columns_fetch(p, channels, full)      32 bytes at p; only `channels` of them exist unless full
 *   columns_store(p, q, channels, full)   32 bytes to p
 *   columns_dot4(acc, x, w)               VPDPBUSD
 */
#include <immintrin.h>

#include "kernels/qdw/x86_blocks.h"
#include "requant/requant_avx2.h"

enum { COLUMNS_NR = 32, COLUMNS_WEIGHTS = 8 * COLUMNS_NR, COLUMNS_GROUP = 4 * COLUMNS_NR };

/* A column of the window: vector v, lane 4 L + i has the taps of channel 16 L + 4 v + i, the last one twice. */
typedef struct taps {
  __m256i x[4];
} taps;

static const uint8_t COLUMNS_SLOTS[12] = {0, 3, 6, ERT_QDW_NO_TAP, 1, 4, 7, ERT_QDW_NO_TAP, 2, 5, 8, ERT_QDW_NO_TAP};

#define COLUMNS_FOUR(c) c, c + 1, c + 2, c + 3, c + 16, c + 17, c + 18, c + 19
static const uint8_t COLUMNS_LANE_CHANNEL[COLUMNS_NR] = {COLUMNS_FOUR(0), COLUMNS_FOUR(4), COLUMNS_FOUR(8),
                                                           COLUMNS_FOUR(12)};

/* The rows of a window, and what stands outside of them. */
typedef struct window_rows {
  const int8_t *at[3];
  size_t bytes; /* that exist of each */
  __m256i padding; /* x + 128 */
} window_rows;

/* The column at an offset from the rows' beginnings. */
ERT_INLINE taps columns_at(const window_rows *rows, ptrdiff_t offset, size_t channels, const bool full) {
  if ((size_t)offset >= rows->bytes) return (taps){{rows->padding, rows->padding, rows->padding, rows->padding}};
  const __m256i flip = _mm256_set1_epi8(-128);
  const __m256i a = _mm256_xor_si256(columns_fetch(rows->at[0] + offset, channels, full), flip);
  const __m256i b = _mm256_xor_si256(columns_fetch(rows->at[1] + offset, channels, full), flip);
  const __m256i c = _mm256_xor_si256(columns_fetch(rows->at[2] + offset, channels, full), flip);
  const __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
  const __m256i cc_low = _mm256_unpacklo_epi8(c, c), cc_high = _mm256_unpackhi_epi8(c, c);
  return (taps){{_mm256_unpacklo_epi16(ab_low, cc_low), _mm256_unpackhi_epi16(ab_low, cc_low),
                 _mm256_unpacklo_epi16(ab_high, cc_high), _mm256_unpackhi_epi16(ab_high, cc_high)}};
}

ERT_INLINE void columns_pixel(const block_work *b, size_t pixel, const taps *left, const taps *middle,
                              const taps *right, const ert_requant_avx2 *rule, const bool full) {
  const __m256i *bias = (const __m256i *)(const void *)b->block;
  const float *multiplier = (const float *)(const void *)(b->block + 4 * COLUMNS_NR);
  const __m256i *w = (const __m256i *)(const void *)(b->block + COLUMNS_WEIGHTS); /* [3 columns][4 vectors] */
  __m256i q[4];
  ERT_UNROLL for (int v = 0; v < 4; v++) {
    __m256i acc = _mm256_load_si256(&bias[v]);
    acc = columns_dot4(acc, left->x[v], _mm256_load_si256(&w[v]));
    acc = columns_dot4(acc, middle->x[v], _mm256_load_si256(&w[4 + v]));
    acc = columns_dot4(acc, right->x[v], _mm256_load_si256(&w[8 + v]));
    q[v] = ert_requant_avx2_round(acc, _mm256_load_ps(multiplier + 8 * v), rule);
  }
  const __m256i bytes = ert_requant_avx2_x32(q[0], q[1], q[2], q[3], rule);
  columns_store(b->out + pixel * b->args->channels, bytes, b->channels, full);
}

/* wide and full are constants wherever this is expanded: a branch for every vector would cost more than the bound. */
ERT_INLINE void columns_block(const block_work *work, const bool wide, const bool full) {
  const block_work local = *work, *b = &local; /* or it would be read again after every store */
  const window_rows all = {{b->rows[0] + b->first, b->rows[1] + b->first, b->rows[2] + b->first},
                           b->args->row_bytes != 0 ? b->args->row_bytes : SIZE_MAX,
                           _mm256_set1_epi8((char)(b->args->padding ^ -128))};
  const window_rows *rows = &all;
  const ert_requant_avx2 r = ert_requant_avx2_init(b->args->out_zero, b->args->out_min, b->args->out_max, wide);
  const ptrdiff_t tap = (ptrdiff_t)b->args->tap_stride, step = (ptrdiff_t)b->args->pixel_stride;
  const size_t n = b->channels;
  ptrdiff_t at = b->args->first;
  size_t p = 0;
  taps c0 = columns_at(rows, at, n, full), c1, c2;
  if (step == tap) {
    c1 = columns_at(rows, at + tap, n, full);
    for (at += 2 * tap;; at += 3 * tap) { /* three pixels, so that columns need not move */
      c2 = columns_at(rows, at, n, full);
      columns_pixel(b, p, &c0, &c1, &c2, &r, full);
      if (++p == b->pixels) return;
      c0 = columns_at(rows, at + tap, n, full);
      columns_pixel(b, p, &c1, &c2, &c0, &r, full);
      if (++p == b->pixels) return;
      c1 = columns_at(rows, at + 2 * tap, n, full);
      columns_pixel(b, p, &c2, &c0, &c1, &r, full);
      if (++p == b->pixels) return;
    }
  }
  for (;;) {
    c1 = columns_at(rows, at + tap, n, full);
    c2 = columns_at(rows, at + 2 * tap, n, full);
    columns_pixel(b, p, &c0, &c1, &c2, &r, full);
    if (++p == b->pixels) return;
    at += step;
    c0 = step == 2 * tap ? c2 : columns_at(rows, at, n, full);
  }
}

static void columns_full(const block_work *b) { columns_block(b, false, true); }
static void columns_part(const block_work *b) { columns_block(b, true, false); }
static void columns_wide(const block_work *b) { columns_block(b, true, true); }

static void run_columns(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  walk(args, pixels, rows, out, COLUMNS_NR, 3 * COLUMNS_GROUP, args->wide ? columns_wide : columns_full,
       columns_part);
}
