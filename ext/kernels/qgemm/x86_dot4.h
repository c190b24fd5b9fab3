/* Tiles of kernels with an instruction that adds four products of unsigned and signed bytes to 32 bits (VPDPBUSD).
 *
 * x goes in as x + 128, which is x with its top bit turned; ert_qgemm_pack took the surplus off the bias. The including
 * file defines, for its vector of LANES accumulators:
 *   vec               the type
 *   load, splat       unaligned load; all lanes from one 32-bit value
 *   add, flip_sign    32-bit sums; every byte XOR 0x80
 *   drop_bytes(x, n)  the n lowest bytes out of every 32 bits, zeros in from above
 *   dot4(acc, x, w)   the accumulator after the instruction
 *   finish, make_finish(tile, vectors)   what the end of a tile needs, gathered once: stores could change what they are
 *                                        gathered from, as far as the compiler knows
 *   store_tile(finish, acc, row_step, rows, vectors)   requantises the tile, whose rows of accumulators are row_step
 *                                        apart, and writes tile->channels bytes of every row
 */
#include <string.h>

#include "kernels/partial_x86.h"
#include "kernels/qgemm/x86_tiles.h"

enum { MAX_ROWS = 14, MAX_VECTORS = 4 };

ERT_INLINE vec splat_4(const int8_t *p) {
  uint32_t bytes;
  memcpy(&bytes, p, 4);
  return splat(bytes);
}

/* One step of 4 k: w points to the weights of the step, x has each row's bytes in all lanes. */
ERT_INLINE void step(vec acc[MAX_ROWS][MAX_VECTORS], const uint8_t *w, const vec *x, int rows, int vectors) {
  vec b[MAX_VECTORS];
  ERT_UNROLL for (int v = 0; v < vectors; v++) b[v] = load(w + v * (int)sizeof(vec));
  ERT_UNROLL for (int r = 0; r < rows; r++) {
    const vec a = flip_sign(x[r]);
    ERT_UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = dot4(acc[r][v], a, b[v]);
  }
}

/* rows and vectors are constants wherever this is expanded. Few rows have few accumulators, and each would wait for its
 * own last sum: then odd steps get accumulators of their own. */
ERT_INLINE void compute(const ert_qgemm_tile *tile, const int rows, const int vectors) {
  const ert_qgemm_args *args = tile->args;
  const size_t k = args->k, step_bytes = (size_t)vectors * sizeof(vec);
  const bool two_sets = rows * vectors <= 6;
  const uint8_t *w = tile->block + 2 * step_bytes; /* after biases and multipliers */
  vec acc[MAX_ROWS][MAX_VECTORS], odd[MAX_ROWS][MAX_VECTORS];
  ERT_UNROLL for (int v = 0; v < vectors; v++) {
    const vec bias = load(tile->block + v * (int)sizeof(vec));
    ERT_UNROLL for (int r = 0; r < rows; r++) acc[r][v] = bias;
    if (two_sets) {
      ERT_UNROLL for (int r = 0; r < rows; r++) odd[r][v] = splat(0);
    }
  }
  if (tile->row_bias != NULL) {
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      ERT_UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = add(acc[r][v], splat((uint32_t)tile->row_bias[r]));
    }
  }
  for (size_t t = 0; t < args->taps; t++) {
    const int8_t *x[MAX_ROWS];
    vec bytes[MAX_ROWS];
    ERT_UNROLL for (int r = 0; r < rows; r++) x[r] = tile->rows[r] + args->tap_offset[t];
    size_t l = 0;
    if (two_sets) {
      for (; l + 8 <= k; l += 8, w += 2 * step_bytes) {
        ERT_UNROLL for (int r = 0; r < rows; r++) bytes[r] = splat_4(x[r] + l);
        step(acc, w, bytes, rows, vectors);
        ERT_UNROLL for (int r = 0; r < rows; r++) bytes[r] = splat_4(x[r] + l + 4);
        step(odd, w + step_bytes, bytes, rows, vectors);
      }
    }
    for (; l + 4 <= k; l += 4, w += step_bytes) {
      ERT_UNROLL for (int r = 0; r < rows; r++) bytes[r] = splat_4(x[r] + l);
      step(acc, w, bytes, rows, vectors);
    }
    if (l < k) {
      if (k >= 4) { /* the last 4 bytes, less those that have been */
        ERT_UNROLL for (int r = 0; r < rows; r++) bytes[r] = drop_bytes(splat_4(x[r] + (k - 4)), 4 - (k - l));
      } else {
        ERT_UNROLL for (int r = 0; r < rows; r++) bytes[r] = splat(ert_load_below_4(x[r], k));
      }
      step(acc, w, bytes, rows, vectors);
      w += step_bytes;
    }
  }
  const finish f = make_finish(tile, vectors);
  if (two_sets) {
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      ERT_UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = add(acc[r][v], odd[r][v]);
    }
  }
  store_tile(&f, acc[0], MAX_VECTORS, rows, vectors);
}

/* Bytes of a block of weights, as ert_qgemm_block_bytes counts them. */
ERT_INLINE size_t dot4_block_bytes(const ert_qgemm_args *args, size_t nr) {
  return (8 * nr + args->taps * ((args->k + 3) / 4) * nr * 4 + 63) / 64 * 64;
}

#define TILE(rows, vectors) \
  static void tile_##rows##_##vectors(const ert_qgemm_tile *tile) { compute(tile, rows, vectors); }
