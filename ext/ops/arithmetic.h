/* add, sub and mul on two broadcast operands: what they share. */
#ifndef ERT_OPS_ARITHMETIC_H
#define ERT_OPS_ARITHMETIC_H

#include "kernels/fvec/fvec.h"
#include "kernels/qadd/qadd.h"
#include "ops/broadcast.h"
#include "ops/repeat.h"
#include "ops/rule_i16.h"

/* int8 runs: out[i] from a[i * a_step] and b[i * b_step]. */
typedef struct ert_arithmetic ert_arithmetic;
typedef void (*ert_arithmetic_i8_fn)(const ert_arithmetic *state, size_t n, const int8_t *a, size_t a_step,
                                     const int8_t *b, size_t b_step, int8_t *out);

struct ert_arithmetic {
  ert_broadcast plan;
  ert_repeat repeat;
  ert_fvec_op operation; /* ADD, SUB or MUL: of floats and of plain integers */
  const ert_fvec_kernel *fvec;
  float lo_f32, hi_f32;
  int64_t lo_int, hi_int; /* bounds of the activation on int32 and int64 */
  ert_arithmetic_i8_fn run_i8;
  const ert_qadd_kernel *qadd;           /* int8 add and sub */
  ert_qadd_params ab, ba;                /* the same sum with the operands in either order */
  float multiplier;                      /* int8 mul */
  int32_t zero_a, zero_b, zero_y;
  int8_t lo_i8, hi_i8;
  ert_fixed fixed_a, fixed_b, fixed_y;   /* int16: of a sum; of a product fixed_y alone */
  int16_t lo_i16, hi_i16;
};

/* Checks both inputs (of one dtype: float32, int8, int16, int32 or int64) and the activation, states the output's shape, and
 * fills a state for op->state. The caller sets what int8 needs. */
ert_status ert_arithmetic_prepare(ert_prepare *p, ert_op *op, ert_fvec_op operation, int activation,
                                  ert_arithmetic **state);
ert_status ert_arithmetic_invoke(ert_op *op);

/* add (b_sign 1) and sub (b_sign -1). */
ert_status ert_addition_prepare(ert_prepare *p, ert_op *op, int b_sign, int activation);

#endif
