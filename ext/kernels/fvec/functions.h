/* Exponentials and what is made of them, as plain loops like those of body.h: IEEE operations alone, so that every
 * instruction set gives the same bits. Relative errors are below 2.5 * 2^-24 where results are normal numbers.
 */
#ifndef ERT_KERNELS_FVEC_FUNCTIONS_H
#define ERT_KERNELS_FVEC_FUNCTIONS_H

#include <stdint.h>
#include <string.h>

#include "base/inline.h"

static inline uint32_t ert_fvec_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float ert_fvec_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Beyond these bounds exp is infinite, and 0. */
typedef struct ert_fvec_range {
  float lo, hi;
} ert_fvec_range;

/* Unknown to the compiler, which for known bounds would branch around all that follows, and use no vectors. */
static inline ert_fvec_range ert_fvec_exp_range(void) {
  volatile const ert_fvec_range range = {-104.0f, 88.8f};
  return (ert_fvec_range){range.lo, range.hi};
}

/* exp(x) = 2^n * exp(r) with |r| <= ln(2) / 2. ln(2) is 0.693359375 - 2.12194440e-4, and the first part times n is exact.
 * The polynomial (exp(r) - 1 - r) / r^2 interpolates at Chebyshev nodes. 2^n is two factors, as n reaches beyond the
 * exponents of normal numbers on both sides. NaN stays NaN: both comparisons are false. */
ERT_INLINE float ert_fvec_exp(float x, ert_fvec_range range) {
  const float magic = 12582912.0f; /* 1.5 * 2^23, bits 0x4b400000: the sum's low bits are the rounded integer */
  x = range.hi < x ? range.hi : x;
  x = range.lo > x ? range.lo : x;
  const float shifted = x * 1.44269504f + magic, n = shifted - magic;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float q = 0.00139263261f;
  q = q * r + 0.00836329255f;
  q = q * r + 0.0416665524f;
  q = q * r + 0.166665763f;
  q = q * r + 0.5f;
  const float y = (q * (r * r) + r) + 1.0f;
  const uint32_t whole = ert_fvec_bits(shifted) - 0x4b400000u + 256, half = whole >> 1; /* n + 256 > 0 */
  return y * ert_fvec_of_bits((half - 1) << 23) * ert_fvec_of_bits((whole - half - 1) << 23); /* 127 - 128 is -1 */
}

ERT_INLINE float ert_fvec_sigmoid(float x, ert_fvec_range range) { return 1.0f / (1.0f + ert_fvec_exp(-x, range)); }

/* Near 0, where 1 - e cancels, x + x^3 * p(x^2), which interpolates at Chebyshev nodes up to |x| = 0.625. */
ERT_INLINE float ert_fvec_tanh(float x, ert_fvec_range range) {
  const float e = ert_fvec_exp(-2.0f * ert_fvec_of_bits(ert_fvec_bits(x) & 0x7fffffffu), range);
  const float ratio = (1.0f - e) / (1.0f + e);
  const float far = ert_fvec_of_bits(ert_fvec_bits(ratio) | (ert_fvec_bits(x) & 0x80000000u));
  const float u = x * x;
  float p = -0.00609671418f;
  p = p * u + 0.0209971797f;
  p = p * u + -0.0538509078f;
  p = p * u + 0.133327693f;
  p = p * u + -0.333333284f;
  const float near = x + x * (u * p);
  const uint32_t is_near = 0u - (uint32_t)(u < 0.390625f); /* no branch, which would keep vectors away */
  return ert_fvec_of_bits((ert_fvec_bits(near) & is_near) | (ert_fvec_bits(far) & ~is_near));
}

ERT_INLINE float ert_fvec_hard_swish(float x) {
  float gate = x + 3.0f;
  gate = 0.0f > gate ? 0.0f : gate;
  gate = 6.0f < gate ? 6.0f : gate;
  return x * gate * (1.0f / 6.0f);
}

#define ERT_FVEC_UNARY(name, expression)                           \
  static void unary_##name(size_t n, const float *in, float *out) { \
    const ert_fvec_range range = ert_fvec_exp_range();             \
    (void)range;                                                   \
    ERT_FVEC_LOOP                                                  \
    for (size_t i = 0; i < n; i++) {                               \
      const float x = in[i];                                       \
      out[i] = (expression);                                       \
    }                                                              \
  }
ERT_FVEC_UNARY(exp, ert_fvec_exp(x, range))
ERT_FVEC_UNARY(sigmoid, ert_fvec_sigmoid(x, range))
ERT_FVEC_UNARY(silu, x *ert_fvec_sigmoid(x, range))
ERT_FVEC_UNARY(tanh, ert_fvec_tanh(x, range))
ERT_FVEC_UNARY(hard_swish, ert_fvec_hard_swish(x))
#undef ERT_FVEC_UNARY

/* Lane l sums elements l, l + 16, ...; the lanes are put together in halves. */
static float softmax_row(size_t n, const float *in, float beta, float *out) {
  enum { LANES = 16 };
  const ert_fvec_range range = ert_fvec_exp_range();
  float most = in[0], sums[LANES] = {0};
  for (size_t i = 1; i < n; i++) most = in[i] > most ? in[i] : most;
  ERT_FVEC_LOOP
  for (size_t i = 0; i < n; i++) out[i] = ert_fvec_exp((in[i] - most) * beta, range);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    for (size_t l = 0; l < LANES; l++) sums[l] += out[i + l];
  }
  for (size_t l = 0; l < n - i; l++) sums[l] += out[i + l];
  for (size_t half = LANES / 2; half > 0; half /= 2) {
    for (size_t l = 0; l < half; l++) sums[l] += sums[l + half];
  }
  return sums[0];
}

/* Sums of `block` columns, a constant, row after row in float64, which stay in registers. */
ERT_INLINE void ert_fvec_sum_floats(size_t block, size_t rows, size_t row_stride, const float *x, double *sums) {
  double acc[16];
  for (size_t i = 0; i < block; i++) acc[i] = sums[i];
  for (size_t r = 0; r < rows; r++, x += row_stride) {
    for (size_t i = 0; i < block; i++) acc[i] += (double)x[i];
  }
  for (size_t i = 0; i < block; i++) sums[i] = acc[i];
}

static void add_columns(size_t rows, size_t n, size_t row_stride, const float *x, double *sums) {
  size_t c = 0;
  for (; c + 16 <= n; c += 16) ert_fvec_sum_floats(16, rows, row_stride, x + c, sums + c);
  for (; c < n; c++) ert_fvec_sum_floats(1, rows, row_stride, x + c, sums + c);
}

#endif
