#include <immintrin.h>

#include "kernels/peak/loop.h"

typedef __m256i vec;
#define CLASS "x"

#define MADD(sum, x, w)                                                        \
  do {                                                                         \
    __m256i product;                                                           \
    __asm__ volatile("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"                \
                     : "+x"(sum), "=&x"(product)                               \
                     : "x"(x), "x"(w));                                        \
  } while (0)
#define FMA(sum, x, w) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w))

ERT_PEAK_LOOP(run_i8, 8, MADD)
ERT_PEAK_LOOP(run_f32, 12, FMA)

const ert_peak_kernel ert_peak_avx2_i8 = {"vpmaddwd, vpaddd ymm", ERT_ISA_AVX2, false, 8 * 16, run_i8};
const ert_peak_kernel ert_peak_avx2_f32 = {"vfmadd231ps ymm", ERT_ISA_AVX2, true, 12 * 8, run_f32};
