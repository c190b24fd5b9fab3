#include "kernels/qdw/x86_256.h"

static inline vec madd_add(vec acc, vec x, vec w) {
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
  __asm__("" : "+x"(acc)); /* or GCC adds products to each other first, for which registers do not suffice */
  return acc;
}

#include "kernels/qdw/x86_pairs.h"

const ert_qdw_kernel ert_qdw_avx2_16_3x3 = {
    .name = "qdw_avx2_16_3x3", .isa = ERT_ISA_AVX2, .nr = NR, .tap_group = 2, .slots = sizeof SLOTS_3X3,
    .slot_tap = SLOTS_3X3, .kernel_h = 3, .kernel_w = 3, .lane_channel = LANE_CHANNEL, .run = run_3x3};
