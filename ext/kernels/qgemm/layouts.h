/* What determines how a kernel's weights are packed, for kernels that other architectures' builds know too: a package is
 * packed for a device on the machine that converts it (select.c). The rest of a kernel is its code. */
#ifndef ERT_KERNELS_QGEMM_LAYOUTS_H
#define ERT_KERNELS_QGEMM_LAYOUTS_H

#include "kernels/layouts.h"
#include "kernels/qgemm/qgemm.h"

/* Kernels that `isa` may be chosen from: this build's, or, where the set is another architecture's, what is known of
 * those: all but their code. */
const ert_qgemm_kernel *const *ert_qgemm_known(ert_isa_set isa, size_t *count);

/* Hash of where and how packing for an ert_qgemm_kernel puts every byte; 0 when there is no memory to find out. */
uint64_t ert_qgemm_layout(const void *kernel);

#define ERT_QGEMM_LAYOUT_scalar_1x4 \
  .name = "qgemm_scalar_1x4", .isa = ERT_ISA_SCALAR, .mr = 1, .nr = 4, .kr = 1, .weight_bytes = 1

#define ERT_QGEMM_LAYOUT_neon_4x4                                                                              \
  .name = "qgemm_neon_4x4", .isa = ERT_ISA_NEON, .mr = 4, .nr = 4, .kr = 16, .weight_bytes = 1, .bounds = true, \
  .tail_last = true

#define ERT_QGEMM_LAYOUT_neon_2x4                                                                              \
  .name = "qgemm_neon_2x4", .isa = ERT_ISA_NEON, .mr = 2, .nr = 4, .kr = 16, .weight_bytes = 1, .bounds = true, \
  .tail_last = true

#define ERT_QGEMM_LAYOUT_neondot_8x8 \
  .name = "qgemm_neondot_8x8", .isa = ERT_ISA_NEONDOT, .mr = 8, .nr = 8, .kr = 4, .weight_bytes = 1, .bounds = true

/* Rows are multiplied in pairs. */
#define ERT_QGEMM_LAYOUT_neoni8mm_8x8                                                                              \
  .name = "qgemm_neoni8mm_8x8", .isa = ERT_ISA_NEONI8MM, .mr = 8, .nr = 8, .least_m = 2, .least_k = 8, .kr = 8, \
  .weight_bytes = 1, .bounds = true

#endif
