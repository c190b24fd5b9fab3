#include <arm_neon.h>

#include "kernels/peak/loop.h"

typedef int32x4_t vec;
#define CLASS "w"

#define SMMLA(sum, x, w) __asm__ volatile("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(w))

ERT_PEAK_LOOP(run_i8, 16, SMMLA)

const ert_peak_kernel ert_peak_neoni8mm_i8 = {"smmla", ERT_ISA_NEONI8MM, false, 16 * 32, run_i8};
