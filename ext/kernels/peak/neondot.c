#include <arm_neon.h>

#include "kernels/peak/loop.h"

typedef int32x4_t vec;
#define CLASS "w"

#define SDOT(sum, x, w) __asm__ volatile("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(w))

ERT_PEAK_LOOP(run_i8, 16, SDOT)

const ert_peak_kernel ert_peak_neondot_i8 = {"sdot", ERT_ISA_NEONDOT, false, 16 * 16, run_i8};
