/* mul: a * b, broadcast as in NumPy. int8: the product of (a - zero_a) and (b - zero_b) by the common rounding rule. */
#include "ops/arithmetic.h"
#include "ops/weighted.h"

/* ert_requant (requant/requant.h) without its volatiles, so that compilers turn the loop into vectors. This build
 * never contracts or reorders float operations. */
static inline int8_t requantize(const ert_arithmetic *state, int32_t acc, float lo, float hi) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding and taking it away rounds to nearest even */
  float y = (float)acc * state->multiplier;
  y = y < lo ? lo : y;
  y = y > hi ? hi : y;
  return (int8_t)((int32_t)((y + magic) - magic) + state->zero_y);
}

static void mul_i8(const ert_arithmetic *state, size_t n, const int8_t *a, size_t a_step, const int8_t *b,
                   size_t b_step, int8_t *out) {
  const float lo = (float)(state->lo_i8 - state->zero_y), hi = (float)(state->hi_i8 - state->zero_y);
  const int32_t zero_a = state->zero_a, zero_b = state->zero_b;
  if (a_step != 0 && b_step != 0) {
    for (size_t i = 0; i < n; i++) out[i] = requantize(state, (a[i] - zero_a) * (b[i] - zero_b), lo, hi);
  } else if (b_step == 0) {
    const int32_t factor = b[0] - zero_b;
    for (size_t i = 0; i < n; i++) out[i] = requantize(state, (a[i * a_step] - zero_a) * factor, lo, hi);
  } else {
    const int32_t factor = a[0] - zero_a;
    for (size_t i = 0; i < n; i++) out[i] = requantize(state, factor * (b[i] - zero_b), lo, hi);
  }
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  ert_arithmetic *state = NULL;
  ERT_TRY(ert_arithmetic_prepare(p, op, ERT_FVEC_MUL, ert_mul_attrs_activation(op->attrs), &state));
  if (op->in[0]->dtype != ERT_DTYPE_INT8) return ERT_OK;
  state->run_i8 = mul_i8;
  return ert_combined_scale(p, op->in[0]->scales[0], op->in[1]->scales[0], op->out[0]->scales[0], &state->multiplier);
}

const ert_op_def ert_op_mul = {"mul", 2, 2, 1, prepare, ert_arithmetic_invoke};
