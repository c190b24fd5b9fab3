/* float32 matrix product with the addressing of qgemm.h (offsets in floats).
 *
 *   out[m][n] = clamp(bias[n] + sum over t, i of  x[m][t][i] * w[n][t][i], out_min, out_max)
 *
 * Every output is summed in the order of t, then i, by whichever tile computes it: threads and tile edges do not
 * change results. Instruction sets may differ by rounding (fused or separate multiply-add).
 * NaN in a sum comes out as NaN, not clamped away.
 */
#ifndef ERT_KERNELS_FGEMM_H
#define ERT_KERNELS_FGEMM_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct ert_fgemm_args {
  size_t n, taps, k;
  const ptrdiff_t *tap_offset; /* in floats */
  const float *weights;        /* packed by ert_fgemm_pack, aligned to 64 */
  float out_min, out_max;
} ert_fgemm_args;

typedef void (*ert_fgemm_fn)(const ert_fgemm_args *args, size_t m, const float *const *rows, float *out,
                             size_t out_stride);

typedef struct ert_fgemm_kernel {
  const char *name; /* "fgemm_avx2_6x16" */
  ert_isa isa;
  uint8_t mr, nr;
  ert_fgemm_fn run;
} ert_fgemm_kernel;

const ert_fgemm_kernel *const *ert_fgemm_kernels(size_t *count);
const ert_fgemm_kernel *ert_fgemm_select(ert_isa_set isa, size_t m, size_t n, size_t k);

/* A block for every nr channels: bias[nr], then [taps * k][nr]. 0 on overflow. */
size_t ert_fgemm_block_bytes(const ert_fgemm_kernel *kernel, size_t taps, size_t k);
size_t ert_fgemm_packed_bytes(const ert_fgemm_kernel *kernel, size_t n, size_t taps, size_t k);
/* w is [n][taps][k] with w_stride_n floats from one n to the next and w_stride_k from one k to the next, so that
 * both [N][K] and [K][N] matrices can be packed (a tap's k continue where the tap before ended). bias may be NULL. */
void ert_fgemm_pack(const ert_fgemm_kernel *kernel, size_t n, size_t taps, size_t k, const float *w, size_t w_stride_n,
                    size_t w_stride_k, const float *bias, float *packed);

#endif
