#include "kernels/fdw/layouts.h"

#define ERT_FDW(name) extern const ert_fdw_kernel ert_fdw_##name;
#include "kernels/fdw/kernels.inc"
#undef ERT_FDW

static const ert_fdw_kernel *const KERNELS[] = {
#define ERT_FDW(name) &ert_fdw_##name,
#include "kernels/fdw/kernels.inc"
#undef ERT_FDW
};

const ert_fdw_kernel *const *ert_fdw_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS;
  return KERNELS;
}

const ert_fdw_kernel *ert_fdw_select(ert_isa_set isa, size_t channels) {
  size_t count;
  const ert_fdw_kernel *const *kernels = ert_fdw_known(isa, &count), *best = kernels[0];
  for (size_t i = 1; i < count; i++) {
    if (ert_isa_has(isa, kernels[i]->isa) && kernels[i]->nr <= channels) best = kernels[i];
  }
  return best;
}
