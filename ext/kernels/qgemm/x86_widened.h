/* Products whose operands are widened to 16 bits before they meet: rows once for all blocks of weights, a block of
 * weights once for all tiles of a chunk of rows. Then the loop has nothing but loads, PMADDWD and additions, and knows
 * neither taps nor odd ends. For products whose operands fit the buffers and that have rows enough to share the
 * widening; included behind x86_madd.h, of which it uses the words. The including file defines:
 *   widen_row(to, from, k)   k bytes to 16 bits each; may write up to 16 values
 */
enum {
  WIDENED_PAIRS = 512,           /* the most of a row */
  WIDENED_ROW_BYTES = 32 * 1024, /* of a chunk of rows at most, and */
  WIDENED_USUAL_BYTES = 16 * 1024, /* where that holds WIDENED_LEAST_ROWS */
  WIDENED_LEAST_ROWS = 16,
  MOST = MAX_ROWS == 8 ? 3 : 2 /* MAX_ROWS is 2^MOST */
};

typedef struct widened {
  vec w[VECTORS * WIDENED_PAIRS]; /* [pairs][VECTORS] */
  int32_t x[WIDENED_ROW_BYTES / sizeof(int32_t) + 8]; /* [rows][pairs] */
} widened;

typedef struct widened_tile {
  const vec *w;
  const int32_t *x;
  size_t pairs;
  const uint8_t *block;
  const int32_t *row_bias;
  finish finish;
} widened_tile;

typedef void (*widened_fn)(const widened_tile *tile);

/* rows is a constant wherever this is expanded. */
ERT_INLINE void multiply_widened(const widened_tile *tile, const int rows) {
  vec acc[MAX_ROWS][VECTORS];
  begin_sums(acc, tile->block, tile->row_bias, rows);
  const size_t pairs = tile->pairs;
  const vec *w = tile->w;
  const int32_t *x[MAX_ROWS];
  ERT_UNROLL for (int r = 0; r < rows; r++) x[r] = tile->x + (size_t)r * pairs;
  for (size_t i = 0; i < pairs; i++, w += VECTORS) {
    vec b[VECTORS];
    ERT_UNROLL for (int v = 0; v < VECTORS; v++) b[v] = w[v];
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      const vec a = splat(x[r][i]);
      ERT_UNROLL for (int v = 0; v < VECTORS; v++) accumulate(&acc[r][v], madd(a, b[v]));
    }
  }
  store_tile(&tile->finish, acc[0], VECTORS, rows, VECTORS);
}

#define WIDENED(rows) \
  static void widened_##rows(const widened_tile *tile) { multiply_widened(tile, rows); }

/* It fits, and is worth it: a single block shares no widened rows, which its tiles could widen as well, if there are
 * tiles of several rows that do. */
static bool pays_to_widen(const ert_qgemm_args *args, size_t m) {
  if (m < 8 || args->k > 2 * WIDENED_PAIRS || args->taps > WIDENED_PAIRS) return false;
  const size_t pairs = args->taps * ((args->k + 1) / 2);
  return pairs <= WIDENED_PAIRS && (VECTORS == 1 || args->n > NR || pairs >= 16);
}

/* tiles[i] computes 2^i rows, up to MAX_ROWS. */
static void run_widened(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                        size_t out_stride, const widened_fn *tiles) {
  widened wide;
  const size_t tap_pairs = (args->k + 1) / 2, pairs = args->taps * tap_pairs, row_bytes = pairs * sizeof(int32_t);
  const size_t block_bytes = madd_block_bytes(args);
  size_t chunk = WIDENED_USUAL_BYTES / row_bytes / MAX_ROWS * MAX_ROWS;
  if (chunk < WIDENED_LEAST_ROWS) chunk = WIDENED_LEAST_ROWS;
  for (size_t first = 0, count; first < m; first += count) {
    const bool last = m - first < chunk + MAX_ROWS && (m - first) * row_bytes <= WIDENED_ROW_BYTES;
    count = last ? m - first : chunk; /* no chunk of few rows is left over */
    int32_t *x = wide.x;
    for (size_t i = 0; i < count; i++) {
      for (size_t t = 0; t < args->taps; t++, x += tap_pairs)
        widen_row((int16_t *)x, rows[first + i] + args->tap_offset[t], args->k);
    }
    const uint8_t *block = args->weights;
    for (size_t n = 0; n < args->n; n += NR, block += block_bytes) {
      for (size_t i = 0; i < VECTORS * pairs; i++) wide.w[i] = widen_weights(block + 8 * NR + i * 2 * LANES);
      const ert_qgemm_tile whole = {.args = args, .block = block, .out = out + first * out_stride + n,
                                    .out_stride = out_stride, .channels = args->n - n < NR ? args->n - n : NR};
      widened_tile tile = {wide.w, wide.x, pairs, block, args->row_bias != NULL ? args->row_bias + first : NULL,
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
