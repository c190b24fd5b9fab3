/* The loop over tiles that the NEON products share: channels outside, so that a block of weights stays in the first
 * cache while it meets all rows; then tiles of 8, 4, 2 and 1 rows. */
#ifndef ERT_KERNELS_QGEMM_TILES_NEON_H
#define ERT_KERNELS_QGEMM_TILES_NEON_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/bounds.h"
#include "kernels/qgemm/qgemm.h"
#include "requant/requant_neon.h"

/* A block of channels for a run of rows. */
typedef struct ert_qgemm_work {
  size_t taps, k;
  const ptrdiff_t *tap_offset;
  ert_requant_neon requant;
  ert_requant_kind kind; /* of the block */
  bool pairs;            /* no weight of the block is -128 */
  const uint8_t *block;
  size_t valid_n; /* channels of the block that exist */
  const int8_t *const *rows;
  const int32_t *row_bias; /* or NULL */
  int8_t *out;
  size_t out_stride;
} ert_qgemm_work;

/* Computes `tiles` tiles, one below the other, for n channels from the work's block on. */
typedef void (*ert_qgemm_tiles_fn)(const ert_qgemm_work *work, size_t tiles, size_t n, size_t block_bytes);

static inline ert_bounds ert_qgemm_block_bounds(const uint8_t *block, size_t nr) {
  return ert_bounds_of((const float *)(const void *)(block + nr * sizeof(int32_t)));
}

/* What of the work depends on its block; n channels are left. */
static inline void ert_qgemm_enter_block(ert_qgemm_work *work, size_t nr, size_t n) {
  const ert_bounds bounds = ert_qgemm_block_bounds(work->block, nr);
  work->kind = ert_requant_neon_kind(&work->requant, bounds.small);
  work->pairs = bounds.pairs;
  work->valid_n = n < nr ? n : nr;
}

/* `count` blocks from the work's one on are whole and can be worked at alike. */
static inline bool ert_qgemm_go_together(const ert_qgemm_work *work, const size_t count, size_t nr, size_t n,
                                         size_t block_bytes) {
  if (n < count * nr) return false;
  for (size_t b = 1; b < count; b++) {
    const ert_bounds bounds = ert_qgemm_block_bounds(work->block + b * block_bytes, nr);
    if (ert_requant_neon_kind(&work->requant, bounds.small) != work->kind || bounds.pairs != work->pairs) return false;
  }
  return true;
}

/* Defines tiles_<mr>, which calls the file's function `tile` with a constant number of rows, so that its accumulators
 * live in registers. The work is copied: stores of outputs might alias it, as far as the compiler can tell. */
#define ERT_QGEMM_TILES(mr)                                                                               \
  static void tiles_##mr(const ert_qgemm_work *of_caller, size_t tiles, size_t n, size_t block_bytes) {   \
    ert_qgemm_work work = *of_caller;                                                                     \
    for (size_t first = 0; first < n; first += NR, work.block += block_bytes, work.out += NR) {           \
      ert_qgemm_enter_block(&work, NR, n - first);                                                        \
      int8_t *out = work.out;                                                                             \
      for (size_t i = 0; i < tiles; i++, out += mr * work.out_stride) tile(mr, &work, i * mr, out);       \
    }                                                                                                     \
  }

/* Defines tiles_1 for kernels that work at a single row by several blocks at once: the file's function row(blocks, ...)
 * is called with BESIDE or 1. No more than one row is left over from the tiles of two. */
#define ERT_QGEMM_ROW                                                                                     \
  static void tiles_1(const ert_qgemm_work *of_caller, size_t tiles, size_t n, size_t block_bytes) {      \
    (void)tiles;                                                                                          \
    ert_qgemm_work work = *of_caller;                                                                     \
    while (n > 0) {                                                                                       \
      ert_qgemm_enter_block(&work, NR, n);                                                                \
      const bool together = ert_qgemm_go_together(&work, BESIDE, NR, n, block_bytes);                     \
      const size_t blocks = together ? BESIDE : 1;                                                        \
      if (together) row(BESIDE, &work, block_bytes);                                                      \
      else row(1, &work, block_bytes);                                                                    \
      if (n <= blocks * NR) break;                                                                        \
      n -= blocks * NR;                                                                                   \
      work.block += blocks * block_bytes;                                                                 \
      work.out += blocks * NR;                                                                            \
    }                                                                                                     \
  }

/* The outputs of a tile whose block has fewer channels than the kernel. Out of line, to leave the full tiles alone. */
static __attribute__((noinline, unused)) void ert_qgemm_store_part(const ert_qgemm_work *work, size_t rows,
                                                                   size_t row_bytes, const int8_t *tile, int8_t *out) {
  for (size_t r = 0; r < rows; r++, out += work->out_stride, tile += row_bytes) {
    size_t j = 0;
    if (work->valid_n >= 4) {
      memcpy(out, tile, 4);
      j = 4;
    }
    for (; j < work->valid_n; j++) out[j] = tile[j];
  }
}

enum { CACHED_WEIGHTS = 1 << 14 }; /* half of the first cache of small cores */

/* tiles[i] computes tiles of 2^i rows, up to 2^i = kernel->mr. */
static inline void ert_qgemm_run_tiles(const ert_qgemm_kernel *kernel, const ert_qgemm_tiles_fn *tiles,
                                       const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                                       size_t out_stride) {
  const size_t block_bytes = ert_qgemm_block_bytes(kernel, args->taps, args->k);
  ert_qgemm_work work = {.taps = args->taps, .k = args->k, .tap_offset = args->tap_offset, .out_stride = out_stride};
  work.requant = ert_requant_neon_init(args->out_zero, args->out_min, args->out_max);
  /* A call for every block, unless one call computes all rows or all weights stay in the first cache. */
  const size_t blocks = (args->n + kernel->nr - 1) / kernel->nr;
  const bool at_once = (m <= kernel->mr && (m & (m - 1)) == 0) || blocks <= CACHED_WEIGHTS / block_bytes;
  const size_t step = at_once ? args->n : kernel->nr;
  for (size_t first = 0; first < args->n; first += step) {
    const size_t n = args->n - first < step ? args->n - first : step;
    work.block = (const uint8_t *)args->weights + first / kernel->nr * block_bytes;
    size_t r = 0;
    for (size_t mr = kernel->mr, i = (size_t)__builtin_ctzl(mr); mr != 0; mr /= 2, i--) {
      const size_t count = (m - r) / mr;
      if (count == 0) continue;
      work.rows = rows + r;
      work.row_bias = args->row_bias != NULL ? args->row_bias + r : NULL;
      work.out = out + r * out_stride + first;
      tiles[i](&work, count, n, block_bytes);
      r += count * mr;
    }
  }
}

#endif
