#include <string.h>

#include "base/memory.h"
#include "kernels/fdw/fdw.h"

static size_t block_bytes(const ert_fdw_kernel *kernel, size_t taps) {
  size_t bytes;
  if (!ert_add(taps, 1, &bytes) || !ert_mul(bytes, kernel->nr * sizeof(float), &bytes)) return 0;
  return ert_add(bytes, ERT_ALIGN - 1, &bytes) ? bytes / ERT_ALIGN * ERT_ALIGN : 0;
}

size_t ert_fdw_packed_bytes(const ert_fdw_kernel *kernel, size_t channels, size_t taps) {
  size_t bytes;
  const size_t blocks = channels / kernel->nr + (channels % kernel->nr != 0);
  return ert_mul(blocks, block_bytes(kernel, taps), &bytes) ? bytes : 0;
}

void ert_fdw_pack(const ert_fdw_kernel *kernel, size_t channels, size_t taps, const float *w, const float *bias,
                  float *packed) {
  const size_t nr = kernel->nr, block_floats = block_bytes(kernel, taps) / sizeof(float);
  for (size_t begin = 0; begin < channels; begin += nr, packed += block_floats) {
    const size_t first = ert_min_size(begin, channels - nr);
    memset(packed, 0, block_floats * sizeof(float));
    if (bias != NULL) memcpy(packed, bias + first, nr * sizeof(float));
    for (size_t t = 0; t < taps; t++) memcpy(packed + (t + 1) * nr, w + t * channels + first, nr * sizeof(float));
  }
}
