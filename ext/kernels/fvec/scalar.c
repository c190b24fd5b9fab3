#include "kernels/fvec/body.h"
#include "kernels/fvec/scalar_bytes.h"

static void lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  ert_fvec_scalar_lut_i8(n, q, table, out);
}

static int32_t sum_i8(size_t n, const int8_t *x) { return (int32_t)ert_fvec_scalar_sum_i8(n, x); }

static void sum_rows_i8(size_t m, const int8_t *const *rows, size_t row_step, size_t taps, const ptrdiff_t *tap_offset,
                        size_t k, int32_t factor, int32_t *out) {
  (void)row_step;
  ert_fvec_sum_rows_by(sum_i8, m, rows, taps, tap_offset, k, factor, out);
}

ERT_FVEC_DEFINE(scalar, ERT_ISA_SCALAR);
