#include "kernels/qgemm/layouts.h"

#define ERT_QGEMM(name) extern const ert_qgemm_kernel ert_qgemm_##name;
#include "kernels/qgemm/kernels.inc"
#undef ERT_QGEMM

static const ert_qgemm_kernel *const KERNELS[] = {
#define ERT_QGEMM(name) &ert_qgemm_##name,
#include "kernels/qgemm/kernels.inc"
#undef ERT_QGEMM
};

const ert_qgemm_kernel *const *ert_qgemm_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS;
  return KERNELS;
}

/* The highest instruction set wins. Among its tiles the cheapest does: a block costs its channels, real or padding,
 * and a little more, for narrow tiles load the left side more often. Of equals the later in the list. */
const ert_qgemm_kernel *ert_qgemm_select(ert_isa_set isa, size_t m, size_t n, size_t k) {
  size_t count;
  const ert_qgemm_kernel *const *kernels = ert_qgemm_known(isa, &count), *best = kernels[0];
  size_t best_cost = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    const ert_qgemm_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa) || kernel->isa < best->isa) continue;
    if (m < kernel->least_m || k < kernel->least_k || (kernel->most_k != 0 && k > kernel->most_k)) continue;
    if (kernel->saves_turns && !(isa & ERT_ISA_TURNS_COST)) continue;
    const size_t blocks = n / kernel->nr + (n % kernel->nr != 0), cost = blocks * (kernel->nr + 4u);
    if (kernel->isa > best->isa || cost <= best_cost) {
      best = kernel;
      best_cost = cost;
    }
  }
  return best;
}
