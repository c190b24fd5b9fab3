/* Sixteen sums at a time. A multiplier is split into m = 256 * high + low, so that a * m = (256 a) * high + a * low is
 * two products of int16: half the widening of a 32-bit multiplication, and faster on every core. */
#include <arm_neon.h>
#include <stdbool.h>

#include "kernels/common_neon.h"
#include "kernels/qadd/qadd.h"

typedef struct constants {
  int16x4_t multiplier; /* low and high of a, low and high of b */
  int32x4_t bias, shift;
  int16x8_t zero;
  int8x16_t min, max;
} constants;

/* high keeps the sign and low lies in 0 .. 255. Multipliers have 21 bits, so that high fits int16. */
static inline constants prepare(const ert_qadd_params *p) {
  const int16_t parts[4] = {(int16_t)(p->a_multiplier & 255), (int16_t)(p->a_multiplier >> 8),
                            (int16_t)(p->b_multiplier & 255), (int16_t)(p->b_multiplier >> 8)};
  return (constants){.multiplier = vld1_s16(parts),
                     .bias = vdupq_n_s32(p->bias),
                     .shift = vdupq_n_s32(-p->shift), /* a negative shift to the left goes to the right */
                     .zero = vdupq_n_s16((int16_t)p->out_zero),
                     .min = vdupq_n_s8(p->out_min),
                     .max = vdupq_n_s8(p->out_max)};
}

/* acc + x * m for eight x; low and high are lanes of the multiplier. */
#define MULTIPLY(acc, k, x, low, high)                                                            \
  do {                                                                                            \
    const int16x8_t x_16 = vmovl_s8(x), x_256 = vshll_n_s8(x, 8);                                 \
    (acc)[0] = vmlal_lane_s16((acc)[0], vget_low_s16(x_16), (k)->multiplier, low);                \
    (acc)[1] = vmlal_lane_s16((acc)[1], vget_high_s16(x_16), (k)->multiplier, low);               \
    (acc)[0] = vmlal_lane_s16((acc)[0], vget_low_s16(x_256), (k)->multiplier, high);              \
    (acc)[1] = vmlal_lane_s16((acc)[1], vget_high_s16(x_256), (k)->multiplier, high);             \
  } while (0)

/* Saturating steps clamp to more than int8 or to int8, which changes nothing about the clamp that follows. */
static inline int8x8_t finish(const int32x4_t acc[2], const constants *k) {
  const int16x8_t y = vcombine_s16(vqmovn_s32(vshlq_s32(acc[0], k->shift)), vqmovn_s32(vshlq_s32(acc[1], k->shift)));
  return vqmovn_s16(vqaddq_s16(y, k->zero));
}

/* With one_b, a constant, the bias already holds b. */
ERT_INLINE int8x8_t add_8(const bool one_b, int8x8_t a, int8x8_t b, const constants *k) {
  int32x4_t acc[2] = {k->bias, k->bias};
  MULTIPLY(acc, k, a, 0, 1);
  if (!one_b) MULTIPLY(acc, k, b, 2, 3);
  return finish(acc, k);
}

static inline int8x16_t clamp(int8x16_t y, const constants *k) { return vminq_s8(vmaxq_s8(y, k->min), k->max); }

ERT_INLINE void add(const bool one_b, const constants *k, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const int8x16_t va = vld1q_s8(a + i), vb = one_b ? va : vld1q_s8(b + i);
    const int8x8_t low = add_8(one_b, vget_low_s8(va), vget_low_s8(vb), k);
    const int8x8_t high = add_8(one_b, vget_high_s8(va), vget_high_s8(vb), k);
    vst1q_s8(out + i, clamp(vcombine_s8(low, high), k));
  }
  if (i + 8 <= n) {
    const int8x8_t va = vld1_s8(a + i), y = add_8(one_b, va, one_b ? va : vld1_s8(b + i), k);
    vst1_s8(out + i, vget_low_s8(clamp(vcombine_s8(y, y), k)));
    i += 8;
  }
  if (i < n) {
    const int8x8_t va = ert_load_upto_7_s8(a + i, n - i);
    const int8x8_t y = add_8(one_b, va, one_b ? va : ert_load_upto_7_s8(b + i, n - i), k);
    ert_store_upto_7_s8(out + i, vget_low_s8(clamp(vcombine_s8(y, y), k)), n - i);
  }
}

static void run(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  const constants k = prepare(params);
  add(false, &k, n, a, b, out);
}

static void run_scalar(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  ert_qadd_params of_a = *params;
  if (n == 0) return;
  of_a.bias += b[0] * params->b_multiplier;
  const constants k = prepare(&of_a);
  add(true, &k, n, a, NULL, out);
}

const ert_qadd_kernel ert_qadd_neon = {
    .name = "qadd_neon", .isa = ERT_ISA_NEON, .run = run, .run_scalar = run_scalar};
