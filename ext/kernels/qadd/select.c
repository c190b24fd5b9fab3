#include "kernels/qadd/qadd.h"

#define ERT_QADD(name) extern const ert_qadd_kernel ert_qadd_##name;
#include "kernels/qadd/kernels.inc"
#undef ERT_QADD

static const ert_qadd_kernel *const KERNELS[] = {
#define ERT_QADD(name) &ert_qadd_##name,
#include "kernels/qadd/kernels.inc"
#undef ERT_QADD
};

const ert_qadd_kernel *const *ert_qadd_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS;
  return KERNELS;
}

const ert_qadd_kernel *ert_qadd_select(ert_isa_set isa) {
  const ert_qadd_kernel *best = KERNELS[0];
  for (size_t i = 1; i < sizeof KERNELS / sizeof *KERNELS; i++) {
    if (ert_isa_has(isa, KERNELS[i]->isa) && KERNELS[i]->isa >= best->isa) best = KERNELS[i];
  }
  return best;
}
