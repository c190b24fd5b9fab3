#include "kernels/fvec/body.h"
#include "kernels/fvec/scalar_bytes.h"

static void lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  ert_fvec_scalar_lut_i8(n, q, table, out);
}

static int32_t sum_i8(size_t n, const int8_t *x) { return (int32_t)ert_fvec_scalar_sum_i8(n, x); }

ERT_FVEC_DEFINE(scalar, ERT_ISA_SCALAR);
