/* Windows of any size by dot products. Four rows of a column are interleaved once, [row 0, row 1, row 2, row 3] for
 * every channel, into a strip in memory that lasts for a run of pixels, and SDOT multiplies them with a column of
 * weights for four channels at once; pixels that share a column share its interleaving. A row that is left over is
 * interleaved with its three neighbours on the right. */
#include <arm_neon.h>

#include "base/memory.h"
#include "kernels/bounds.h"
#include "kernels/qdw/layouts.h"
#include "kernels/qdw/pixels_neon.h"

enum {
  DEPTH = 4,
  CELL = DEPTH * NR,        /* bytes of a column of eight channels */
  STRIP_CELLS = 160,        /* no less than twice ERT_QDW_STRIP_CELLS and what the columns of a wide row need */
  MAX_STEPS = STRIP_CELLS   /* of a window */
};

/* A run of pixels and its columns: pixel p begins at column p * step, its taps are tap_step columns apart. */
typedef struct run_shape {
  size_t groups, across, steps; /* see ert_qdw_strip; steps = groups * kernel_w + across */
  size_t column_stride, step, tap_step;
  size_t pixels, columns;       /* the most of a run */
  size_t offset[MAX_STEPS];     /* bytes from a pixel's first cell to the one that a step of weights multiplies */
} run_shape;

static size_t columns_of(const run_shape *s, size_t pixels, size_t kernel_w) {
  return (pixels - 1) * s->step + (kernel_w - 1) * s->tap_step + 1;
}

static void init_shape(run_shape *s, const ert_qdw_args *args, size_t pixels) {
  const ert_qdw_strip strip = ert_qdw_strip_of(DEPTH, args->kernel_h, args->kernel_w);
  const size_t kernel_w = args->kernel_w, tap = args->tap_stride, pixel = args->pixel_stride;
  s->groups = strip.groups;
  s->across = strip.across != 0 ? (kernel_w + DEPTH - 1) / DEPTH : 0; /* a pixel begins at any column here */
  const size_t cells = s->groups + (s->across != 0), room = STRIP_CELLS / cells;
  s->column_stride = tap;
  s->tap_step = 1;
  s->step = pixel / tap;
  bool shared = pixel % tap == 0 && s->step <= kernel_w;
  if (!shared && tap % pixel == 0 && tap / pixel <= pixels) {
    s->column_stride = pixel;
    s->tap_step = tap / pixel;
    s->step = 1;
    shared = true;
  }
  s->pixels = 1;
  if (shared && columns_of(s, 1, kernel_w) <= room)
    s->pixels = ert_min_size(pixels, (room - columns_of(s, 1, kernel_w)) / s->step + 1);
  if (s->pixels < s->tap_step) { /* there would be columns between the taps */
    s->column_stride = tap;
    s->tap_step = 1;
    s->pixels = 1;
  }
  s->columns = columns_of(s, s->pixels, kernel_w);
  s->steps = 0;
  for (size_t g = 0; g < s->groups; g++)
    for (size_t j = 0; j < kernel_w; j++) s->offset[s->steps++] = (g * s->columns + j * s->tap_step) * CELL;
  for (size_t i = 0; i < s->across; i++)
    s->offset[s->steps++] = (s->groups * s->columns + i * DEPTH * s->tap_step) * CELL;
}

static inline int8x16_t widen(int8x8_t v) { return vcombine_s8(v, vdup_n_s8(0)); }

ERT_INLINE int8x8_t load(const int8_t *x, const bool whole, size_t valid) {
  return whole ? vld1_s8(x) : ert_load_upto_7_s8(x, valid);
}

static inline int16x8_t pair(int8x8_t a, int8x8_t b) {
  return vreinterpretq_s16_s8(vzip1q_s8(widen(a), widen(b)));
}

/* Four taps of eight channels, from two pairs. */
static inline void store_cell(int16x8_t first, int16x8_t second, int8_t *cell) {
  vst1q_s8(cell, vreinterpretq_s8_s16(vzip1q_s16(first, second)));
  vst1q_s8(cell + 16, vreinterpretq_s8_s16(vzip2q_s16(first, second)));
}

/* The row that is left over: every column, or every second one, and the three to the right of it, of which those beyond
 * the last weigh 0. Neighbours share their pairs. */
ERT_INLINE void fill_across(const bool whole, const run_shape *s, size_t valid, const int8_t *x, size_t columns,
                            int8_t *strip) {
  const size_t stride = s->column_stride, next = s->step % 2 == 0 ? 2 : 1;
  size_t c = 0;
  if (s->tap_step == 1 && columns >= DEPTH) {
    const int8x8_t second = load(x + stride, whole, valid);
    int8x8_t last = load(x + 2 * stride, whole, valid);
    int16x8_t even = pair(load(x, whole, valid), second), odd = pair(second, last);
    const int8_t *ahead = x + 3 * stride;
    for (; c + DEPTH + 1 <= columns; c += 2, strip += 2 * CELL, ahead += 2 * stride) {
      const int8x8_t third = load(ahead, whole, valid);
      const int16x8_t of_third = pair(last, third);
      store_cell(even, of_third, strip);
      even = of_third;
      last = load(ahead + stride, whole, valid);
      if (next == 2) continue;
      const int16x8_t of_last = pair(third, last);
      store_cell(odd, of_last, strip + CELL);
      odd = of_last;
    }
  }
  for (; c < columns; c += next, strip += next * CELL) {
    int8x8_t v[DEPTH];
    ERT_UNROLL for (size_t i = 0; i < DEPTH; i++) {
      v[i] = load(x + ert_min_size(c + i * s->tap_step, columns - 1) * stride, whole, valid);
    }
    store_cell(pair(v[0], v[1]), pair(v[2], v[3]), strip);
  }
}

