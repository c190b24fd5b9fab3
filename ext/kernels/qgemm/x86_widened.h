/* Products whose operands are widened to 16 bits before they meet: rows once for all blocks of weights, and a block of
 * weights once for all tiles of a chunk of rows, if there are rows enough to share it. Then the loop has nothing but
 * loads, PMADDWD and additions, and knows neither taps nor odd ends. Included behind x86_madd.h, of which it uses the
 * words. The including file defines:
 *   widen_row(to, from, k)   k bytes to 16 bits each; may write up to 16 values
 */
#include "base/memory.h"

enum {
  ROW_BYTES = 32 * 1024,       /* widened, of a chunk of rows at most, and */
  USUAL_ROW_BYTES = 16 * 1024, /* where that holds LEAST_ROWS */
  LEAST_ROWS = 16,
  ROW_PAIRS = ROW_BYTES / sizeof(int32_t),
  WEIGHT_PAIRS = 512, /* the most of a block of weights that is widened before */
  MOST = MAX_ROWS == 8 ? 3 : 2 /* MAX_ROWS is 2^MOST */
};

typedef struct widened {
  vec w[VECTORS * WEIGHT_PAIRS]; /* [pairs][VECTORS] */
  int32_t x[ROW_PAIRS + 8];      /* [rows][pairs] */
} widened;

typedef struct widened_tile {
  const uint8_t *w; /* widened or not, as the function wants them */
  const int32_t *x;
  size_t pairs;
  const uint8_t *block;
  const int32_t *row_bias;
  finish finish;
} widened_tile;

typedef void (*widened_fn)(const widened_tile *tile);

ERT_INLINE void add_pair(vec acc[MAX_ROWS][VECTORS], const uint8_t *w, const int32_t *x, size_t pairs, const int rows,
                         const bool widened_weights) {
  vec b[VECTORS];
  ERT_UNROLL for (int v = 0; v < VECTORS; v++) {
    b[v] = widened_weights ? load(w + v * (int)sizeof(vec)) : widen_weights(w + v * 2 * LANES);
  }
  ERT_UNROLL for (int r = 0; r < rows; r++) {
    const vec a = splat(x[(size_t)r * pairs]);
    ERT_UNROLL for (int v = 0; v < VECTORS; v++) accumulate(&acc[r][v], madd(a, b[v]));
  }
}

/* rows and widened_weights are constants wherever this is expanded. */
ERT_INLINE void multiply_widened(const widened_tile *tile, const int rows, const bool widened_weights) {
  const size_t pairs = tile->pairs, step = widened_weights ? VECTORS * sizeof(vec) : PAIR_BYTES;
  const int together = rows == 1 ? 4 : rows <= 4 ? 2 : 1; /* of one row the loop itself would be a third */
  vec acc[MAX_ROWS][VECTORS];
  begin_sums(acc, tile->block, tile->row_bias, rows);
  const uint8_t *w = tile->w;
  const int32_t *x = tile->x, *end = x + pairs;
  for (; end - x >= together; x += together, w += (size_t)together * step) {
    ERT_UNROLL for (int i = 0; i < together; i++) {
      add_pair(acc, w + (size_t)i * step, x + i, pairs, rows, widened_weights);
    }
  }
  for (; x < end; x++, w += step) add_pair(acc, w, x, pairs, rows, widened_weights);
  store_tile(&tile->finish, acc[0], VECTORS, rows, VECTORS);
}

#define WIDENED(rows)                                                                                     \
  static void widened_##rows(const widened_tile *tile) { multiply_widened(tile, rows, true); }            \
  static void narrow_##rows(const widened_tile *tile) { multiply_widened(tile, rows, false); }

static bool fits_widened(const ert_qgemm_args *args) {
  return args->k <= 2 * ROW_PAIRS && args->taps <= ROW_PAIRS && args->taps * ((args->k + 1) / 2) <= ROW_PAIRS;
}

/* of_widened[i] and of_narrow[i] compute 2^i rows, up to MAX_ROWS, with weights that are widened before or not. */
static void run_widened(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                        size_t out_stride, const widened_fn *of_widened, const widened_fn *of_narrow) {
  widened wide;
  const size_t tap_pairs = (args->k + 1) / 2, pairs = args->taps * tap_pairs, row_bytes = pairs * sizeof(int32_t);
  const size_t block_bytes = madd_block_bytes(args), least = ert_min_size(LEAST_ROWS, ROW_BYTES / row_bytes);
  const bool weights = m >= 8 && pairs <= WEIGHT_PAIRS && (args->n > NR || pairs >= 12); /* measured */
  const widened_fn *tiles = weights ? of_widened : of_narrow;
  size_t chunk = USUAL_ROW_BYTES / row_bytes / MAX_ROWS * MAX_ROWS;
  if (chunk < least) chunk = least;
  for (size_t first = 0, count; first < m; first += count) {
    const bool last = m - first < chunk + MAX_ROWS && m - first <= ROW_BYTES / row_bytes;
    count = last ? m - first : chunk; /* no chunk of few rows is left over */
    int32_t *x = wide.x;
    for (size_t i = 0; i < count; i++) {
      for (size_t t = 0; t < args->taps; t++, x += tap_pairs)
        widen_row((int16_t *)x, rows[first + i] + args->tap_offset[t], args->k);
    }
    const uint8_t *block = args->weights;
    for (size_t n = 0; n < args->n; n += NR, block += block_bytes) {
      const uint8_t *w = block + 8 * NR;
      if (weights) {
        for (size_t i = 0; i < VECTORS * pairs; i++) wide.w[i] = widen_weights(w + i * 2 * LANES);
        w = (const uint8_t *)wide.w;
      }
      const ert_qgemm_tile whole = {.args = args, .block = block, .out = out + first * out_stride + n,
                                    .out_stride = out_stride, .channels = args->n - n < NR ? args->n - n : NR};
      widened_tile tile = {w, wide.x, pairs, block, args->row_bias != NULL ? args->row_bias + first : NULL,
                           make_finish(&whole, VECTORS)};
      for (size_t left = count, height = MAX_ROWS, i = MOST; left != 0;) {
        if (left < height) {
          height /= 2;
          i--;
          continue;
        }
        tiles[i](&tile);
        left -= height;
        tile.x += height * pairs;
        tile.finish.out += height * out_stride;
        if (tile.row_bias != NULL) tile.row_bias += height;
      }
    }
  }
}
