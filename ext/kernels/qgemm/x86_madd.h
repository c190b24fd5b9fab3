/* Tiles of kernels that multiply 16-bit pairs and add them to 32 bits (PMADDWD).
 *
 * Eight k of a row are widened at once, then every pair of them is spread over a vector; weights are widened as they
 * are loaded. The including file defines, for its vector of LANES accumulators:
 *   VECTORS, MAX_ROWS       vectors of a block of channels, the most rows of a tile
 *   vec, load, splat, add   as in x86_dot4.h
 *   eight                   8 widened bytes of a row
 *   widen_8(&x, bytes)      fills an eight
 *   widen_weights(p)        2 * LANES bytes at p to 16 bits each
 *   SPREAD(x, pair)         pair number `pair` (a constant, 0 to 3) of an eight in all lanes
 *   madd(a, b)              PMADDWD
 *   ADD_IN_PLACE            assembly that adds 32-bit lanes of %1 to %0
 *   finish, make_finish, store_tile   as in x86_dot4.h
 */
#include <stdbool.h>
#include <string.h>

#include "kernels/partial_x86.h"
#include "kernels/qgemm/x86_tiles.h"

enum { NR = VECTORS * LANES, PAIR_BYTES = 2 * NR /* weights of one pair of k */ };

/* In assembly, or GCC adds products to each other first, for which registers do not suffice, or copies sums. */
ERT_INLINE void accumulate(vec *acc, vec product) {
  vec sum = *acc;
  __asm__(ADD_IN_PLACE : "+x"(sum) : "x"(product));
  *acc = sum;
}

/* Adds pair number `pair` of the 8 k in x, whose weights are at w. */
#define STEP(pair)                                                                                          \
  do {                                                                                                      \
    vec b[VECTORS];                                                                                         \
    ERT_UNROLL for (int v = 0; v < VECTORS; v++) b[v] = widen_weights(w + (pair) * PAIR_BYTES + v * 2 * LANES); \
    ERT_UNROLL for (int r = 0; r < rows; r++) {                                                             \
      const vec a = SPREAD(x[r], pair);                                                                     \
      ERT_UNROLL for (int v = 0; v < VECTORS; v++) accumulate(&acc[r][v], madd(a, b[v]));                   \
    }                                                                                                       \
  } while (0)

/* Sums before the first product. rows is a constant wherever this is expanded. */
ERT_INLINE void begin_sums(vec acc[MAX_ROWS][VECTORS], const uint8_t *block, const int32_t *row_bias, const int rows) {
  ERT_UNROLL for (int r = 0; r < rows; r++) {
    ERT_UNROLL for (int v = 0; v < VECTORS; v++) acc[r][v] = load(block + v * (int)sizeof(vec));
  }
  if (row_bias != NULL) {
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      ERT_UNROLL for (int v = 0; v < VECTORS; v++) acc[r][v] = add(acc[r][v], splat(row_bias[r]));
    }
  }
}

/* rows is a constant wherever this is expanded. */
ERT_INLINE void compute(const ert_qgemm_tile *tile, const int rows) {
  const ert_qgemm_args *args = tile->args;
  const size_t k = args->k, odd = k % 8;
  const uint8_t *w = tile->block + NR * 8; /* after biases and multipliers */
  vec acc[MAX_ROWS][VECTORS];
  eight x[MAX_ROWS];
  begin_sums(acc, tile->block, tile->row_bias, rows);
  for (size_t t = 0; t < args->taps; t++) {
    const int8_t *p[MAX_ROWS];
    ERT_UNROLL for (int r = 0; r < rows; r++) p[r] = tile->rows[r] + args->tap_offset[t];
    for (size_t l = 0; l + 8 <= k; l += 8, w += 4 * PAIR_BYTES) {
      ERT_UNROLL for (int r = 0; r < rows; r++) {
        uint64_t bytes;
        memcpy(&bytes, p[r] + l, 8);
        widen_8(&x[r], bytes);
      }
      STEP(0);
      STEP(1);
      STEP(2);
      STEP(3);
    }
    if (odd != 0) {
      ERT_UNROLL for (int r = 0; r < rows; r++) widen_8(&x[r], ert_load_below_8(p[r] + (k - odd), odd));
      STEP(0);
      if (odd > 2) STEP(1);
      if (odd > 4) STEP(2);
      if (odd > 6) STEP(3);
      w += (odd + 1) / 2 * PAIR_BYTES;
    }
  }
  const finish f = make_finish(tile, VECTORS);
  store_tile(&f, acc[0], VECTORS, rows, VECTORS);
}

#define TILE(rows) \
  static void tile_##rows(const ert_qgemm_tile *tile) { compute(tile, rows); }

ERT_INLINE size_t madd_block_bytes(const ert_qgemm_args *args) {
  return (8 * NR + args->taps * ((args->k + 1) / 2) * PAIR_BYTES + 63) / 64 * 64;
}
