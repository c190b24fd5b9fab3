/* 3x3 with stride 1 for int8 weights, two output rows at a time: four rows lie side by side as bytes, and VPDPBUSD adds
 * the products of three of them to one output row or the other. Neighbouring pixels share columns. A block is 64
 * channels; what is left of the channels is computed in narrower vectors, which are the lower parts of a block's.
 *
 * x goes in as x + 128; ert_qdw_pack took the surplus off the bias. A file includes this once for each width, and states:
 *   ROWS(name)                     name, made different for each width
 *   vec, ROWS_BYTES                the vector and its bytes, which are the channels of a block
 *   load, fetch(p, n, full), save(p, v, n, full), splat, turn, low8, high8, low16, high16, dot4
 *   rule, make_rule(args, wide), finish(q0, q1, q2, q3, rule), round(acc, multipliers, rule)
 */

/* A column of four rows: vector v, lane 4 L + i has channel 16 L + 4 v + i. */
typedef struct ROWS(column) {
  vec x[4];
} ROWS(column);

ERT_INLINE ROWS(column) ROWS(column_at)(const rows_of_four *rows, ptrdiff_t offset, size_t n, const bool full) {
  if ((size_t)offset >= rows->bytes) {
    const vec padding = splat(rows->padding);
    return (ROWS(column)){{padding, padding, padding, padding}};
  }
  vec x[4];
  ERT_UNROLL for (int i = 0; i < 4; i++) x[i] = turn(fetch(rows->at[i] + offset, n, full));
  const vec ab_low = low8(x[0], x[1]), ab_high = high8(x[0], x[1]);
  const vec cd_low = low8(x[2], x[3]), cd_high = high8(x[2], x[3]);
  return (ROWS(column)){{low16(ab_low, cd_low), high16(ab_low, cd_low), low16(ab_high, cd_high), high16(ab_high, cd_high)}};
}

/* Pixel `pixel` of output row `row`, which is a constant. */
ERT_INLINE void ROWS(pixel_of)(const rows_work *b, int row, size_t pixel, const ROWS(column) *left,
                               const ROWS(column) *middle, const ROWS(column) *right, const rule *r, const bool full) {
  const uint8_t *weights = b->block + ROWS_WEIGHTS + row * 12 * ROWS_VECTOR;
  vec q[4];
  ERT_UNROLL for (int v = 0; v < 4; v++) {
    vec acc = load(b->block + v * ROWS_VECTOR);
    acc = dot4(acc, left->x[v], load(weights + v * ROWS_VECTOR));
    acc = dot4(acc, middle->x[v], load(weights + (4 + v) * ROWS_VECTOR));
    acc = dot4(acc, right->x[v], load(weights + (8 + v) * ROWS_VECTOR));
    q[v] = round(acc, b->block + (4 + v) * ROWS_VECTOR, r);
  }
  save(b->out[row] + pixel * b->args->channels, finish(q[0], q[1], q[2], q[3], r), b->channels, full);
}

ERT_INLINE void ROWS(pixel)(const rows_work *b, size_t pixel, const ROWS(column) *left, const ROWS(column) *middle,
                            const ROWS(column) *right, const rule *r, const bool two, const bool full) {
  ROWS(pixel_of)(b, 0, pixel, left, middle, right, r, full);
  if (two) ROWS(pixel_of)(b, 1, pixel, left, middle, right, r, full);
}

/* wide, two and full are constants wherever this is expanded. */
ERT_INLINE void ROWS(block)(const rows_work *work, const bool wide, const bool two, const bool full) {
  const rows_work local = *work, *b = &local; /* or it would be read again after every store */
  const rows_of_four *rows = &b->rows;
  const rule r = make_rule(b->args, wide);
  const ptrdiff_t tap = (ptrdiff_t)b->args->tap_stride;
  const size_t n = b->channels;
  ptrdiff_t at = b->args->first;
  size_t p = 0;
  ROWS(column) c0 = ROWS(column_at)(rows, at, n, full), c1 = ROWS(column_at)(rows, at + tap, n, full), c2;
  for (at += 2 * tap;; at += 3 * tap) { /* three pixels, so that columns need not move */
    c2 = ROWS(column_at)(rows, at, n, full);
    ROWS(pixel)(b, p, &c0, &c1, &c2, &r, two, full);
    if (++p == b->pixels) return;
    c0 = ROWS(column_at)(rows, at + tap, n, full);
    ROWS(pixel)(b, p, &c1, &c2, &c0, &r, two, full);
    if (++p == b->pixels) return;
    c1 = ROWS(column_at)(rows, at + 2 * tap, n, full);
    ROWS(pixel)(b, p, &c2, &c0, &c1, &r, two, full);
    if (++p == b->pixels) return;
  }
}

static void ROWS(two_full)(const rows_work *b) { ROWS(block)(b, false, true, true); }
static void ROWS(two_any)(const rows_work *b) { ROWS(block)(b, true, true, false); }
static void ROWS(one_any)(const rows_work *b) { ROWS(block)(b, true, false, false); }
