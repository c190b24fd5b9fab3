/* int8 depthwise convolution of a run of pixels of one output row, or of two.
 *
 * Tap (i, j) of output pixel p, channel c is rows[i][p * pixel_stride + j * tap_stride + c].
 *
 *   acc[p][c] = bias'[c] + sum over i, j of  tap * w[i][j][c]                              (modulo 2^32)
 *   out[p][c] = clamp(rne(f32(acc) * multiplier[c]) + out_zero, out_min, out_max)
 *
 * Weights are int16: int8 less the weights' zero point, so that legacy uint8 models need no other kernel. Kernels that
 * multiply bytes keep int8 and are chosen where there is no zero point; with a spare slot beside each tap of the last row
 * also where only that row has weights that leave int8 when the zero point is taken off.
 * A kernel reads no byte that is not a tap of one of the pixels and writes exactly `channels` bytes a pixel.
 */
#ifndef ERT_KERNELS_QDW_H
#define ERT_KERNELS_QDW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct ert_qdw_args {
  size_t channels;
  size_t kernel_h, kernel_w;
  size_t tap_stride;   /* bytes between taps of a row: dilation_w * channels */
  size_t pixel_stride; /* bytes between output pixels: stride_w * channels */
  /* For kernels with `borders`, which need no copy of the row with padding around it: rows[i] is the first column that
   * exists, and what lies outside of row_bytes is `padding`. row_bytes 0: every tap exists, and first is 0. */
  size_t row_bytes;
  ptrdiff_t first; /* bytes from the first column that exists to the first tap of the first pixel: 0 or less */
  int8_t padding;  /* the input's zero point */
  /* For kernels with out_rows 2: how many are wanted. The window of the second begins at rows[1], and it goes to
   * out + out_row_bytes. */
  size_t out_rows, out_row_bytes;
  const void *weights; /* packed by ert_qdw_pack for this kernel, aligned to 64 */
  int32_t out_zero;
  int8_t out_min, out_max;
  bool wide; /* some multiplier is 1 or more: a product may leave the int32 range */
} ert_qdw_args;

/* rows: kernel_h pointers, one more for two output rows. out: pixels * channels bytes. pixels and channels >= 1. */
typedef void (*ert_qdw_fn)(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out);

enum { ERT_QDW_NO_TAP = 255 };

/* How kernels with `strip` take a window in steps of `depth` taps (x86_strip.h):
 *   for each of `groups` groups of depth rows, for each column: that column of the group; rows beyond the last weigh 0
 *   when one row is left over: depth columns of it at a time in `across` steps, and once more with every column one
 *   place further right, for pixels that begin at an odd column; columns beyond the first and last weigh 0. */
typedef struct ert_qdw_strip {
  size_t groups, across;
} ert_qdw_strip;

static inline ert_qdw_strip ert_qdw_strip_of(size_t depth, size_t kernel_h, size_t kernel_w) {
  const size_t left = kernel_h % depth;
  return (ert_qdw_strip){kernel_h / depth + (left > 1), left == 1 ? (kernel_w + depth) / depth : 0};
}

/* The most groups and starts of `across` steps under one pixel that the kernels serve. */
enum { ERT_QDW_STRIP_CELLS = 72 };

static inline size_t ert_qdw_strip_cells(size_t depth, size_t kernel_h, size_t kernel_w) {
  const ert_qdw_strip strip = ert_qdw_strip_of(depth, kernel_h, kernel_w);
  return strip.groups * kernel_w + (strip.across != 0 ? depth / 2 * (strip.across - 1) + 1 : 0);
}

typedef struct ert_qdw_kernel {
  const char *name; /* "qdw_avx2_16" */
  ert_isa isa;
  uint8_t nr;        /* channels of a block */
  uint8_t tap_group; /* taps packed together for one channel: weights lie [ceil(slots / tap_group)][nr][tap_group] */
  uint8_t slots;     /* entries of slot_tap */
  const uint8_t *slot_tap; /* tap in each slot, ERT_QDW_NO_TAP: a weight of 0; NULL: tap s in slot s, slots = taps */
  uint8_t kernel_h, kernel_w; /* the only size that the kernel serves; 0: any */
  uint8_t out_rows;  /* 2: it computes up to two output rows, of windows with stride and dilation 1; else 0 */
  bool strip;        /* weights lie as ert_qdw_strip says, in steps of tap_group taps; then slot_tap is NULL. Also, the
                      * last block of several holds the last nr channels, some of which the one before it holds too */
  bool spare;        /* a slot without tap reads the tap of the slot before it: ert_qdw_pack puts there what exceeds int8 */
  bool borders;      /* it takes ert_qdw_args.row_bytes */
  bool int8_weights; /* weights stay int8; only for weights without a zero point */
  bool bounds;       /* pack notes in the block what it proves of it, see kernels/bounds.h */
  uint8_t x_offset;  /* 128 when the kernel reads x as x + 128 (unsigned); pack corrects the bias for it */
  const uint8_t *lane_channel; /* nr entries: packed lane j holds channel lane_channel[j] of its block; NULL: j */
  ert_qdw_fn run;
} ert_qdw_kernel;

const ert_qdw_kernel *const *ert_qdw_kernels(size_t *count);
/* symmetric: the weights have no zero point. dense: stride and dilation are 1, and two output rows may be computed at
 * once. */
const ert_qdw_kernel *ert_qdw_select(ert_isa_set isa, size_t channels, size_t kernel_h, size_t kernel_w, bool symmetric,
                                     bool dense);

/* One block for every nr channels, the last one padded with zeros, or, when it is the only one and nr a multiple of
 * channels, with repetitions of the channels (so that it serves nr / channels pixels at once):
 *   int32 bias'[nr], float multiplier[nr], then weights in groups of taps. 0 on overflow. */
size_t ert_qdw_packed_bytes(const ert_qdw_kernel *kernel, size_t channels, size_t kernel_h, size_t kernel_w);

/* w: [kernel_h][kernel_w][channels] int8; w_zero: one entry a channel or NULL (all 0); bias may be NULL. */
void ert_qdw_pack(const ert_qdw_kernel *kernel, size_t channels, size_t kernel_h, size_t kernel_w, const int8_t *w,
                  const int32_t *w_zero, const int32_t *bias, const float *multiplier, int32_t zero_x, void *packed);

#endif
