/* Bodies of the x86 kernels for int16 weights: two taps of a channel lie side by side as 16-bit values, and PMADDWD (or
 * VPDPWSSD) adds both products to the channel's accumulator. A block is two vectors of channels.
 *
 * The including file defines, for its vector of NR / 2 accumulators (or NR 16-bit values):
 *   vec, load                  the type, its unaligned load
 *   fetch(p, channels, full)   NR bytes at p widened to 16 bits; only `channels` of them exist unless full
 *   zip_low, zip_high          16-bit unpacks, within 128-bit lanes: LANE_CHANNEL gives the order of channels
 *   madd_add(acc, x, w)        acc + PMADDWD(x, w)
 *   rule, make_rule(args)      what store needs of the rounding rule
 *   store(p, acc0, acc1, multiplier, rule, channels, full)   NR outputs in order
 */
#include "kernels/qdw/x86_blocks.h"

enum { VEC_BYTES = sizeof(vec), HEADER_BYTES = 8 * NR /* biases and multipliers */, GROUP_BYTES = 4 * NR };

ERT_INLINE vec weight(const block_work *b, size_t group, int half) {
  return load(b->block + HEADER_BYTES + group * GROUP_BYTES + (size_t)half * VEC_BYTES);
}

/* A column of the window: rows 0 and 1 as pairs, row 2 with itself (the second weight is 0). Neighbouring pixels share
 * columns. */
typedef struct column {
  vec upper[2], lower[2];
} column;

ERT_INLINE column fetch_column(const int8_t *const rows[3], size_t offset, size_t channels, const bool full) {
  const vec x = fetch(rows[0] + offset, channels, full), y = fetch(rows[1] + offset, channels, full);
  const vec z = fetch(rows[2] + offset, channels, full);
  return (column){{zip_low(x, y), zip_high(x, y)}, {zip_low(z, z), zip_high(z, z)}};
}

static const uint8_t SLOTS_3X3[12] = {0, 3, 1, 4, 2, 5, 6, ERT_QDW_NO_TAP, 7, ERT_QDW_NO_TAP, 8, ERT_QDW_NO_TAP};

ERT_INLINE void pixel_3x3(const block_work *b, size_t pixel, const column *left, const column *middle,
                          const column *right, const rule *rule, const bool full) {
  vec acc[2];
  ERT_UNROLL for (int h = 0; h < 2; h++) {
    acc[h] = load(b->block + h * (int)VEC_BYTES);
    acc[h] = madd_add(acc[h], left->upper[h], weight(b, 0, h));
    acc[h] = madd_add(acc[h], middle->upper[h], weight(b, 1, h));
    acc[h] = madd_add(acc[h], right->upper[h], weight(b, 2, h));
    acc[h] = madd_add(acc[h], left->lower[h], weight(b, 3, h));
    acc[h] = madd_add(acc[h], middle->lower[h], weight(b, 4, h));
    acc[h] = madd_add(acc[h], right->lower[h], weight(b, 5, h));
  }
  store(b->out + pixel * b->args->channels, acc[0], acc[1], b->block + 2 * VEC_BYTES, rule, b->channels, full);
}

ERT_INLINE void block_3x3(const block_work *work, const bool full) {
  const block_work local = *work, *b = &local; /* or it would be read again after every store */
  const int8_t *const rows[3] = {b->rows[0] + b->first, b->rows[1] + b->first, b->rows[2] + b->first};
  const rule r = make_rule(b->args);
  const size_t tap = b->args->tap_stride, step = b->args->pixel_stride, n = b->channels;
  size_t at = 0, p = 0;
  column c0 = fetch_column(rows, at, n, full), c1, c2;
  if (step == tap) {
    c1 = fetch_column(rows, at + tap, n, full);
    for (at += 2 * tap;; at += 3 * tap) { /* three pixels, so that columns need not move */
      c2 = fetch_column(rows, at, n, full);
      pixel_3x3(b, p, &c0, &c1, &c2, &r, full);
      if (++p == b->pixels) return;
      c0 = fetch_column(rows, at + tap, n, full);
      pixel_3x3(b, p, &c1, &c2, &c0, &r, full);
      if (++p == b->pixels) return;
      c1 = fetch_column(rows, at + 2 * tap, n, full);
      pixel_3x3(b, p, &c2, &c0, &c1, &r, full);
      if (++p == b->pixels) return;
    }
  }
  for (;;) {
    c1 = fetch_column(rows, at + tap, n, full);
    c2 = fetch_column(rows, at + 2 * tap, n, full);
    pixel_3x3(b, p, &c0, &c1, &c2, &r, full);
    if (++p == b->pixels) return;
    at += step;
    c0 = step == 2 * tap ? c2 : fetch_column(rows, at, n, full);
  }
}

/* --- blocks of a row --- */

static void full_3x3(const block_work *b) { block_3x3(b, true); }
static void part_3x3(const block_work *b) { block_3x3(b, false); }

static void run_3x3(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  walk(args, pixels, rows, out, NR, 6 * GROUP_BYTES, full_3x3, part_3x3);
}
