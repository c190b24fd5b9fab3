/* The rule of requant.h for vectors of 16 accumulators.
 *
 * Bounds are applied where 64 outputs share a vector: a product below the int32 range converts to INT32_MIN (Intel SDM,
 * CVTPS2DQ), as it should, and the saturating packs carry both ends on. A product above the range, which needs a
 * multiplier of 1 or more (`wide`), would convert to INT32_MIN as well: there the upper bound is applied in float.
 * CVTPS2DQ rounds to nearest even. */
#ifndef ERT_REQUANT_AVX512VNNI_H
#define ERT_REQUANT_AVX512VNNI_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ert_requant_avx512 {
  __m512 hi; /* out_max less out_zero */
  __m512i zero_16, min_8, max_8;
  bool wide, clamps; /* clamps: to less than int8 holds */
} ert_requant_avx512;

static inline ert_requant_avx512 ert_requant_avx512_init(int32_t out_zero, int8_t out_min, int8_t out_max, bool wide) {
  return (ert_requant_avx512){_mm512_set1_ps((float)(out_max - out_zero)), _mm512_set1_epi16((int16_t)out_zero),
                              _mm512_set1_epi8(out_min), _mm512_set1_epi8(out_max), wide,
                              out_min != INT8_MIN || out_max != INT8_MAX};
}

/* Rounded, without out_zero and bounds. */
static inline __m512i ert_requant_avx512_round(__m512i acc, __m512 multiplier, const ert_requant_avx512 *r) {
  __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier);
  if (__builtin_expect(r->wide, 0)) {
    y = _mm512_min_ps(y, r->hi);
    __asm__("" : "+v"(y)); /* a branch: or the compiler computes both and chooses */
  }
  return _mm512_cvtps_epi32(y);
}

/* Packs two vectors that ert_requant_avx512_round made: byte 8 L + i is lane 4 L + i of a, byte 8 L + 4 + i of b. */
static inline __m256i ert_requant_avx512_x32(__m512i a, __m512i b, const ert_requant_avx512 *r) {
  const __m512i q = _mm512_adds_epi16(_mm512_packs_epi32(a, b), r->zero_16);
  const __m256i bytes = _mm256_max_epi8(_mm512_cvtsepi16_epi8(q), _mm512_castsi512_si256(r->min_8));
  return _mm256_min_epi8(bytes, _mm512_castsi512_si256(r->max_8));
}

/* Packs four: byte 16 L + 4 v + i is lane 4 L + i of vector v. */
static inline __m512i ert_requant_avx512_x64(__m512i a, __m512i b, __m512i c, __m512i d, const ert_requant_avx512 *r) {
  const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), r->zero_16);
  const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), r->zero_16);
  __m512i bytes = _mm512_packs_epi16(ab, cd);
  if (__builtin_expect(r->clamps, 0)) {
    bytes = _mm512_min_epi8(_mm512_max_epi8(bytes, r->min_8), r->max_8);
    __asm__("" : "+v"(bytes)); /* a branch, as above */
  }
  return bytes;
}

/* Two rows of two vectors: 256-bit half h is ert_requant_avx512_x32 of row h. */
static inline __m512i ert_requant_avx512_2x32(__m512i a0, __m512i b0, __m512i a1, __m512i b1,
                                              const ert_requant_avx512 *r) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7),
                                  ert_requant_avx512_x64(a0, b0, a1, b1, r));
}

/* Four rows of one vector: 128-bit quarter h is row h, in order. */
static inline __m512i ert_requant_avx512_4x16(__m512i a, __m512i b, __m512i c, __m512i d, const ert_requant_avx512 *r) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                  ert_requant_avx512_x64(a, b, c, d, r));
}

#endif
