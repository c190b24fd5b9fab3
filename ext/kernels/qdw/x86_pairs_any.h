/* Windows of any size for x86_pairs.h, included before. */

/* Taps are paired in their order, across rows, as they were packed; a last odd one is paired with itself and a weight
 * of 0. `pixels` is a constant wherever this is expanded. */
ERT_INLINE void any_window(const block_work *b, size_t first_pixel, const int pixels, const rule *rule,
                           const bool full) {
  const ert_qdw_args *args = b->args;
  const size_t taps = args->kernel_h * args->kernel_w, offset = first_pixel * args->pixel_stride + b->first;
  vec acc[4][2];
  ERT_UNROLL for (int p = 0; p < pixels; p++) {
    acc[p][0] = load(b->block);
    acc[p][1] = load(b->block + VEC_BYTES);
  }
  size_t i = 0, j = 0;
  for (size_t t = 0; t < taps; t += 2) {
    const int8_t *x = b->rows[i] + offset + j * args->tap_stride, *y = x;
    if (++j == args->kernel_w) {
      j = 0;
      i++;
    }
    if (t + 1 < taps) {
      y = b->rows[i] + offset + j * args->tap_stride;
      if (++j == args->kernel_w) {
        j = 0;
        i++;
      }
    }
    const vec w0 = weight(b, t / 2, 0), w1 = weight(b, t / 2, 1);
    ERT_UNROLL for (int p = 0; p < pixels; p++) {
      const vec u = fetch(x + (size_t)p * args->pixel_stride, b->channels, full);
      const vec v = fetch(y + (size_t)p * args->pixel_stride, b->channels, full);
      acc[p][0] = madd_add(acc[p][0], zip_low(u, v), w0);
      acc[p][1] = madd_add(acc[p][1], zip_high(u, v), w1);
    }
  }
  ERT_UNROLL for (int p = 0; p < pixels; p++) {
    store(b->out + (first_pixel + (size_t)p) * args->channels, acc[p][0], acc[p][1],
          b->block + 2 * VEC_BYTES, rule, b->channels, full);
  }
}

ERT_INLINE void any_block(const block_work *b, const bool full) {
  const rule r = make_rule(b->args);
  size_t p = 0;
  for (; p + 4 <= b->pixels; p += 4) any_window(b, p, 4, &r, full);
  for (; p < b->pixels; p++) any_window(b, p, 1, &r, full);
}

static void any_full(const block_work *b) { any_block(b, true); }
static void any_part(const block_work *b) { any_block(b, false); }

static void run_any(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  walk(args, pixels, rows, out, NR, (args->kernel_h * args->kernel_w + 1) / 2 * GROUP_BYTES, any_full, any_part);
}
