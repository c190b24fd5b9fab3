#include "kernels/fvec/fvec.h"

#define ERT_FVEC_KERNEL(isa_name) extern const ert_fvec_kernel ert_fvec_##isa_name;
#include "kernels/fvec/kernels.inc"
#undef ERT_FVEC_KERNEL

static const ert_fvec_kernel *const KERNELS[] = {
#define ERT_FVEC_KERNEL(isa_name) &ert_fvec_##isa_name,
#include "kernels/fvec/kernels.inc"
#undef ERT_FVEC_KERNEL
};
enum { KERNEL_COUNT = sizeof KERNELS / sizeof KERNELS[0] };

const ert_fvec_kernel *const *ert_fvec_kernels(size_t *count) {
  *count = KERNEL_COUNT;
  return KERNELS;
}

const ert_fvec_kernel *ert_fvec_select(ert_isa_set isa) {
  for (size_t i = KERNEL_COUNT; i-- > 1;) {
    if (ert_fvec_runs(KERNELS[i], isa)) return KERNELS[i];
  }
  return KERNELS[0];
}
