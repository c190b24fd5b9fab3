/* Table lookup and sum, byte by byte: the scalar kernel, and the ends of vectors in the others. */
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

#endif
