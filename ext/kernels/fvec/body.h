/* The loops of fvec.h in plain C. Each kernel file includes this, and the compiler turns the loops into vectors of
 * that file's instruction set; the expressions are IEEE operations, so that the bits cannot differ. armv7 keeps the
 * float loops on VFP by itself, since its NEON flushes denormals.
 *
 * A comparison is written so that a NaN takes the branch which keeps it, and so that it is one max or min instruction
 * on x86 ("a > b ? a : b" is MAXPS).
 */
#ifndef ERT_KERNELS_FVEC_BODY_H
#define ERT_KERNELS_FVEC_BODY_H

#include <string.h>

#include "base/inline.h"
#include "kernels/fvec/fvec.h"

/* Elements depend on each other in no loop, even when out is one of the inputs. Clang takes the pragma as an order to
 * vectorise, which would put armv7 on NEON, and warns where a sanitizer prevents it. */
#if defined(__clang__) && !defined(ERT_ARCH_ARMV7)
#pragma clang diagnostic ignored "-Wpass-failed"
#define ERT_FVEC_LOOP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__) && !defined(__clang__)
#define ERT_FVEC_LOOP _Pragma("GCC ivdep")
#else
#define ERT_FVEC_LOOP
#endif

static inline float ert_fvec_clamp1(float x, float lo, float hi) {
  x = lo > x ? lo : x;
  return hi < x ? hi : x;
}

#define ERT_FVEC_EXPR_ADD(a, b) ((a) + (b))
#define ERT_FVEC_EXPR_SUB(a, b) ((a) - (b))
#define ERT_FVEC_EXPR_MUL(a, b) ((a) * (b))
#define ERT_FVEC_EXPR_DIV(a, b) ((a) / (b))
#define ERT_FVEC_EXPR_MAX(a, b) ((a) != (a) ? (a) : (a) > (b) ? (a) : (b))
#define ERT_FVEC_EXPR_MIN(a, b) ((a) != (a) ? (a) : (a) < (b) ? (a) : (b))

/* a0 and b0 are read before the loop, so that the compiler need not ask whether out overlaps them. */
#define ERT_FVEC_BINARY(OP, form, a_at, b_at)                                                                  \
  static void binary_##OP##_##form(size_t n, const float *a, const float *b, float lo, float hi, float *out) { \
    if (n == 0) return;                                                                                        \
    const float a0 = *a, b0 = *b;                                                                              \
    (void)a0, (void)b0;                                                                                        \
    ERT_FVEC_LOOP                                                                                              \
    for (size_t i = 0; i < n; i++) {                                                                           \
      const float x = a_at, y = b_at;                                                                          \
      out[i] = ert_fvec_clamp1(ERT_FVEC_EXPR_##OP(x, y), lo, hi);                                              \
    }                                                                                                          \
  }
#define ERT_FVEC_BINARY_FORMS(OP)       \
  ERT_FVEC_BINARY(OP, vv, a[i], b[i])   \
  ERT_FVEC_BINARY(OP, vs, a[i], b0)     \
  ERT_FVEC_BINARY(OP, sv, a0, b[i])

ERT_FVEC_BINARY_FORMS(ADD)
ERT_FVEC_BINARY_FORMS(SUB)
ERT_FVEC_BINARY_FORMS(MUL)
ERT_FVEC_BINARY_FORMS(DIV)
ERT_FVEC_BINARY_FORMS(MAX)
ERT_FVEC_BINARY_FORMS(MIN)
#undef ERT_FVEC_BINARY_FORMS
#undef ERT_FVEC_BINARY

#include "kernels/fvec/functions.h"

static void clamp(size_t n, const float *x, float lo, float hi, float *out) {
  ERT_FVEC_LOOP
  for (size_t i = 0; i < n; i++) out[i] = ert_fvec_clamp1(x[i], lo, hi);
}

static void quantize_i8(size_t n, const float *x, float scale, int32_t zero_point, int8_t *out) {
  const float lo = (float)(-128 - zero_point), hi = (float)(127 - zero_point);
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to nearest even, since |y| <= 255 */
  ERT_FVEC_LOOP
  for (size_t i = 0; i < n; i++) {
    const float y = x[i] / scale;
    const float clamped = ert_fvec_clamp1(y == y ? y : 0.0f, lo, hi);
    out[i] = (int8_t)((int32_t)((clamped + magic) - magic) + zero_point);
  }
}

static void dequantize_i8(size_t n, const int8_t *q, float scale, int32_t zero_point, float *out) {
  ERT_FVEC_LOOP
  for (size_t i = 0; i < n; i++) out[i] = (float)(q[i] - zero_point) * scale;
}

