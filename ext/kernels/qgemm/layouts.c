/* How kernels want their weights: by what packing for them makes of a fixed pattern, and, for those that other
 * architectures' builds have, from what layouts.h says of them. */
#include "kernels/qgemm/layouts.h"

#include "base/hash.h"
#include "base/memory.h"

#define ERT_QGEMM(name) &(const ert_qgemm_kernel){ERT_QGEMM_LAYOUT_##name},
#define KERNEL ert_qgemm_kernel
#define KERNELS_INC "kernels/qgemm/kernels.inc"
#define OWN_KERNELS ert_qgemm_kernels
#define KNOWN_KERNELS ert_qgemm_known
#include "kernels/known.h"

/* A block and a part of one, two taps, and a last group that is not full; with tiles, more than one step. */
uint64_t ert_qgemm_layout(const void *kernel_object) {
  enum { TAPS = 2 };
  const ert_qgemm_kernel *kernel = kernel_object;
  const size_t n = kernel->nr + 3u, k = (kernel->tile_n != 0 ? 64u : 0u) + 2u * kernel->kr + 3u;
  const size_t w_bytes = n * TAPS * k, packed_bytes = ert_qgemm_packed_bytes(kernel, n, TAPS, k);
  int32_t bias[UINT8_MAX + 3];
  float multiplier[UINT8_MAX + 3];
  for (size_t c = 0; c < n; c++) {
    bias[c] = (int32_t)(c * 1009);
    multiplier[c] = (float)(c + 1) / 1024;
  }
  int8_t *w = ert_aligned_alloc(w_bytes);
  void *packed = ert_aligned_alloc(packed_bytes);
  uint64_t hash = 0;
  if (w != NULL && packed != NULL) {
    for (size_t i = 0; i < w_bytes; i++) w[i] = (int8_t)(i * 37 % 241 - 120);
    w[0] = -125; /* the one that leaves int8 where the zero point is taken off */
    ert_qgemm_pack(kernel, n, TAPS, k, w, bias, multiplier, 3, 5, packed);
    hash = ert_hash(ERT_LAYOUT_QGEMM, packed, packed_bytes);
  }
  ert_aligned_free(w);
  ert_aligned_free(packed);
  return hash;
}
