#include "kernels/fgemm/layouts.h"

#define ERT_FGEMM(name) extern const ert_fgemm_kernel ert_fgemm_##name;
#include "kernels/fgemm/kernels.inc"
#undef ERT_FGEMM

static const ert_fgemm_kernel *const KERNELS[] = {
#define ERT_FGEMM(name) &ert_fgemm_##name,
#include "kernels/fgemm/kernels.inc"
#undef ERT_FGEMM
};

const ert_fgemm_kernel *const *ert_fgemm_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS;
  return KERNELS;
}

/* Multiply-adds that an instruction set finishes in the same time, as a rough ratio. 512-bit vectors are 1 to 2 times as
 * fast as 256-bit ones, depending on whether the core has two multipliers of that width. */
static size_t speed(ert_isa isa) {
  switch (isa) {
    case ERT_ISA_AVX512VNNI: return 6;
    case ERT_ISA_AVX2: return 4;
    case ERT_ISA_SCALAR: return 1;
    default: return 2;
  }
}

/* The kernel that computes all channels, padding included, in the shortest time; of equals the one later in the list.
 * A narrow tile of the lesser instruction set wins where a wide one would work mostly on padding. */
const ert_fgemm_kernel *ert_fgemm_select(ert_isa_set isa, size_t m, size_t n, size_t k) {
  (void)m;
  (void)k;
  size_t count;
  const ert_fgemm_kernel *const *kernels = ert_fgemm_known(isa, &count), *best = kernels[0];
  size_t best_time = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    const ert_fgemm_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa)) continue;
    const size_t blocks = n / kernel->nr + (n % kernel->nr != 0);
    const size_t time = blocks * kernel->nr * (24 / speed(kernel->isa)); /* n is a tensor's size: cannot overflow */
    if (time <= best_time) {
      best = kernel;
      best_time = time;
    }
  }
  return best;
}
