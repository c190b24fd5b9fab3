#include <immintrin.h>

#include "kernels/peak/loop.h"

typedef __m256i vec;
#define CLASS "x"

/* The prefix asks for the encoding of AVX-VNNI instead of that of AVX-512. */
#define DOT4(sum, x, w) __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w))

ERT_PEAK_LOOP(run_i8, 12, DOT4)

const ert_peak_kernel ert_peak_avxvnni_i8 = {"vpdpbusd ymm", ERT_ISA_AVXVNNI, false, 12 * 32, run_i8};
