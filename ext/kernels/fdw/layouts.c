/* How kernels want their weights: by what packing for them makes of a fixed pattern, and, for those that other
 * architectures' builds have, from what layouts.h says of them. */
#include "kernels/fdw/layouts.h"

#include "base/hash.h"
#include "base/memory.h"

#define ERT_FDW(name) &(const ert_fdw_kernel){ERT_FDW_LAYOUT_##name},
#define KERNEL ert_fdw_kernel
#define KERNELS_INC "kernels/fdw/kernels.inc"
#define OWN_KERNELS ert_fdw_kernels
#define KNOWN_KERNELS ert_fdw_known
#include "kernels/known.h"

/* A block and a part of one. */
uint64_t ert_fdw_layout(const void *kernel_object) {
  enum { TAPS = 3 };
  const ert_fdw_kernel *kernel = kernel_object;
  const size_t channels = kernel->nr + 3u, packed_bytes = ert_fdw_packed_bytes(kernel, channels, TAPS);
  float w[(UINT8_MAX + 3) * TAPS], bias[UINT8_MAX + 3];
  for (size_t i = 0; i < channels * TAPS; i++) w[i] = (float)i;
  for (size_t c = 0; c < channels; c++) bias[c] = -(float)c;
  float *packed = ert_aligned_alloc(packed_bytes);
  if (packed == NULL) return 0;
  ert_fdw_pack(kernel, channels, TAPS, w, bias, packed);
  const uint64_t hash = ert_hash(ERT_LAYOUT_FDW, packed, packed_bytes);
  ert_aligned_free(packed);
  return hash;
}
