/* What determines how a kernel's weights are packed, for kernels that other architectures' builds know too: a package is
 * packed for a device on the machine that converts it (select.c). The rest of a kernel is its code. */
#ifndef ERT_KERNELS_QDW_LAYOUTS_H
#define ERT_KERNELS_QDW_LAYOUTS_H

#include "kernels/layouts.h"
#include "kernels/qdw/qdw.h"

/* Kernels that `isa` may be chosen from: this build's, or, where the set is another architecture's, what is known of
 * those: all but their code. */
const ert_qdw_kernel *const *ert_qdw_known(ert_isa_set isa, size_t *count);

/* Hash of where and how packing for an ert_qdw_kernel puts every byte; 0 when there is no memory to find out. */
uint64_t ert_qdw_layout(const void *kernel);

#define ERT_QDW_LAYOUT_scalar_4 .name = "qdw_scalar_4", .isa = ERT_ISA_SCALAR, .nr = 4, .tap_group = 1

#define ERT_QDW_LAYOUT_neon_8 .name = "qdw_neon_8", .isa = ERT_ISA_NEON, .nr = 8, .tap_group = 1, .bounds = true

#define ERT_QDW_LAYOUT_neon_8_3x3                                                                              \
  .name = "qdw_neon_8_3x3", .isa = ERT_ISA_NEON, .nr = 8, .tap_group = 1, .kernel_h = 3, .kernel_w = 3, \
  .int8_weights = true, .bounds = true

#define ERT_QDW_LAYOUT_neon_8_5x5                                                                              \
  .name = "qdw_neon_8_5x5", .isa = ERT_ISA_NEON, .nr = 8, .tap_group = 1, .kernel_h = 5, .kernel_w = 5, \
  .int8_weights = true, .bounds = true

/* The taps of a column, from above, and a slot beside the last. */
static const uint8_t ERT_QDW_BY_COLUMNS[] = {0, 3, 6, ERT_QDW_NO_TAP, 1, 4, 7, ERT_QDW_NO_TAP, 2, 5, 8, ERT_QDW_NO_TAP};

#define ERT_QDW_LAYOUT_neondot_8_3x3                                                                       \
  .name = "qdw_neondot_8_3x3", .isa = ERT_ISA_NEONDOT, .nr = 8, .tap_group = 4,                            \
  .slots = sizeof ERT_QDW_BY_COLUMNS, .slot_tap = ERT_QDW_BY_COLUMNS, .kernel_h = 3, .kernel_w = 3, .spare = true, \
  .int8_weights = true, .bounds = true

#define ERT_QDW_LAYOUT_neondot_8_strip                                                                           \
  .name = "qdw_neondot_8_strip", .isa = ERT_ISA_NEONDOT, .nr = 8, .tap_group = 4, .strip = true, \
  .int8_weights = true, .bounds = true

#endif