/* A product, exact in float32 as in int32, scaled and rounded. y + magic holds the rounded integer in its low bits. */
static inline int8_t ert_fvec_product1(int32_t a, int32_t b, float multiplier, float lo, float hi, int32_t zero) {
  const float magic = 12582912.0f; /* 1.5 * 2^23, whose bits are 0x4b400000 */
  const float y = ert_fvec_clamp1((float)(a * b) * multiplier, lo, hi) + magic;
  int32_t bits;
  memcpy(&bits, &y, sizeof bits);
  return (int8_t)(bits - 0x4b400000 + zero);
}

#define ERT_FVEC_PRODUCT(name, b_at)                                                                            \
  static void name(const ert_fvec_product *rule, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {     \
    if (n == 0) return;                                                                                         \
    const ert_fvec_product k = *rule; /* a store of the output cannot change it */                              \
    const float lo = (float)(k.out_min - k.out_zero), hi = (float)(k.out_max - k.out_zero);                     \
    const int32_t b0 = *b;                                                                                      \
    (void)b0;                                                                                                   \
    ERT_FVEC_LOOP                                                                                               \
    for (size_t i = 0; i < n; i++) {                                                                            \
      out[i] = ert_fvec_product1(a[i] - k.a_zero, (b_at) - k.b_zero, k.multiplier, lo, hi, k.out_zero);         \
    }                                                                                                           \
  }
ERT_FVEC_PRODUCT(mul_i8, b[i])
ERT_FVEC_PRODUCT(mul_i8_scalar, b0)
#undef ERT_FVEC_PRODUCT

/* Sums of `block` columns, a constant, which stay in registers. */
ERT_INLINE void ert_fvec_sum_block(size_t block, size_t rows, size_t row_stride, const int8_t *x, int32_t *sums) {
  uint32_t acc[32] = {0};
  for (size_t r = 0; r < rows; r++, x += row_stride) {
    for (size_t i = 0; i < block; i++) acc[i] += (uint32_t)(int32_t)x[i];
  }
  for (size_t i = 0; i < block; i++) sums[i] = (int32_t)acc[i];
}

static void column_sums_i8(size_t rows, size_t n, size_t row_stride, const int8_t *x, int32_t *sums) {
  size_t c = 0;
  for (; c + 32 <= n; c += 32) ert_fvec_sum_block(32, rows, row_stride, x + c, sums + c);
  if (c + 16 <= n) {
    ert_fvec_sum_block(16, rows, row_stride, x + c, sums + c);
    c += 16;
  }
  if (c + 8 <= n) {
    ert_fvec_sum_block(8, rows, row_stride, x + c, sums + c);
    c += 8;
  }
  for (; c < n; c++) ert_fvec_sum_block(1, rows, row_stride, x + c, sums + c);
}

#define ERT_FVEC_FORMS(OP) \
  [ERT_FVEC_##OP] = {[ERT_FVEC_VV] = binary_##OP##_vv, [ERT_FVEC_VS] = binary_##OP##_vs, [ERT_FVEC_SV] = binary_##OP##_sv}

/* Ends a kernel file, which has its own lut_i8, sum_i8 and sum_rows_i8. */
#define ERT_FVEC_DEFINE_WITH(isa_name, isa_id, marks_, lut)                                                     \
  const ert_fvec_kernel ert_fvec_##isa_name = {                                                             \
      .name = "fvec_" #isa_name,                                                                            \
      .isa = isa_id,                                                                                        \
      .marks = marks_,                                                                                      \
      .binary = {ERT_FVEC_FORMS(ADD), ERT_FVEC_FORMS(SUB), ERT_FVEC_FORMS(MUL), ERT_FVEC_FORMS(DIV),        \
                 ERT_FVEC_FORMS(MAX), ERT_FVEC_FORMS(MIN)},                                                 \
      .unary = {[ERT_FVEC_EXP] = unary_exp, [ERT_FVEC_SIGMOID] = unary_sigmoid, [ERT_FVEC_SILU] = unary_silu, \
                [ERT_FVEC_TANH] = unary_tanh, [ERT_FVEC_HARD_SWISH] = unary_hard_swish},                    \
      .softmax_row = softmax_row,                                                                           \
      .add_columns = add_columns,                                                                           \
      .clamp = clamp,                                                                                       \
      .quantize_i8 = quantize_i8,                                                                           \
      .dequantize_i8 = dequantize_i8,                                                                       \
      .mul_i8 = mul_i8,                                                                                     \
      .mul_i8_scalar = mul_i8_scalar,                                                                       \
      .lut_i8 = lut,                                                                                        \
      .sum_i8 = sum_i8,                                                                                     \
      .sum_rows_i8 = sum_rows_i8,                                                                           \
      .column_sums_i8 = column_sums_i8,                                                                     \
  }
#define ERT_FVEC_DEFINE(isa_name, isa_id) ERT_FVEC_DEFINE_WITH(isa_name, isa_id, 0, lut_i8)

#endif
