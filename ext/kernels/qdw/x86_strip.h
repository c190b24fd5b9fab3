/* Windows of any size by strips: the columns under a run of pixels are interleaved once, DEPTH rows of a channel side
 * by side, and lie in the first-level cache while tiles of four pixels multiply them. Pixels share columns, so that the
 * interleaving is paid once a column, and a dot product adds DEPTH taps of a channel.
 *
 * A single row that is left below groups of DEPTH rows (the fifth of 5x5) is interleaved along itself: DEPTH columns
 * of it side by side, beginning at every even one. Pixels that begin at an odd column have weights that are shifted by one.
 * ert_qdw_strip (qdw.h) has the order of the steps.
 *
 * A block is VECTORS vectors of accumulators. The including file defines:
 *   vec, fvec, LANES, DEPTH, VECTORS   the types, their lanes, rows that a dot product adds, vectors of a block
 *   MASKED                     true where fetch and store_part of fewer channels cost the same as of all
 *   fetch(p, channels, full)   NR values at p as they are multiplied; only `channels` exist unless full, a constant
 *   interleave(to, rows)       DEPTH vectors of values to VECTORS vectors of DEPTH values a channel
 *   dot(acc, x, w)             acc + products of x and *w
 *   pad(value)                 the value in all places, as fetch would give it
 *   rule, make_rule(args)      what the rest needs of the rounding rule
 *   scale(acc, multiplier)     float products, rounded to float once; bound(y, rule) applies the upper bound to one
 *   round_2(y0, y1, rule)      two of them to 16 bits, with the zero point
 *   store(p, halves, rule)     VECTORS / 2 results of round_2 to NR bytes; store_part also knows `channels`
 */
#include "kernels/qdw/x86_blocks.h"

enum {
  NR = VECTORS * LANES,
  TILE = 4,
  BEYOND = 2, /* cells that a tile reads without need where its last pixel does not exist */
  MULTIPLIERS = VECTORS,
  WEIGHTS = 2 * VECTORS /* in vectors from the block's beginning, where biases are */
};

typedef struct cell {
  vec x[VECTORS];
} cell;

typedef struct strip {
  ert_qdw_strip shape;
  size_t taps_w, columns; /* of the window, of the strip */
  cell *along;            /* the row left over, from every second column */
  cell cells[ERT_QDW_STRIP_CELLS + BEYOND]; /* [groups][columns], then `along` */
} strip;

typedef struct strip_work {
  block_work b;
  rule rule;
  size_t tap, row_bytes; /* bytes from column to column; of each row that exist */
  vec padding;
} strip_work;

ERT_INLINE bool is_full(const strip_work *s) { return !MASKED && s->b.channels == NR; }

/* --- filling --- */

/* The columns of `to` from the one at an offset from the rows' beginnings. */
ERT_INLINE void fill(strip *to, const strip_work *s, ptrdiff_t offset, size_t along, const bool full) {
  const size_t channels = s->b.channels, tap = s->tap, last = s->b.args->kernel_h - 1;
  const size_t columns = to->columns, row_bytes = s->row_bytes, groups = to->shape.groups;
  const vec padding = s->padding;
  cell *cells = to->cells;
  for (size_t g = 0; g < groups; g++) {
    const int8_t *row[DEPTH];
    ERT_UNROLL for (size_t i = 0; i < DEPTH; i++) {
      row[i] = s->b.rows[g * DEPTH + i < last ? g * DEPTH + i : last] + s->b.first;
    }
    size_t at = (size_t)offset;
    for (size_t c = 0; c < columns; c++, at += tap) {
      vec x[DEPTH];
      if (at < row_bytes) {
        ERT_UNROLL for (int i = 0; i < DEPTH; i++) x[i] = fetch(row[i] + at, channels, full);
      } else {
        ERT_UNROLL for (int i = 0; i < DEPTH; i++) x[i] = padding;
      }
      interleave(cells++->x, x);
    }
  }
  const int8_t *row = s->b.rows[last] + s->b.first;
  size_t at = (size_t)offset;
  for (size_t c = 0; c < 2 * along; c += 2, at += 2 * tap) {
    vec x[DEPTH];
    if (c + DEPTH <= columns && at < row_bytes && at + (DEPTH - 1) * tap < row_bytes) {
      ERT_UNROLL for (size_t j = 0; j < DEPTH; j++) x[j] = fetch(row + at + j * tap, channels, full);
    } else {
      for (size_t j = 0; j < DEPTH; j++) { /* what lies beyond the last column meets weights of 0 */
        const size_t own = at + j * tap;
        x[j] = c + j < columns && own < row_bytes ? fetch(row + own, channels, full) : padding;
      }
    }
    interleave(cells++->x, x);
  }
}

static void fill_full(strip *to, const strip_work *s, ptrdiff_t offset, size_t along) {
  fill(to, s, offset, along, true);
}
static void fill_part(strip *to, const strip_work *s, ptrdiff_t offset, size_t along) {
  fill(to, s, offset, along, false);
}

/* --- multiplying --- */

