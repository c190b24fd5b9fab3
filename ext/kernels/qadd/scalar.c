/* The reference that every other kernel must equal. Sums stay below 2^31: see the bound on multipliers in qadd.h. */
#include "kernels/qadd/qadd.h"

static int8_t add_one(const ert_qadd_params *params, int32_t a, int32_t b) {
  const int32_t acc = params->bias + a * params->a_multiplier + b * params->b_multiplier;
  const int32_t q = (acc >> params->shift) + params->out_zero;
  return (int8_t)(q < params->out_min ? params->out_min : q > params->out_max ? params->out_max : q);
}

static void run(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = add_one(params, a[i], b[i]);
}

static void run_scalar(const ert_qadd_params *params, size_t n, const int8_t *a, const int8_t *b, int8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = add_one(params, a[i], b[0]);
}

const ert_qadd_kernel ert_qadd_scalar = {
    .name = "qadd_scalar", .isa = ERT_ISA_SCALAR, .run = run, .run_scalar = run_scalar};
