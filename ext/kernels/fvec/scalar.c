#include "kernels/fvec/body.h"

static void lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[q[i] + 128];
}

static int32_t sum_i8(size_t n, const int8_t *x) {
  uint32_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += (uint32_t)(int32_t)x[i];
  return (int32_t)sum;
}

ERT_FVEC_DEFINE(scalar, ERT_ISA_SCALAR);
