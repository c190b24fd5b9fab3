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
  WIDENED_LEAST_ROWS = 16
};

typedef struct widened {
  vec w[2 * WIDENED_PAIRS]; /* [pairs][2] */
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
  vec acc[MAX_ROWS][2];
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
  const size_t pairs = tile->pairs;
  const vec *w = tile->w;
  const int32_t *x[MAX_ROWS];
  ERT_UNROLL for (int r = 0; r < rows; r++) x[r] = tile->x + (size_t)r * pairs;
  for (size_t i = 0; i < pairs; i++, w += 2) {
    const vec w0 = w[0], w1 = w[1];
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      const vec a = splat(x[r][i]);
      accumulate(&acc[r][0], madd(a, w0));
      accumulate(&acc[r][1], madd(a, w1));
    }
  }
  store_tile(&tile->finish, acc[0], 2, rows, 2);
}

static void widened_1(const widened_tile *tile) { multiply_widened(tile, 1); }
static void widened_2(const widened_tile *tile) { multiply_widened(tile, 2); }
static void widened_3(const widened_tile *tile) { multiply_widened(tile, 3); }
static void widened_4(const widened_tile *tile) { multiply_widened(tile, 4); }

/* It fits, and is worth it: a single block shares no widened rows, which its tiles could widen as well. */
static bool pays_to_widen(const ert_qgemm_args *args, size_t m) {
  if (m < 2 * MAX_ROWS || args->k > 2 * WIDENED_PAIRS || args->taps > WIDENED_PAIRS) return false;
  const size_t pairs = args->taps * ((args->k + 1) / 2);
  return pairs <= WIDENED_PAIRS && (args->n > NR || pairs >= 16);
}

static void run_widened(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                        size_t out_stride) {
  static const widened_fn tiles[MAX_ROWS] = {widened_1, widened_2, widened_3, widened_4};
  widened wide;
  const size_t tap_pairs = (args->k + 1) / 2, pairs = args->taps * tap_pairs, row_bytes = pairs * sizeof(int32_t);
  const size_t block_bytes = (8 * NR + pairs * PAIR_BYTES + 63) / 64 * 64;
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
      for (size_t i = 0; i < 2 * pairs; i++) wide.w[i] = widen_weights(block + 8 * NR + i * (PAIR_BYTES / 2));
      const ert_qgemm_tile whole = {.args = args, .block = block, .out = out + first * out_stride + n,
                                    .out_stride = out_stride, .channels = args->n - n < NR ? args->n - n : NR};
      widened_tile tile = {wide.w, wide.x, pairs, block, args->row_bias != NULL ? args->row_bias + first : NULL,
                           make_finish(&whole, 2)};
      size_t tiles_left = (count + MAX_ROWS - 1) / MAX_ROWS;
      for (size_t i = 0; i < count; tiles_left--) {
        const size_t height = (count - i + tiles_left - 1) / tiles_left;
        tiles[height - 1](&tile);
        i += height;
        tile.x += height * pairs;
        tile.finish.out += height * out_stride;
        if (tile.row_bias != NULL) tile.row_bias += height;
      }
    }
  }
}
