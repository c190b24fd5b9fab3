/* Table lookup with AVX512-VBMI: VPERMI2B finds a byte among 128 by the low 7 bits of its index, which for a negative q are
 * those of q + 128. */
#ifndef ERT_KERNELS_FVEC_LUT_VBMI_H
#define ERT_KERNELS_FVEC_LUT_VBMI_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

__attribute__((target("avx512vbmi"))) static void lut_i8_vbmi(size_t n, const int8_t *q, const int8_t *table,
                                                              int8_t *out) {
  const __m512i lower0 = _mm512_loadu_si512(table), lower1 = _mm512_loadu_si512(table + 64);
  const __m512i upper0 = _mm512_loadu_si512(table + 128), upper1 = _mm512_loadu_si512(table + 192);
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 valid = n - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - i)) - 1;
    const __m512i index = _mm512_maskz_loadu_epi8(valid, q + i);
    const __m512i upper = _mm512_permutex2var_epi8(upper0, index, upper1);
    const __m512i lower = _mm512_permutex2var_epi8(lower0, index, lower1);
    _mm512_mask_storeu_epi8(out + i, valid, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), upper, lower));
  }
}

#endif
