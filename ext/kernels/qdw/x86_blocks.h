/* How x86 kernels walk over a row of pixels: block of channels by block of channels, each over all pixels, so that what
 * belongs to the block stays in registers. */
#ifndef ERT_KERNELS_QDW_X86_BLOCKS_H
#define ERT_KERNELS_QDW_X86_BLOCKS_H

#include <stdbool.h>

#include "base/inline.h"
#include "kernels/qdw/qdw.h"

/* One block of channels over the pixels of a row. */
typedef struct block_work {
  const ert_qdw_args *args;
  const uint8_t *block; /* bias'[nr], multiplier[nr], then groups of taps */
  size_t pixels, channels; /* channels of the block that exist: nr but in the last block */
  const int8_t *const *rows;
  size_t first; /* the block's first channel */
  int8_t *out;  /* of that channel */
} block_work;

typedef void (*block_fn)(const block_work *b);

/* With stride 1 and few channels the whole row counts as one pixel with pixels * channels channels: neighbouring pixels
 * fill the vectors, and the only block of weights, which repeats the channels, serves them all. */
ERT_INLINE bool is_one_pixel(const ert_qdw_args *args, size_t nr) {
  return args->channels < nr && nr % args->channels == 0 && args->pixel_stride == args->channels && args->row_bytes == 0;
}

/* full computes blocks of nr channels, part one of fewer. */
ERT_INLINE void walk(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out, size_t nr,
                     size_t weight_bytes, block_fn full, block_fn part) {
  block_work b = {.args = args, .block = args->weights, .pixels = pixels, .channels = nr, .rows = rows, .out = out};
  size_t block_bytes = (8 * nr + weight_bytes + 63) / 64 * 64, channels = args->channels;
  if (is_one_pixel(args, nr)) {
    channels *= pixels;
    b.pixels = 1;
    block_bytes = 0;
  }
  for (; b.first + nr <= channels; b.first += nr, b.out += nr, b.block += block_bytes) full(&b);
  b.channels = channels - b.first;
  if (b.channels != 0) part(&b);
}

#endif
