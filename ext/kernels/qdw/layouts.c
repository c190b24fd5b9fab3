/* How kernels want their weights: by what packing for them makes of a fixed pattern, and, for those that other
 * architectures' builds have, from what layouts.h says of them. */
#include "kernels/qdw/layouts.h"

#include "base/hash.h"
#include "base/memory.h"

#define ERT_QDW(name) &(const ert_qdw_kernel){ERT_QDW_LAYOUT_##name},
#define KERNEL ert_qdw_kernel
#define KERNELS_INC "kernels/qdw/kernels.inc"
#define OWN_KERNELS ert_qdw_kernels
#define KNOWN_KERNELS ert_qdw_known
#include "kernels/known.h"

/* A block and a part of one. */
uint64_t ert_qdw_layout(const void *kernel_object) {
  const ert_qdw_kernel *kernel = kernel_object;
  const size_t kernel_h = kernel->kernel_h != 0 ? kernel->kernel_h : 5;
  const size_t kernel_w = kernel->kernel_w != 0 ? kernel->kernel_w : 3;
  const size_t channels = kernel->nr + 3u, w_bytes = channels * kernel_h * kernel_w;
  const size_t packed_bytes = ert_qdw_packed_bytes(kernel, channels, kernel_h, kernel_w);
  int32_t bias[UINT8_MAX + 3];
  float multiplier[UINT8_MAX + 3];
  for (size_t c = 0; c < channels; c++) {
    bias[c] = (int32_t)(c * 1009);
    multiplier[c] = (float)(c + 1) / 1024;
  }
  int8_t *w = ert_aligned_alloc(w_bytes);
  void *packed = ert_aligned_alloc(packed_bytes);
  uint64_t hash = 0;
  if (w != NULL && packed != NULL) {
    for (size_t i = 0; i < w_bytes; i++) w[i] = (int8_t)(i * 37 % 251 - 125);
    ert_qdw_pack(kernel, channels, kernel_h, kernel_w, w, NULL, bias, multiplier, 3, packed);
    hash = ert_hash(ERT_LAYOUT_QDW, packed, packed_bytes);
  }
  ert_aligned_free(w);
  ert_aligned_free(packed);
  return hash;
}
