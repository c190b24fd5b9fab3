/* What determines how a kernel's weights are packed, for kernels that other architectures' builds know too: a package is
 * packed for a device on the machine that converts it. */
#ifndef ERT_KERNELS_FDW_LAYOUTS_H
#define ERT_KERNELS_FDW_LAYOUTS_H

#include "kernels/fdw/fdw.h"
#include "kernels/layouts.h"

/* Kernels that `isa` may be chosen from: this build's, or, where the set is another architecture's, what is known of
 * those: all but their code. */
const ert_fdw_kernel *const *ert_fdw_known(ert_isa_set isa, size_t *count);

/* Hash of where and how packing for an ert_fdw_kernel puts every byte; 0 when there is no memory to find out. */
uint64_t ert_fdw_layout(const void *kernel);

#define ERT_FDW_LAYOUT_scalar_1 .name = "fdw_scalar_1", .isa = ERT_ISA_SCALAR, .nr = 1
#define ERT_FDW_LAYOUT_neon_4 .name = "fdw_neon_4", .isa = ERT_ISA_NEON, .nr = 4

#endif
