#include <immintrin.h>

#include "kernels/peak/loop.h"

typedef __m512i vec;
#define CLASS "v"

#define DOT4(sum, x, w) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))
#define FMA(sum, x, w) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))

ERT_PEAK_LOOP(run_i8, 14, DOT4)
ERT_PEAK_LOOP(run_f32, 14, FMA)

const ert_peak_kernel ert_peak_avx512vnni_i8 = {"vpdpbusd zmm", ERT_ISA_AVX512VNNI, false, 14 * 64, run_i8};
const ert_peak_kernel ert_peak_avx512vnni_f32 = {"vfmadd231ps zmm", ERT_ISA_AVX512VNNI, true, 14 * 16, run_f32};