/* Two vectors of every pixel's accumulators. */
typedef struct sums {
  vec acc[TILE][2];
} sums;

/* Adds the step of weights `w` of the column that is at `x` for the first pixel. */
ERT_INLINE void add_column(sums *s, const cell *x, const vec *w, int half, const int pixels, const int stride) {
  ERT_UNROLL for (int p = 0; p < pixels; p++) {
    ERT_UNROLL for (int i = 0; i < 2; i++) s->acc[p][i] = dot(s->acc[p][i], x[p * stride].x[2 * half + i], w + i);
  }
}

/* The same for `taps` columns at once, so that each is loaded once for all pixels. */
ERT_INLINE void add_columns(sums *s, const cell *x, const vec *w, int half, const int pixels, const int stride,
                            const int taps) {
  ERT_UNROLL for (int c = 0; c < (pixels - 1) * stride + taps; c++) {
    ERT_UNROLL for (int i = 0; i < 2; i++) {
      const vec column = x[c].x[2 * half + i];
      ERT_UNROLL for (int p = 0; p < pixels; p++) {
        const int j = c - p * stride;
        if (j >= 0 && j < taps) s->acc[p][i] = dot(s->acc[p][i], column, w + j * VECTORS + i);
      }
    }
  }
}

/* A step along the row left over. */
ERT_INLINE void add_along(sums *s, const cell *x, const vec *w, const vec *shifted, int half, const int pixels,
                          const int stride) {
  ERT_UNROLL for (int p = 0; p < pixels; p++) {
    const vec *weights = stride % 2 != 0 && p % 2 != 0 ? shifted : w;
    ERT_UNROLL for (int i = 0; i < 2; i++) {
      s->acc[p][i] = dot(s->acc[p][i], x[p * stride / 2].x[2 * half + i], weights + i);
    }
  }
}

typedef vec halves[VECTORS / 2]; /* the 16-bit values of a pixel */

static __attribute__((noinline)) void store_pixels(const strip_work *s, const halves *values, size_t pixels,
                                                   int8_t *out) {
  for (size_t p = 0; p < pixels; p++, out += s->b.args->channels) {
    if (is_full(s)) {
      store(out, values[p], &s->rule);
    } else {
      store_part(out, values[p], &s->rule, s->b.channels);
    }
  }
}

/* `pixels` pixels from number `first` of the strip, `stride` columns apart, of which `wanted` are stored. pixels and
 * five (the window is 5x5) are constants wherever this is expanded, and stride for more than one pixel, which begin at an
 * even one. */
ERT_INLINE void tile(const strip *x, const strip_work *s, size_t first, const int pixels, const int stride,
                     const bool five, size_t wanted, int8_t *out) {
  enum { GROUPS_5 = 5 / DEPTH, ACROSS_5 = (5 + DEPTH) / DEPTH };
  halves values[TILE];
  int count = VECTORS / 2, h = 0;
  __asm__("" : "+r"(count)); /* one body serves all halves */
  for (int next = 0; next < count; next++) {
    h = next;
    __asm__("" : "+r"(h)); /* nor does the compiler keep values from one half for the other */
    const vec *block = (const vec *)(const void *)s->b.block + 2 * h, *w = block + WEIGHTS;
    sums sum;
    ERT_UNROLL for (int p = 0; p < pixels; p++) {
      sum.acc[p][0] = block[0];
      sum.acc[p][1] = block[1];
    }
    const size_t begin = first * (size_t)stride;
    const cell *column = x->cells + begin, *along = x->along + begin / 2;
    if (five) {
      ERT_UNROLL for (int g = 0; g < GROUPS_5; g++, column += x->columns, w += 5 * VECTORS) {
        add_columns(&sum, column, w, h, pixels, stride, 5);
      }
      ERT_UNROLL for (int k = 0; k < ACROSS_5; k++) {
        add_along(&sum, along + k * DEPTH / 2, w + k * VECTORS, w + (ACROSS_5 + k) * VECTORS, h, pixels, stride);
      }
    } else {
      for (size_t g = 0; g < x->shape.groups; g++, column += x->columns) {
        const cell *at = column;
        for (size_t j = 0; j < x->taps_w; j++, at++, w += VECTORS) {
          __asm__("" : "+r"(at)); /* or GCC keeps columns for the next turn in accumulators' registers */
          add_column(&sum, at, w, h, pixels, stride);
        }
      }
      const vec *shifted = w + x->shape.across * VECTORS;
      if (pixels == 1 && begin % 2 != 0) w = shifted;
      for (size_t k = 0; k < x->shape.across; k++, along += DEPTH / 2, w += VECTORS, shifted += VECTORS) {
        __asm__("" : "+r"(along));
        add_along(&sum, along, w, shifted, h, pixels, stride);
      }
    }
    fvec y[TILE][2];
    ERT_UNROLL for (int p = 0; p < pixels; p++) {
      y[p][0] = scale(sum.acc[p][0], block[MULTIPLIERS]);
      y[p][1] = scale(sum.acc[p][1], block[MULTIPLIERS + 1]);
    }
    if (__builtin_expect(s->rule.wide, 0)) {
      ERT_UNROLL for (int p = 0; p < pixels; p++) {
        y[p][0] = bound(y[p][0], &s->rule);
        y[p][1] = bound(y[p][1], &s->rule);
      }
    }
    ERT_UNROLL for (int p = 0; p < pixels; p++) values[p][h] = round_2(y[p][0], y[p][1], &s->rule);
  }
  store_pixels(s, values, wanted < (size_t)pixels ? wanted : (size_t)pixels, out);
}

