/* How x86 kernels walk over a product: tiles of up to max_rows rows inside blocks of nr channels.
 *
 * Rows are taken in chunks whose left side stays in the first-level cache while the blocks of weights pass by; inside
 * a chunk a block of weights stays there while the tiles pass by. The low tiles of a chunk are of nearly equal height,
 * since a tile of one row costs almost as much as one of four. */
#ifndef ERT_KERNELS_QGEMM_X86_TILES_H
#define ERT_KERNELS_QGEMM_X86_TILES_H

#include <stdbool.h>

#include "base/inline.h"
#include "kernels/qgemm/qgemm.h"

enum { ERT_QGEMM_CHUNK_BYTES = 16 * 1024 };

typedef struct ert_qgemm_tile {
  const ert_qgemm_args *args;
  const uint8_t *block;        /* bias'[nr], multiplier[nr], weights */
  const int8_t *const *rows;
  const int32_t *row_bias;     /* NULL: none */
  size_t channels;             /* of the block that exist: 1 to nr */
  int8_t *out;
  size_t out_stride;
} ert_qgemm_tile;

typedef void (*ert_qgemm_tile_fn)(const ert_qgemm_tile *tile);

/* tiles[r - 1] computes r rows, for every r up to max_apart; where max_rows is more, one tile computes so many, of rows
 * that are a constant step apart: tiles[max_apart]. */
static inline void ert_qgemm_walk(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                                  size_t out_stride, const ert_qgemm_tile_fn *tiles, size_t max_rows, size_t max_apart,
                                  size_t nr, size_t block_bytes) {
  if (args->row_step == 0) max_rows = max_apart;
  size_t chunk = ERT_QGEMM_CHUNK_BYTES / (args->taps * args->k) / max_rows * max_rows;
  if (chunk == 0) chunk = max_rows;
  for (size_t first = 0; first < m; first += chunk) {
    const size_t end = m - first < chunk ? m : first + chunk;
    const uint8_t *block = args->weights;
    for (size_t n = 0; n < args->n; n += nr, block += block_bytes) {
      for (size_t i = first, height; i < end; i += height) {
        const size_t left = end - i, tiles_left = (left + max_apart - 1) / max_apart;
        const bool tall = max_rows > max_apart && left >= max_rows;
        height = tall ? max_rows : (left + tiles_left - 1) / tiles_left;
        const ert_qgemm_tile tile = {args, block, rows + i, args->row_bias != NULL ? args->row_bias + i : NULL,
                                     args->n - n < nr ? args->n - n : nr, out + i * out_stride + n, out_stride};
        tiles[tall ? max_apart : height - 1](&tile);
      }
    }
  }
}

#endif
