/* The loop over tiles that the NEON products share: channels outside, so that a block of weights stays in the first
 * cache while it meets all rows; then tiles of 8, 4, 2 and 1 rows. */
#ifndef ERT_KERNELS_QGEMM_TILES_NEON_H
#define ERT_KERNELS_QGEMM_TILES_NEON_H

#include "kernels/qgemm/qgemm.h"

/* Computes a tile: the first valid_n of the channels of `block`, and as many rows as the function stands for. */
typedef void (*ert_qgemm_tile_fn)(const ert_qgemm_args *args, const uint8_t *block, size_t valid_n,
                                  const int8_t *const *rows, const int32_t *row_bias, int8_t *out, size_t out_stride);

/* Defines tile_<mr>, which calls the file's function `tile` with a constant number of rows: its accumulators then live
 * in registers. */
#define ERT_QGEMM_TILE(mr)                                                                                            \
  static void tile_##mr(const ert_qgemm_args *args, const uint8_t *block, size_t valid_n, const int8_t *const *rows,  \
                        const int32_t *row_bias, int8_t *out, size_t out_stride) {                                    \
    tile(mr, args, block, valid_n, rows, row_bias, out, out_stride);                                                  \
  }

/* tiles[i] computes 2^i rows, up to 2^i = kernel->mr. */
static inline void ert_qgemm_run_tiles(const ert_qgemm_kernel *kernel, const ert_qgemm_tile_fn *tiles,
                                       const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                                       size_t out_stride) {
  const size_t block_bytes = ert_qgemm_block_bytes(kernel, args->taps, args->k), nr = kernel->nr;
  const uint8_t *block = args->weights;
  for (size_t n = 0; n < args->n; n += nr, block += block_bytes) {
    const size_t valid_n = args->n - n < nr ? args->n - n : nr;
    size_t r = 0;
    for (size_t mr = kernel->mr, i = (size_t)__builtin_ctzl(mr); mr != 0; mr /= 2, i--) {
      for (; m - r >= mr; r += mr) {
        tiles[i](args, block, valid_n, rows + r, args->row_bias != NULL ? args->row_bias + r : NULL,
                 out + r * out_stride + n, out_stride);
      }
    }
  }
}

#endif
