/* Sixteen sums at a time. A multiplier is split into m = 256 * high + low, so that a * m = (256 a) * high + a * low is
 * two products of int16: half the widening of a 32-bit multiplication, and faster on every core. */
#include <arm_neon.h>
#include <stdbool.h>

#include "kernels/common_neon.h"
#include "kernels/qadd/qadd.h"

typedef struct constants {
  int16x4_t multiplier; /* low and high of a, low and high of b */
  int32_t bias[8]; /* loaded wherever sums start: the load pipes are idle */
  int32x4_t shift;
  int16x8_t zero;
  int8x16_t min, max;
} constants;

/* high keeps the sign and low lies in 0 .. 255. Multipliers have 21 bits, so that high fits int16. */
static inline constants prepare(const ert_qadd_params *p) {
  const int16_t parts[4] = {(int16_t)(p->a_multiplier & 255), (int16_t)(p->a_multiplier >> 8),
                            (int16_t)(p->b_multiplier & 255), (int16_t)(p->b_multiplier >> 8)};
  const int32_t bias = p->bias;
  return (constants){.multiplier = vld1_s16(parts),
                     .bias = {bias, bias, bias, bias, bias, bias, bias, bias},
                     .shift = vdupq_n_s32(-p->shift), /* a negative shift to the left goes to the right */
                     .zero = vdupq_n_s16((int16_t)p->out_zero),
                     .min = vdupq_n_s8(p->out_min),
                     .max = vdupq_n_s8(p->out_max)};
}

/* Half 0 or 1 of x: as int16, and times 256. */
ERT_INLINE void widen(const int half, int8x16_t x, int16x8_t *x_16, int16x8_t *x_256) {
#if defined(__aarch64__)
  *x_16 = half ? vmovl_high_s8(x) : vmovl_s8(vget_low_s8(x));
  *x_256 = half ? vshll_high_n_s8(x, 8) : vshll_n_s8(vget_low_s8(x), 8);
#else
  *x_16 = vmovl_s8(half ? vget_high_s8(x) : vget_low_s8(x));
  *x_256 = vshll_n_s8(half ? vget_high_s8(x) : vget_low_s8(x), 8);
#endif
}

/* acc + x * m for eight x; low and high are lanes of the multiplier. */
#define MULTIPLY(acc, k, half, x, low, high)                                                      \
  do {                                                                                            \
    int16x8_t x_16, x_256;                                                                        \
    widen(half, x, &x_16, &x_256);                                                                \
    (acc)[0] = vmlal_lane_s16((acc)[0], vget_low_s16(x_16), (k)->multiplier, low);                \
    (acc)[1] = vmlal_lane_s16((acc)[1], vget_high_s16(x_16), (k)->multiplier, low);               \
    (acc)[0] = vmlal_lane_s16((acc)[0], vget_low_s16(x_256), (k)->multiplier, high);              \
    (acc)[1] = vmlal_lane_s16((acc)[1], vget_high_s16(x_256), (k)->multiplier, high);             \
  } while (0)

/* Saturating steps clamp to more than int8 or to int8, which changes nothing about the clamp that follows. */
static inline int16x8_t finish(const int32x4_t acc[2], const constants *k) {
  const int16x8_t y = vcombine_s16(vqmovn_s32(vshlq_s32(acc[0], k->shift)), vqmovn_s32(vshlq_s32(acc[1], k->shift)));
  return vqaddq_s16(y, k->zero);
}

/* With one_b, a constant as half is, the bias already holds b. */
ERT_INLINE int16x8_t add_8(const bool one_b, const int half, int8x16_t a, int8x16_t b, const constants *k) {
  const int32_t *bias = k->bias;
  ERT_LOAD_AGAIN(bias);
  int32x4_t acc[2] = {vld1q_s32(bias), vld1q_s32(bias + 4)};
  MULTIPLY(acc, k, half, a, 0, 1);
  if (!one_b) MULTIPLY(acc, k, half, b, 2, 3);
  return finish(acc, k);
}

/* Eight sums of the lower halves. */
ERT_INLINE int8x8_t add_low(const bool one_b, int8x8_t a, int8x8_t b, const constants *k) {
  const int8x8_t y = vqmovn_s16(add_8(one_b, 0, vcombine_s8(a, a), vcombine_s8(b, b), k));
  return vmin_s8(vmax_s8(y, vget_low_s8(k->min)), vget_low_s8(k->max));
}

ERT_INLINE void add(const bool one_b, const constants *k, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  size_t i = 0;
  for (const size_t whole = n / 16 * 16; i != whole; i += 16) {
    const int8x16_t va = vld1q_s8(a + i), vb = one_b ? va : vld1q_s8(b + i);
    const int16x8_t low = add_8(one_b, 0, va, vb, k), high = add_8(one_b, 1, va, vb, k);
    const int8x16_t y = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
    vst1q_s8(out + i, vminq_s8(vmaxq_s8(y, k->min), k->max));
  }
  if (i + 8 <= n) {
    const int8x8_t va = vld1_s8(a + i);
    vst1_s8(out + i, add_low(one_b, va, one_b ? va : vld1_s8(b + i), k));
    i += 8;
  }
  if (i < n) {
    const int8x8_t va = ert_load_upto_7_s8(a + i, n - i);
    ert_store_upto_7_s8(out + i, add_low(one_b, va, one_b ? va : ert_load_upto_7_s8(b + i, n - i), k), n - i);
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
