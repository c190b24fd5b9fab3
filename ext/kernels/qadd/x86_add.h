/* Body of the x86 kernels. A product of int8 and a multiplier m of 22 bits with sign is made of two 16-bit products,
 * m = 4096 * high + low, so that PMADDWD forms a * m_a + b * m_b for both inputs at once.
 *
 * The including file defines, for its vector of N 16-bit (N / 2 32-bit) lanes:
 *   vec                     the type
 *   widen(p)                N bytes at p to 16 bits each
 *   zip_low, zip_high       16-bit unpacks; within 128-bit lanes, as is pack_32, which therefore undoes them
 *   madd, add, shift_left   32-bit operations
 *   shift_right(v, count)   arithmetic, count a vec
 *   splat_32, splat_16      one value in all lanes
 *   pack_32, add_16         saturating
 *   store(p, q, lo, hi)     q to int8 with saturation, then to [lo, hi]; N bytes
 */
#include <stdbool.h>
#include <string.h>

#include "base/inline.h"
#include "kernels/qadd/qadd.h"

typedef struct factors {
  vec bias, low, high, shift, out_zero;
  int8_t out_min, out_max;
} factors;

ERT_INLINE factors make_factors(const ert_qadd_params *p) {
  const uint32_t a = (uint32_t)p->a_multiplier, b = (uint32_t)p->b_multiplier;
  const uint32_t high_a = (uint32_t)(p->a_multiplier >> 12), high_b = (uint32_t)(p->b_multiplier >> 12);
  return (factors){splat_32(p->bias),
                   splat_32((int32_t)((a & 4095) | (b & 4095) << 16)),
                   splat_32((int32_t)((high_a & 65535) | high_b << 16)),
                   splat_32(p->shift),
                   splat_16((int16_t)p->out_zero),
                   p->out_min,
                   p->out_max};
}

ERT_INLINE vec sum(const factors *f, vec pairs) {
  const vec low = add(madd(pairs, f->low), f->bias), high = shift_left(madd(pairs, f->high));
  return shift_right(add(low, high), f->shift);
}

ERT_INLINE void add_vector(const factors *f, vec a, vec b, int8_t *out) {
  const vec q = pack_32(sum(f, zip_low(a, b)), sum(f, zip_high(a, b)));
  store(out, add_16(q, f->out_zero), f->out_min, f->out_max);
}

ERT_INLINE void add_all(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out,
                    const bool one_b) {
  const factors f = make_factors(params);
  const vec first_b = splat_16(n != 0 ? b[0] : 0);
  size_t i = 0;
  for (; i + N <= n; i += N) add_vector(&f, widen(a + i), one_b ? first_b : widen(b + i), out + i);
  if (i < n) { /* through buffers, so that nothing beyond the ends is touched */
    int8_t last_a[N] = {0}, last_b[N] = {0}, last[N];
    memcpy(last_a, a + i, n - i);
    if (!one_b) memcpy(last_b, b + i, n - i);
    add_vector(&f, widen(last_a), one_b ? first_b : widen(last_b), last);
    memcpy(out + i, last, n - i);
  }
}

static void run(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  add_all(params, n, a, b, out, false);
}

static void run_scalar(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  add_all(params, n, a, b, out, true);
}
