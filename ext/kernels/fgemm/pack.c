#include <string.h>

#include "base/memory.h"
#include "kernels/fgemm/fgemm.h"

size_t ert_fgemm_block_bytes(const ert_fgemm_kernel *kernel, size_t taps, size_t k) {
  size_t depth, bytes;
  if (!ert_mul(taps, k, &depth) || !ert_add(depth, 1, &depth)) return 0;
  if (!ert_mul(depth, kernel->nr * sizeof(float), &bytes) || !ert_add(bytes, ERT_ALIGN - 1, &bytes)) return 0;
  return bytes / ERT_ALIGN * ERT_ALIGN;
}

size_t ert_fgemm_packed_bytes(const ert_fgemm_kernel *kernel, size_t n, size_t taps, size_t k) {
  const size_t blocks = n / kernel->nr + (n % kernel->nr != 0);
  size_t bytes;
  return ert_mul(blocks, ert_fgemm_block_bytes(kernel, taps, k), &bytes) ? bytes : 0;
}

void ert_fgemm_pack(const ert_fgemm_kernel *kernel, size_t n, size_t taps, size_t k, const float *w, size_t w_stride_n,
                    size_t w_stride_k, const float *bias, float *packed) {
  const size_t nr = kernel->nr, depth = taps * k;
  const size_t block_floats = ert_fgemm_block_bytes(kernel, taps, k) / sizeof(float);
  for (size_t first = 0; first < n; first += nr, packed += block_floats) {
    const size_t valid = ert_min_size(nr, n - first);
    memset(packed, 0, block_floats * sizeof(float)); /* channels beyond the end count as weights of 0 */
    if (bias != NULL) memcpy(packed, bias + first, valid * sizeof(float));
    for (size_t i = 0; i < depth; i++) {
      float *lanes = packed + (i + 1) * nr;
      const float *from = w + first * w_stride_n + i * w_stride_k;
      for (size_t lane = 0; lane < valid; lane++) lanes[lane] = from[lane * w_stride_n];
    }
  }
}
