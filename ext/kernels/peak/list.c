#include "kernels/peak/peak.h"

#define ERT_PEAK(name) extern const ert_peak_kernel ert_peak_##name;
#include "kernels/peak/kernels.inc"
#undef ERT_PEAK

static const ert_peak_kernel *const KERNELS[] = {
#define ERT_PEAK(name) &ert_peak_##name,
#include "kernels/peak/kernels.inc"
#undef ERT_PEAK
};

const ert_peak_kernel *const *ert_peak_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS;
  return KERNELS;
}
