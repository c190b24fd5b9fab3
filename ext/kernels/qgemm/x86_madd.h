/* Tiles of kernels that multiply 16-bit pairs and add them to 32 bits (PMADDWD), two vectors of channels wide.
 *
 * Eight k of a row are widened at once, then every pair of them is spread over a vector; weights are widened as they
 * are loaded. The including file defines, for its vector of LANES accumulators:
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

enum { MAX_ROWS = 4, NR = 2 * LANES, PAIR_BYTES = 2 * NR /* weights of one pair of k */ };

/* In assembly, or GCC adds products to each other first, for which registers do not suffice, or copies sums. */
ERT_INLINE void accumulate(vec *acc, vec product) {
  vec sum = *acc;
  __asm__(ADD_IN_PLACE : "+x"(sum) : "x"(product));
  *acc = sum;
}

/* Adds pair number `pair` of the 8 k in x, whose weights are at w. */
#define STEP(pair)                                                        \
  do {                                                                    \
    const vec b0 = widen_weights(w + (pair) * PAIR_BYTES);                \
    const vec b1 = widen_weights(w + (pair) * PAIR_BYTES + PAIR_BYTES / 2); \
    ERT_UNROLL for (int r = 0; r < rows; r++) {                               \
      const vec a = SPREAD(x[r], pair);                                   \
      accumulate(&acc[r][0], madd(a, b0));                                \
      accumulate(&acc[r][1], madd(a, b1));                                \
    }                                                                     \
  } while (0)

/* rows is a constant wherever this is expanded. */
ERT_INLINE void compute(const ert_qgemm_tile *tile, const int rows) {
  const ert_qgemm_args *args = tile->args;
  const size_t k = args->k, odd = k % 8;
  const uint8_t *w = tile->block + NR * 8; /* after biases and multipliers */
  vec acc[MAX_ROWS][2];
  eight x[MAX_ROWS];
  ERT_UNROLL for (int r = 0; r < rows; r++) {
    acc[r][0] = load(tile->block);
    acc[r][1] = load(tile->block + sizeof(vec));
  }
  if (tile->row_bias != NULL) {
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      acc[r][0] = add(acc[r][0], splat(tile->row_bias[r]));
      acc[r][1] = add(acc[r][1], splat(tile->row_bias[r]));
    }
  }
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
  const finish f = make_finish(tile, 2);
  store_tile(&f, acc[0], 2, rows, 2);
}

static void tile_1(const ert_qgemm_tile *tile) { compute(tile, 1); }
static void tile_2(const ert_qgemm_tile *tile) { compute(tile, 2); }
static void tile_3(const ert_qgemm_tile *tile) { compute(tile, 3); }
static void tile_4(const ert_qgemm_tile *tile) { compute(tile, 4); }

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tile_fn tiles[MAX_ROWS] = {tile_1, tile_2, tile_3, tile_4};
  const size_t block_bytes = (8 * NR + args->taps * ((args->k + 1) / 2) * PAIR_BYTES + 63) / 64 * 64;
  ert_qgemm_walk(args, m, rows, out, out_stride, tiles, MAX_ROWS, MAX_ROWS, NR, block_bytes);
}
