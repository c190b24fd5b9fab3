/* Layers as matrix products with direct addressing (kernels/qgemm/qgemm.h), for int8 and for float32. */
#ifndef ERT_BENCH_GEMM_LAYER_H
#define ERT_BENCH_GEMM_LAYER_H

#include <stddef.h>

typedef struct ert_gemm_layer {
  const char *name;
  size_t m, n, taps, k, row_step, tap_step; /* steps in elements */
} ert_gemm_layer;

static inline double ert_gemm_layer_macs(const ert_gemm_layer *l) {
  return (double)l->m * (double)l->n * (double)(l->taps * l->k);
}

#endif
