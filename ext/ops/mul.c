/* mul: a * b, broadcast as in NumPy. int8: the product of (a - zero_a) and (b - zero_b) by the common rounding rule. */
#include "ops/arithmetic.h"
#include "ops/weighted.h"

static void mul_i8(const ert_arithmetic *state, size_t n, const int8_t *a, size_t a_step, const int8_t *b,
                   size_t b_step, int8_t *out) {
  ert_fvec_product rule = {state->zero_a, state->zero_b, state->zero_y, state->multiplier, state->lo_i8, state->hi_i8};
  if (a_step != 0 && b_step != 0) {
    state->fvec->mul_i8(&rule, n, a, b, out);
  } else if (b_step == 0) {
    state->fvec->mul_i8_scalar(&rule, n, a, b, out);
  } else {
    rule.a_zero = state->zero_b;
    rule.b_zero = state->zero_a;
    state->fvec->mul_i8_scalar(&rule, n, b, a, out);
  }
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  ert_arithmetic *state = NULL;
  ERT_TRY(ert_arithmetic_prepare(p, op, ERT_FVEC_MUL, ert_mul_attrs_activation(op->attrs), &state));
  if (op->in[0]->dtype == ERT_DTYPE_INT16) {
    float ratio;
    ERT_TRY(ert_combined_scale(p, op->in[0]->scales[0], op->in[1]->scales[0], op->out[0]->scales[0], &ratio));
    return ert_fixed_init(p, (double)ratio, ERT_FIXED_SHIFT_32, &state->fixed_y);
  }
  if (op->in[0]->dtype != ERT_DTYPE_INT8) return ERT_OK;
  state->run_i8 = mul_i8;
  op->kernel = state->fvec->name;
  return ert_combined_scale(p, op->in[0]->scales[0], op->in[1]->scales[0], op->out[0]->scales[0], &state->multiplier);
}

const ert_op_def ert_op_mul = {"mul", 2, 2, 1, prepare, ert_arithmetic_invoke, 0};
