#include "kernels/qdw/x86_256.h"

/* The test of this file runs it with the AVX-512 encoding of the same instruction, for processors that lack this one. */
#ifndef ERT_VNNI_ENCODING
#define ERT_VNNI_ENCODING "%{vex%} "
#endif

static inline vec madd_add(vec acc, vec x, vec w) {
  __asm__(ERT_VNNI_ENCODING "vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(x), "xm"(w));
  return acc;
}

#include "kernels/qdw/x86_depthwise.h"

const ert_qdw_kernel ert_qdw_avxvnni_16 = {
    .name = "qdw_avxvnni_16", .isa = ERT_ISA_AVXVNNI, .nr = NR, .tap_group = 2, .lane_channel = LANE_CHANNEL,
    .run = run_any};

const ert_qdw_kernel ert_qdw_avxvnni_16_3x3 = {
    .name = "qdw_avxvnni_16_3x3", .isa = ERT_ISA_AVXVNNI, .nr = NR, .tap_group = 2, .slots = sizeof SLOTS_3X3,
    .slot_tap = SLOTS_3X3, .kernel_h = 3, .kernel_w = 3, .lane_channel = LANE_CHANNEL, .run = run_3x3};
