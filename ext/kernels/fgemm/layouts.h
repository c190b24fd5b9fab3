/* What determines how a kernel's weights are packed, for kernels that other architectures' builds know too: a package is
 * packed for a device on the machine that converts it. */
#ifndef ERT_KERNELS_FGEMM_LAYOUTS_H
#define ERT_KERNELS_FGEMM_LAYOUTS_H

#include "kernels/fgemm/fgemm.h"
#include "kernels/layouts.h"

/* Kernels that `isa` may be chosen from: this build's, or, where the set is another architecture's, what is known of
 * those: all but their code. */
const ert_fgemm_kernel *const *ert_fgemm_known(ert_isa_set isa, size_t *count);

/* Hash of where and how packing for an ert_fgemm_kernel puts every byte; 0 when there is no memory to find out. */
uint64_t ert_fgemm_layout(const void *kernel);

#define ERT_FGEMM_LAYOUT_scalar_4x4 .name = "fgemm_scalar_4x4", .isa = ERT_ISA_SCALAR, .mr = 4, .nr = 4
#define ERT_FGEMM_LAYOUT_neon_8x8 .name = "fgemm_neon_8x8", .isa = ERT_ISA_NEON, .mr = 8, .nr = 8
#define ERT_FGEMM_LAYOUT_neon_4x8 .name = "fgemm_neon_4x8", .isa = ERT_ISA_NEON, .mr = 4, .nr = 8

#endif
