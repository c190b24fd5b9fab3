#include "ops/gemmlowp.h"

/* The product of numbers with no integer bits, or a number with m of them and one with none. */
static int32_t mul(int32_t a, int32_t b) {
  const int32_t product = a * b, rounded = (product + (product >= 0 ? 1 << 14 : 1 - (1 << 14))) / (1 << 15);
  return rounded > ERT_GL_ONE ? ERT_GL_ONE : rounded;
}

/* exp(a) of a <= 0 with `integer_bits` (0 to 7), to none: exp(-1/8) times a Taylor polynomial for what is above a
 * multiple of 1/4, times exp(-2^n) for every bit of that multiple. */
static int32_t exp_below_0(int32_t a, int integer_bits) {
  static const int16_t powers[] = {25520, 19875, 12055, 4435, 600, 11, 0}; /* exp(-1/4), exp(-1/2) ... exp(-16) */
  const int fractional = 15 - integer_bits;
  const int32_t quarter = 1 << (fractional - 2);
  const int32_t rest = (a & (quarter - 1)) - quarter, whole = rest - a;
  const int32_t x = rest * (1 << integer_bits) + (1 << 12); /* from -1/8 on */
  const int32_t x2 = mul(x, x), x3 = mul(x2, x), x4 = mul(x2, x2);
  const int32_t terms = ert_gl_shift_right(mul(ert_gl_shift_right(x4, 2) + x3, 10923) + x2, 1);
  int32_t y = ert_gl_sat16(28918 + mul(x + terms, 28918));
  for (int n = 0; n < 7 && n - 2 < integer_bits; n++)
    if (whole >> (fractional + n - 2) & 1) y = mul(y, powers[n]);
  if (integer_bits > 5 && a < -(1 << (20 - integer_bits))) y = 0; /* below -32 */
  return a == 0 ? ERT_GL_ONE : y;
}

/* 2 / (1 + a) of a in (0, 1), with two integer bits: Newton's division. */
static int32_t inverse(int32_t a) {
  const int32_t half = (a + ERT_GL_ONE + 1) / 2;
  int32_t x = 23130 + mul(half, -15420); /* 48/17 - 32/17 half */
  for (int i = 0; i < 3; i++) {
    const int32_t error = (1 << 13) - mul(half, x);
    x = (int16_t)(x + ert_gl_sat16(mul(x, error) * 4));
  }
  return x;
}

int32_t ert_gl_sigmoid(int32_t x) {
  if (x == 0) return 1 << 14;
  const int32_t y = ert_gl_clamp(inverse(exp_below_0(x < 0 ? x : -x, 3)) * 2, 0, ERT_GL_ONE);
  return x > 0 ? y : ERT_GL_ONE - y;
}

int32_t ert_gl_tanh(int32_t x, int integer_bits) {
  if (x == 0) return 0;
  const int32_t e = exp_below_0(x < 0 ? x : -x, integer_bits + 1);
  const int32_t y = ert_gl_sat16((inverse(e) - (1 << 13)) * 4);
  return x > 0 ? y : -y;
}
