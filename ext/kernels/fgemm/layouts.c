/* How kernels want their weights: by what packing for them makes of a fixed pattern, and, for those that other
 * architectures' builds have, from what layouts.h says of them. */
#include "kernels/fgemm/layouts.h"

#include "base/hash.h"
#include "base/memory.h"

#define ERT_FGEMM(name) &(const ert_fgemm_kernel){ERT_FGEMM_LAYOUT_##name},
#define KERNEL ert_fgemm_kernel
#define KERNELS_INC "kernels/fgemm/kernels.inc"
#define OWN_KERNELS ert_fgemm_kernels
#define KNOWN_KERNELS ert_fgemm_known
#include "kernels/known.h"

/* A block and a part of one. */
uint64_t ert_fgemm_layout(const void *kernel_object) {
  enum { TAPS = 2, K = 3 };
  const ert_fgemm_kernel *kernel = kernel_object;
  const size_t n = kernel->nr + 3u, packed_bytes = ert_fgemm_packed_bytes(kernel, n, TAPS, K);
  float w[(UINT8_MAX + 3) * TAPS * K], bias[UINT8_MAX + 3];
  for (size_t i = 0; i < n * TAPS * K; i++) w[i] = (float)i;
  for (size_t c = 0; c < n; c++) bias[c] = -(float)c;
  float *packed = ert_aligned_alloc(packed_bytes);
  if (packed == NULL) return 0;
  ert_fgemm_pack(kernel, n, TAPS, K, w, TAPS * K, 1, bias, packed);
  const uint64_t hash = ert_hash(ERT_LAYOUT_FGEMM, packed, packed_bytes);
  ert_aligned_free(packed);
  return hash;
}
