#include <stdint.h>

#include "kernels/peak/peak.h"

/* Sums in four tiles; two left and two right sides, so that no instruction waits for another's operands. */
#define FOUR_PRODUCTS                                                            \
  "tdpbssd %%tmm6, %%tmm4, %%tmm0\n\ttdpbssd %%tmm7, %%tmm4, %%tmm1\n\t"         \
  "tdpbssd %%tmm6, %%tmm5, %%tmm2\n\ttdpbssd %%tmm7, %%tmm5, %%tmm3"

enum { DATA = 0x3f }; /* as the other loops have it */

static void run(size_t rounds) {
  static const uint8_t config[64] = {1, [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64, [26] = 64, [28] = 64,
                                     [30] = 64, [48] = 16, 16, 16, 16, 16, 16, 16, 16};
  uint8_t row[64];
  for (int i = 0; i < 64; i++) row[i] = DATA;
  __asm__ volatile("ldtilecfg %0" : : "m"(config));
  __asm__ volatile(
      "tileloadd (%0,%1,1), %%tmm4\n\ttileloadd (%0,%1,1), %%tmm5\n\t"
      "tileloadd (%0,%1,1), %%tmm6\n\ttileloadd (%0,%1,1), %%tmm7"
      :
      : "r"(row), "r"((ptrdiff_t)0)
      : "memory");
  for (size_t i = 0; i < rounds; i++) __asm__ volatile(FOUR_PRODUCTS : :);
  __asm__ volatile("tilerelease");
}

const ert_peak_kernel ert_peak_amx_i8 = {"tdpbssd", ERT_ISA_AMX, false, 4 * 16 * 16 * 64, run};
