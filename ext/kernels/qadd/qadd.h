/* int8 addition and subtraction, in integers alone (XNNPACK's rule: multipliers of at most 21 bits, one shift).
 *
 *   acc = bias + a * a_multiplier + b * b_multiplier
 *   out = clamp((acc >> shift) + out_zero, out_min, out_max)          (arithmetic shift)
 *
 * bias holds the rounding constant 2^(shift-1) and both zero points. A kernel reads and writes exactly n bytes; out may be
 * a or b.
 */
#ifndef ERT_KERNELS_QADD_H
#define ERT_KERNELS_QADD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct ert_qadd_params {
  int32_t bias, a_multiplier, b_multiplier;
  uint8_t shift; /* 1 .. 30 */
  int32_t out_zero;
  int8_t out_min, out_max;
} ert_qadd_params;

/* Fills params; b_sign is 1 for add and -1 for subtract. false when the larger of
 * a_scale / out_scale and b_scale / out_scale lies outside [2^-20, 2^16). */
bool ert_qadd_params_init(ert_qadd_params *params, float a_scale, int32_t a_zero, float b_scale, int32_t b_zero,
                          int b_sign, float out_scale, int32_t out_zero, int8_t out_min, int8_t out_max);

typedef void (*ert_qadd_fn)(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out);

typedef struct ert_qadd_kernel {
  const char *name;
  ert_isa isa;
  ert_qadd_fn run;        /* a[i], b[i] */
  ert_qadd_fn run_scalar; /* a[i], b[0] */
} ert_qadd_kernel;

const ert_qadd_kernel *const *ert_qadd_kernels(size_t *count);
const ert_qadd_kernel *ert_qadd_select(ert_isa_set isa);

#endif
