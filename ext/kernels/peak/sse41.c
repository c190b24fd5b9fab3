#include <smmintrin.h>

#include "kernels/peak/loop.h"

typedef __m128i vec;
#define CLASS "x"

#define MADD(sum, x, w)                                                                             \
  do {                                                                                              \
    __m128i product = x;                                                                            \
    __asm__ volatile("pmaddwd %2, %1\n\tpaddd %1, %0" : "+x"(sum), "+x"(product) : "x"(w));         \
  } while (0)
#define MULTIPLY_ADD(sum, x, w)                                                                     \
  do {                                                                                              \
    __m128i product = x;                                                                            \
    __asm__ volatile("mulps %2, %1\n\taddps %1, %0" : "+x"(sum), "+x"(product) : "x"(w));           \
  } while (0)

ERT_PEAK_LOOP(run_i8, 8, MADD)
ERT_PEAK_LOOP(run_f32, 10, MULTIPLY_ADD)

const ert_peak_kernel ert_peak_sse41_i8 = {"pmaddwd, paddd", ERT_ISA_SSE41, false, 8 * 8, run_i8};
const ert_peak_kernel ert_peak_sse41_f32 = {"mulps, addps", ERT_ISA_SSE41, true, 10 * 4, run_f32};
