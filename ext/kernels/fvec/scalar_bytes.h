/* Table lookup and sums without vectors: the scalar kernel, and the ends of vectors in the others. */
#ifndef ERT_KERNELS_FVEC_SCALAR_BYTES_H
#define ERT_KERNELS_FVEC_SCALAR_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void ert_fvec_scalar_lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[q[i] + 128];
}

static inline uint32_t ert_fvec_scalar_sum_i8(size_t n, const int8_t *x) {
  uint32_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += (uint32_t)(int32_t)x[i];
  return sum;
}

/* fvec.h's sum_rows_i8 by `sum_i8`. */
static inline void ert_fvec_sum_rows_by(int32_t (*sum_i8)(size_t n, const int8_t *x), size_t m, const int8_t *const *rows,
                                        size_t taps, const ptrdiff_t *tap_offset, size_t k, int32_t factor, int32_t *out) {
  for (size_t i = 0; i < m; i++) {
    uint32_t sum = 0;
    for (size_t t = 0; t < taps; t++) sum += (uint32_t)sum_i8(k, rows[i] + tap_offset[t]);
    out[i] = (int32_t)((uint32_t)factor * sum);
  }
}

#endif
