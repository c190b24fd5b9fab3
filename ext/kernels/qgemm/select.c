#include "kernels/qgemm/qgemm.h"

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

/* The highest instruction set wins; among its tiles the one that computes the fewest channels of padding, and of
 * equals the one later in the list. */
const ert_qgemm_kernel *ert_qgemm_select(ert_isa_set isa, size_t m, size_t n, size_t k) {
  (void)m;
  (void)k;
  const ert_qgemm_kernel *best = KERNELS[0];
  size_t best_n = SIZE_MAX;
  for (size_t i = 0; i < sizeof KERNELS / sizeof *KERNELS; i++) {
    const ert_qgemm_kernel *kernel = KERNELS[i];
    if (!ert_isa_has(isa, kernel->isa) || kernel->isa < best->isa) continue;
    const size_t blocks = (n + kernel->nr - 1) / kernel->nr, padded_n = blocks * kernel->nr;
    if (kernel->isa > best->isa || padded_n <= best_n) {
      best = kernel;
      best_n = padded_n;
    }
  }
  return best;
}