typedef void (*tile_fn)(const strip *x, const strip_work *s, size_t first, size_t wanted, int8_t *out);
static void five_1(const strip *x, const strip_work *s, size_t first, size_t wanted, int8_t *out) {
  tile(x, s, first, TILE, 1, true, wanted, out);
}
static void five_2(const strip *x, const strip_work *s, size_t first, size_t wanted, int8_t *out) {
  tile(x, s, first, TILE, 2, true, wanted, out);
}
static void any_1(const strip *x, const strip_work *s, size_t first, size_t wanted, int8_t *out) {
  tile(x, s, first, TILE, 1, false, wanted, out);
}
static void any_2(const strip *x, const strip_work *s, size_t first, size_t wanted, int8_t *out) {
  tile(x, s, first, TILE, 2, false, wanted, out);
}
static void one(const strip *x, const strip_work *s, size_t first, int stride, int8_t *out) {
  tile(x, s, first, 1, stride, false, 1, out);
}

/* The pixels of a strip. */
static void multiply(const strip *x, const strip_work *s, size_t pixels, size_t stride, int8_t *out) {
  static const tile_fn of[2][2] = {{any_1, any_2}, {five_1, five_2}};
  const tile_fn four = of[s->b.args->kernel_h == 5 && s->b.args->kernel_w == 5][stride - 1];
  const size_t bytes = s->b.args->channels;
  size_t p = 0;
  for (; p + 2 < pixels; p += TILE) four(x, s, p, pixels - p, out + p * bytes);
  for (; p < pixels; p++) one(x, s, p, (int)stride, out + p * bytes);
}

/* --- blocks of a row --- */

/* A block over all pixels, in strips of at most `most`. */
static void strip_block(strip *x, const strip_work *s, size_t stride, size_t most) {
  const ert_qdw_args *args = s->b.args;
  int8_t *out = s->b.out;
  ptrdiff_t offset = args->first;
  for (size_t left = s->b.pixels; left != 0;) {
    const size_t pixels = left < most ? left : most;
    x->columns = (pixels - 1) * stride + args->kernel_w;
    x->along = x->cells + x->shape.groups * x->columns;
    const size_t along = x->shape.across != 0 ? (pixels - 1) * stride / 2 + DEPTH / 2 * (x->shape.across - 1) + 1 : 0;
    (is_full(s) ? fill_full : fill_part)(x, s, offset, along);
    multiply(x, s, pixels, stride, out);
    left -= pixels;
    out += pixels * args->channels;
    offset += (ptrdiff_t)(pixels * args->pixel_stride);
  }
}

/* The last of several blocks ends with the last channel and overlaps the one before it, as ert_qdw_pack knows. */
static void run_strips(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  const size_t tap = args->kernel_w > 1 ? args->tap_stride : args->pixel_stride;
  strip x;
  x.shape = ert_qdw_strip_of(DEPTH, args->kernel_h, args->kernel_w);
  x.taps_w = args->kernel_w;
  strip_work s = {.b = {.args = args, .block = args->weights, .pixels = pixels, .channels = NR, .rows = rows, .out = out},
                  .rule = make_rule(args), .tap = tap,
                  .row_bytes = args->row_bytes != 0 ? args->row_bytes : SIZE_MAX, .padding = pad(args->padding)};
  const size_t stride = args->pixel_stride == tap ? 1 : 2;
  size_t most = 1; /* pixels of a strip; one where they do not share columns in the way that tiles know */
  if (args->pixel_stride == stride * tap) {
    const size_t spare = ERT_QDW_STRIP_CELLS - ert_qdw_strip_cells(DEPTH, args->kernel_h, args->kernel_w);
    most += 2 * spare / (stride * (2 * x.shape.groups + (x.shape.across != 0)));
    if (most > TILE) most = most / TILE * TILE;
  }
  const size_t steps = x.shape.groups * args->kernel_w + 2 * x.shape.across;
  size_t block_bytes = (8 * NR + steps * VECTORS * sizeof(vec) + 63) / 64 * 64, channels = args->channels;
  if (is_one_pixel(args, NR)) {
    channels *= pixels;
    s.b.pixels = 1;
    block_bytes = 0;
  }
  if (channels < NR) s.b.channels = channels;
  for (size_t first = 0; first < channels; first += NR, s.b.block += block_bytes) {
    s.b.first = channels - first < NR && channels > NR ? channels - NR : first;
    s.b.out = out + s.b.first;
    strip_block(&x, &s, stride, most);
  }
}
