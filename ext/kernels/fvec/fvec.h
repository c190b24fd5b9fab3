/* Vectors of floats and bytes: elementwise arithmetic and functions, quantise, dequantise, table lookup, sums.
 *
 *     const ert_fvec_kernel *v = ert_fvec_select(ert_prepare_isa(p));
 *     v->binary[ERT_FVEC_ADD][ERT_FVEC_VV](n, a, b, -INFINITY, INFINITY, out);
 *     v->binary[ERT_FVEC_DIV][ERT_FVEC_SV](n, &one, x, -INFINITY, INFINITY, out);  (1 / x[i])
 *
 * Floats are summed in one fixed order, so that every instruction set gives the same bits (which NaN comes out of a NaN
 * is the one exception). n may be 0. `out` may be the same pointer as an input of the same element size; other
 * overlaps are not allowed. A kernel touches exactly n elements of each vector, and pointers need no alignment beyond
 * that of their element.
 */
#ifndef ERT_KERNELS_FVEC_H
#define ERT_KERNELS_FVEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef enum ert_fvec_op {
  ERT_FVEC_ADD,
  ERT_FVEC_SUB,
  ERT_FVEC_MUL,
  ERT_FVEC_DIV, /* IEEE division, correctly rounded */
  ERT_FVEC_MAX, /* NaN when either side is NaN; of zeros of both signs, b */
  ERT_FVEC_MIN,
  ERT_FVEC_OP_COUNT
} ert_fvec_op;

typedef enum ert_fvec_form {
  ERT_FVEC_VV, /* a[i] op b[i] */
  ERT_FVEC_VS, /* a[i] op b[0] */
  ERT_FVEC_SV, /* a[0] op b[i] */
  ERT_FVEC_FORM_COUNT
} ert_fvec_form;

/* Of one float. Relative errors stay below 2.5 * 2^-24 where the result is a normal number; NaN stays NaN. */
typedef enum ert_fvec_function {
  ERT_FVEC_EXP,
  ERT_FVEC_SIGMOID,
  ERT_FVEC_SILU, /* x * sigmoid(x) */
  ERT_FVEC_TANH,
  ERT_FVEC_HARD_SWISH, /* x * min(max(x + 3, 0), 6) / 6 */
  ERT_FVEC_FUNCTION_COUNT
} ert_fvec_function;

/* out[i] = clamp(a op b, lo, hi); -INFINITY and INFINITY for no clamp. NaN stays NaN. */
typedef void (*ert_fvec_binary_fn)(size_t n, const float *a, const float *b, float lo, float hi, float *out);

/* int8 products by the common rounding rule (requant/requant.h), bounds included:
 * clamp(rne(float((a - a_zero) * (b - b_zero)) * multiplier) + out_zero, out_min, out_max). Zero points of int8. */
typedef struct ert_fvec_product {
  int32_t a_zero, b_zero, out_zero;
  float multiplier; /* finite */
  int8_t out_min, out_max;
} ert_fvec_product;

typedef struct ert_fvec_kernel {
  const char *name; /* "fvec_avx2" */
  ert_isa isa;
  ert_isa_set marks; /* that a set must have besides (base/isa.h) */
  ert_fvec_binary_fn binary[ERT_FVEC_OP_COUNT][ERT_FVEC_FORM_COUNT];

  void (*unary[ERT_FVEC_FUNCTION_COUNT])(size_t n, const float *x, float *out);

  /* out[i] = exp(beta * (x[i] - max)); returns their sum, of at least 1 where beta is positive. n >= 1. */
  float (*softmax_row)(size_t n, const float *x, float beta, float *out);

  /* sums[c] += x[r * row_stride + c] for r = 0, 1, ... rows - 1, in float64, for every c < n. */
  void (*add_columns)(size_t rows, size_t n, size_t row_stride, const float *x, double *sums);

  /* out[i] = min(max(x[i], lo), hi), NaN stays NaN. relu: lo 0, hi INFINITY. */
  void (*clamp)(size_t n, const float *x, float lo, float hi, float *out);

  /* out[i] = clamp(rne(x[i] / scale) + zero_point, -128, 127): float32 division, ties to even. NaN gives zero_point,
   * infinities saturate. scale > 0 and finite; zero_point in [-128, 127]. */
  void (*quantize_i8)(size_t n, const float *x, float scale, int32_t zero_point, int8_t *out);

  /* out[i] = float(q[i] - zero_point) * scale; |zero_point| < 2^23. */
  void (*dequantize_i8)(size_t n, const int8_t *q, float scale, int32_t zero_point, float *out);

  /* The product of a[i] and b[i]; _scalar: of a[i] and b[0]. */
  void (*mul_i8)(const ert_fvec_product *rule, size_t n, const int8_t *a, const int8_t *b, int8_t *out);
  void (*mul_i8_scalar)(const ert_fvec_product *rule, size_t n, const int8_t *a, const int8_t *b, int8_t *out);

  /* out[i] = table[q[i] + 128]; the table has 256 entries. */
  void (*lut_i8)(size_t n, const int8_t *q, const int8_t *table, int8_t *out);

  /* Sum of n int8, modulo 2^32. */
  int32_t (*sum_i8)(size_t n, const int8_t *x);

  /* out[i] = factor * sum of the k bytes at rows[i] + tap_offset[t] for every t < taps, modulo 2^32, for every i < m:
   * what weights with a zero point add to a row of kernels/qgemm/qgemm.h. m, taps and k >= 1. row_step: bytes from row
   * to row where all are equally far apart, or 0. */
  void (*sum_rows_i8)(size_t m, const int8_t *const *rows, size_t row_step, size_t taps, const ptrdiff_t *tap_offset,
                      size_t k, int32_t factor, int32_t *out);

  /* sums[c] = sum over r < rows of x[r * row_stride + c], modulo 2^32, for every c < n: the mean over height and width
   * of an NHWC tensor has rows = height * width and n = row_stride = channels. */
  void (*column_sums_i8)(size_t rows, size_t n, size_t row_stride, const int8_t *x, int32_t *sums);
} ert_fvec_kernel;

/* Kernels of this build in rising order of preference; `count` receives their number. */
const ert_fvec_kernel *const *ert_fvec_kernels(size_t *count);

/* Whether a processor with this set can run the kernel. */
static inline bool ert_fvec_runs(const ert_fvec_kernel *kernel, ert_isa_set isa) {
  return ert_isa_has(isa, kernel->isa) && (isa & kernel->marks) == kernel->marks;
}

/* The best kernel of the set; never NULL. */
const ert_fvec_kernel *ert_fvec_select(ert_isa_set isa);

#endif
