/* Defines KNOWN_KERNELS: the KERNELs of a family that a set may be chosen from (layouts.h of the family). The including file
 * states KERNEL, KERNELS_INC, OWN_KERNELS and what an entry of the list is. Included once a file: it makes the list read
 * as it does for other architectures. */
#undef ERT_ARCH_X86_64
#undef ERT_ARCH_AARCH64
#undef ERT_ARCH_ARMV7

#define ERT_ARCH_AARCH64 1
static const KERNEL *const AARCH64[] = {
#include KERNELS_INC
};
#undef ERT_ARCH_AARCH64

#define ERT_ARCH_ARMV7 1
static const KERNEL *const ARMV7[] = {
#include KERNELS_INC
};
#undef ERT_ARCH_ARMV7

const KERNEL *const *KNOWN_KERNELS(ert_isa_set isa, size_t *count) {
  if (isa & ERT_ISA_OF_AARCH64) {
    *count = sizeof AARCH64 / sizeof *AARCH64;
    return AARCH64;
  }
  if (isa & ERT_ISA_OF_ARMV7) {
    *count = sizeof ARMV7 / sizeof *ARMV7;
    return ARMV7;
  }
  return OWN_KERNELS(count);
}
