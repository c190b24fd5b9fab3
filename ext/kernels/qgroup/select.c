#include "kernels/qgroup/qgroup.h"

#define ERT_QGROUP(name) extern const ert_qgroup_kernel ert_qgroup_##name;
#include "kernels/qgroup/kernels.inc"
#undef ERT_QGROUP

/* Ends in NULL: an architecture may have none. */
static const ert_qgroup_kernel *const KERNELS[] = {
#define ERT_QGROUP(name) &ert_qgroup_##name,
#include "kernels/qgroup/kernels.inc"
#undef ERT_QGROUP
    NULL};

const ert_qgroup_kernel *const *ert_qgroup_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS - 1;
  return KERNELS;
}

const ert_qgroup_kernel *ert_qgroup_select(ert_isa_set isa, size_t channels, size_t group) {
  const ert_qgroup_kernel *best = NULL;
  if (channels % ERT_QGROUP_CHANNELS != 0 || (group != 4 && group != 8 && group != 16)) return NULL;
  for (size_t i = 0; KERNELS[i] != NULL; i++) {
    if (ert_isa_has(isa, KERNELS[i]->isa)) best = KERNELS[i];
  }
  return best;
}