ERT_INLINE void fill_strip(const bool whole, const ert_qdw_args *args, const run_shape *s, size_t valid,
                           const int8_t *const *rows, size_t at, size_t columns, int8_t *strip) {
  const size_t last_row = args->kernel_h - 1, stride = s->column_stride;
  for (size_t g = 0; g < s->groups; g++, strip += s->columns * CELL) {
    const int8_t *x[DEPTH]; /* rows beyond the last weigh 0 */
    ERT_UNROLL for (size_t i = 0; i < DEPTH; i++) x[i] = rows[ert_min_size(g * DEPTH + i, last_row)] + at;
    int8_t *cell = strip;
    for (size_t c = 0; c < columns; c++, cell += CELL) {
      store_cell(pair(load(x[0], whole, valid), load(x[1], whole, valid)),
                 pair(load(x[2], whole, valid), load(x[3], whole, valid)), cell);
      ERT_UNROLL for (size_t i = 0; i < DEPTH; i++) x[i] += stride;
    }
  }
  if (s->across != 0) fill_across(whole, s, valid, rows[last_row] + at, columns, strip);
}

typedef struct block {
  const int32_t *bias;
  const float *multiplier;
  const int8_t *weights;
  size_t valid; /* channels */
  ert_requant_kind kind;
} block;

/* `count` pixels, `step` columns apart. */
ERT_INLINE void pixels_of_block(const size_t count, const size_t step, const bool whole, const ert_qdw_args *args,
                                const run_shape *s, const block *b, const ert_requant_neon *q, const int8_t *strip,
                                int8_t *out) {
  int32x4_t acc[PIXELS][2];
  ert_qdw_start(count, b->bias, acc);
  const int8_t *w = b->weights;
  for (const size_t *offset = s->offset, *end = offset + s->steps; offset != end; offset++) {
    const int8_t *cell = strip + *offset;
    const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16);
    w += CELL;
    ERT_UNROLL for (size_t p = 0; p < count; p++) {
      acc[p][0] = vdotq_s32(acc[p][0], vld1q_s8(cell + p * step * CELL), w0);
      acc[p][1] = vdotq_s32(acc[p][1], vld1q_s8(cell + p * step * CELL + 16), w1);
    }
  }
  ert_qdw_finish(b->kind, count, whole, b->valid, q, acc, b->multiplier, out, args->channels);
}

ERT_INLINE void run_block(const size_t step, const bool whole, const ert_qdw_args *args, const run_shape *s,
                          const block *of_args, const ert_requant_neon *q, size_t pixels, const int8_t *strip,
                          int8_t *out) {
  const block b = *of_args;
  size_t p = 0;
  if (step != 0) {
    for (; p + PIXELS <= pixels; p += PIXELS, strip += PIXELS * step * CELL, out += PIXELS * args->channels)
      pixels_of_block(PIXELS, step, whole, args, s, &b, q, strip, out);
    if (p + 2 <= pixels) {
      pixels_of_block(2, step, whole, args, s, &b, q, strip, out);
      p += 2;
      strip += 2 * step * CELL;
      out += 2 * args->channels;
    }
  }
  for (; p < pixels; p++, strip += s->step * CELL, out += args->channels)
    pixels_of_block(1, 0, whole, args, s, &b, q, strip, out);
}

static void run(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  const ert_requant_neon q = ert_requant_neon_init(args->out_zero, args->out_min, args->out_max);
  run_shape s;
  init_shape(&s, args, pixels);
  const ert_qdw_strip packed_strip = ert_qdw_strip_of(DEPTH, args->kernel_h, args->kernel_w);
  const size_t packed_steps = packed_strip.groups * args->kernel_w + 2 * packed_strip.across;
  const size_t block_bytes = ert_round_up(NR * (sizeof(int32_t) + sizeof(float)) + packed_steps * CELL, ERT_ALIGN);
  int8_t strip[STRIP_CELLS * CELL];
  const uint8_t *packed = args->weights;
  for (size_t c = 0; c < args->channels; c += NR, packed += block_bytes) {
    /* The last of several blocks holds the last eight channels. */
    const size_t channel = args->channels - c < NR && c != 0 ? args->channels - NR : c;
    block b = {.bias = (const int32_t *)packed, .valid = args->channels - channel};
    b.multiplier = (const float *)(b.bias + NR);
    b.kind = ert_requant_neon_kind(&q, ert_bounds_of(b.multiplier).small);
    b.weights = (const int8_t *)(b.multiplier + NR);
    const bool whole = b.valid >= NR;
    for (size_t p = 0; p < pixels; p += s.pixels) {
      const size_t count = ert_min_size(s.pixels, pixels - p), columns = columns_of(&s, count, args->kernel_w);
      int8_t *to = out + p * args->channels + channel;
      if (!whole) {
        fill_strip(false, args, &s, b.valid, rows, p * args->pixel_stride + channel, columns, strip);
        run_block(0, false, args, &s, &b, &q, count, strip, to);
        continue;
      }
      fill_strip(true, args, &s, b.valid, rows, p * args->pixel_stride + channel, columns, strip);
      if (s.step == 1) run_block(1, true, args, &s, &b, &q, count, strip, to);
      else if (s.step == 2) run_block(2, true, args, &s, &b, &q, count, strip, to);
      else run_block(0, true, args, &s, &b, &q, count, strip, to);
    }
  }
}

const ert_qdw_kernel ert_qdw_neondot_8_strip = {ERT_QDW_LAYOUT_neondot_8_strip, .run = run};
