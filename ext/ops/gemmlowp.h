/* sigmoid and tanh of int16 by products and shifts alone, as gemmlowp has them (fixedpoint/fixedpoint.h there) and
 * TensorFlow Lite's integer lstm uses. edgert/ops/_gemmlowp.py is the same in NumPy.
 *
 * A number with m integer bits is q * 2^(m - 15), in [-2^m, 2^m). */
#ifndef ERT_OPS_GEMMLOWP_H
#define ERT_OPS_GEMMLOWP_H

#include <stdint.h>

#define ERT_GL_ONE 32767 /* nearly 1 with no integer bits */

static inline int32_t ert_gl_clamp(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }
static inline int32_t ert_gl_sat16(int32_t x) { return ert_gl_clamp(x, INT16_MIN, INT16_MAX); }

/* x / 2^bits to nearest, ties away from zero; bits in [0, 31]. */
static inline int32_t ert_gl_shift_right(int32_t x, int bits) {
  const int64_t mask = ((int64_t)1 << bits) - 1, rest = (int64_t)x & mask;
  return (int32_t)(((int64_t)x >> bits) + (rest > (mask >> 1) + (x < 0)));
}

/* 1 / (1 + exp(-x)) of x with three integer bits, to none. */
int32_t ert_gl_sigmoid(int32_t x);
/* tanh of x with `integer_bits` (0 to 6), to none. */
int32_t ert_gl_tanh(int32_t x, int integer_bits);

#endif
