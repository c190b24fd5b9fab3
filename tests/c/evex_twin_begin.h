/* Between this and evex_twin_end.h, the source of a kernel file for AVX-VNNI is compiled for AVX512-VNNI, with the other
 * encoding of its dot product instructions, so that it runs on processors that have only that one. The real encoding runs
 * where a processor has it, and under emulate_x86.h. */
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512vl,avx512vnni")
#endif
#define ERT_VNNI_ENCODING "%{evex%} "
