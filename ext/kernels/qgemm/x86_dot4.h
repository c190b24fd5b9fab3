/* Tiles of kernels with an instruction that adds four products of unsigned and signed bytes to 32 bits (VPDPBUSD).
 *
 * One side has to be unsigned. It is x, as x + 128, which is x with its top bit turned; ert_qgemm_pack took the surplus
 * off the bias. Or, with DOT4_UNSIGNED_WEIGHTS, it is w + 128, whose surplus is the row's sum of x, and the caller takes
 * it off by row_bias: that saves an XOR for every step of every row, which not every processor does beside the products.
 * The including file defines, for its vector of LANES accumulators:
 *   vec               the type
 *   load, splat       unaligned load; all lanes from one 32-bit value
 *   add               32-bit sums
 *   dot4(acc, u, s)   the accumulator after the instruction: unsigned times signed bytes
 *   flip_sign         every byte XOR 0x80, without DOT4_UNSIGNED_WEIGHTS
 *   finish, make_finish(tile, vectors)   what the end of a tile needs, gathered once: stores could change what they are
 *                                        gathered from, as far as the compiler knows
 *   store_tile(finish, acc, row_step, rows, vectors)   requantises the tile, whose rows of accumulators are row_step
 *                                        apart, and writes tile->channels bytes of every row
 */
#include <string.h>

#include "kernels/partial_x86.h"
#include "kernels/qgemm/x86_tiles.h"

/* More rows than MAX_APART are a constant step apart: there are not as many pointers as registers for sums. */
enum { MAX_ROWS = 14, MAX_APART = 7, MAX_VECTORS = 4, MAX_POINTERS = 7 };

/* Where a tap of each row begins: a pointer for every row, or for every third row, whose neighbours are one and two
 * steps from it, as an address can say. */
typedef struct left {
  const int8_t *at[MAX_POINTERS];
  ptrdiff_t step;
} left;

ERT_INLINE const int8_t *row_at(const left *x, int row, int rows, ptrdiff_t offset) {
  return rows > MAX_APART ? x->at[row / 3] + row % 3 * x->step + offset : x->at[row] + offset;
}

ERT_INLINE vec splat_4(const int8_t *p) {
  uint32_t bytes;
  memcpy(&bytes, p, 4);
  return splat(bytes);
}

ERT_INLINE void add_products(vec acc[MAX_ROWS][MAX_VECTORS], int row, vec x, const vec *w, int vectors) {
#if defined(DOT4_UNSIGNED_WEIGHTS)
  ERT_UNROLL for (int v = 0; v < vectors; v++) acc[row][v] = dot4(acc[row][v], w[v], x);
#else
  x = flip_sign(x);
  ERT_UNROLL for (int v = 0; v < vectors; v++) acc[row][v] = dot4(acc[row][v], x, w[v]);
#endif
}

ERT_INLINE void load_weights(vec *b, const uint8_t *w, int vectors) {
  ERT_UNROLL for (int v = 0; v < vectors; v++) b[v] = load(w + v * (int)sizeof(vec));
}

/* One step of 4 k, `offset` bytes behind the pointers: w points to the weights of the step. */
ERT_INLINE void step(vec acc[MAX_ROWS][MAX_VECTORS], const uint8_t *w, const left *x, ptrdiff_t offset, int rows,
                     int vectors) {
  vec b[MAX_VECTORS];
  load_weights(b, w, vectors);
  ERT_UNROLL for (int r = 0; r < rows; r++) add_products(acc, r, splat_4(row_at(x, r, rows, offset)), b, vectors);
}

/* The only step of a tap of 1 to 3 k. */
ERT_INLINE void step_below_4(vec acc[MAX_ROWS][MAX_VECTORS], const uint8_t *w, const left *x, size_t k, int rows,
                             int vectors) {
  vec b[MAX_VECTORS];
  load_weights(b, w, vectors);
  ERT_UNROLL for (int r = 0; r < rows; r++) {
    add_products(acc, r, splat(ert_load_below_4(row_at(x, r, rows, 0), k)), b, vectors);
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
  const int pointers = rows > MAX_APART ? (rows + 2) / 3 : rows;
  const ptrdiff_t last = (ptrdiff_t)k - 4;
  left x = {.step = args->row_step};
  for (size_t t = 0; t < args->taps; t++) {
    ERT_UNROLL for (int i = 0; i < pointers; i++) {
      x.at[i] = tile->rows[rows > MAX_APART ? 3 * i : i] + args->tap_offset[t];
    }
    size_t l = 0;
    if (two_sets) {
      for (; l + 8 <= k; l += 8, w += 2 * step_bytes) {
        step(acc, w, &x, (ptrdiff_t)l, rows, vectors);
        step(odd, w + step_bytes, &x, (ptrdiff_t)l + 4, rows, vectors);
      }
    }
    for (; l + 4 <= k; l += 4, w += step_bytes) {
      if (rows > MAX_APART) {
        step(acc, w, &x, 0, rows, vectors);
        ERT_UNROLL for (int i = 0; i < pointers; i++) {
          x.at[i] += 4;
          __asm__("" : "+r"(x.at[i])); /* or the compiler makes a pointer for every row after all */
        }
      } else {
        step(acc, w, &x, (ptrdiff_t)l, rows, vectors);
      }
    }
    if (l < k) {
      if (k >= 4) { /* the last 4 bytes; weights of 0 stand for those that have been */
        step(acc, w, &x, rows > MAX_APART ? last - (ptrdiff_t)l : last, rows, vectors);
      } else {
        step_below_4(acc, w, &x, k, rows, vectors);
      }
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
