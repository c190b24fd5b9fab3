/* The rule of requant.h for vectors of 8 accumulators; see requant_avx512vnni.h for where the bounds are applied. */
#ifndef ERT_REQUANT_AVX2_H
#define ERT_REQUANT_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ert_requant_avx2 {
  __m256 hi; /* out_max less out_zero */
  __m256i zero_16, min_8, max_8;
  bool wide;
} ert_requant_avx2;

static inline ert_requant_avx2 ert_requant_avx2_init(int32_t out_zero, int8_t out_min, int8_t out_max, bool wide) {
  return (ert_requant_avx2){_mm256_set1_ps((float)(out_max - out_zero)), _mm256_set1_epi16((int16_t)out_zero),
                            _mm256_set1_epi8(out_min), _mm256_set1_epi8(out_max), wide};
}

static inline __m256i ert_requant_avx2_round(__m256i acc, __m256 multiplier, const ert_requant_avx2 *r) {
  __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
  if (__builtin_expect(r->wide, 0)) {
    y = _mm256_min_ps(y, r->hi);
    __asm__("" : "+x"(y)); /* a branch: or the compiler computes both and chooses */
  }
  return _mm256_cvtps_epi32(y);
}

/* 16 accumulators: byte 4 v + 8 L + i of the result is lane 4 L + i of vector v (v = 0: a, 1: b). */
static inline __m128i ert_requant_avx2_x16(__m256i a, __m256 multiplier_a, __m256i b, __m256 multiplier_b,
                                           const ert_requant_avx2 *r) {
  const __m256i q_a = ert_requant_avx2_round(a, multiplier_a, r), q_b = ert_requant_avx2_round(b, multiplier_b, r);
  const __m256i q = _mm256_adds_epi16(_mm256_packs_epi32(q_a, q_b), r->zero_16);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
  return _mm_min_epi8(_mm_max_epi8(bytes, _mm256_castsi256_si128(r->min_8)), _mm256_castsi256_si128(r->max_8));
}

/* Packs four vectors that ert_requant_avx2_round made: byte 16 L + 4 v + i is lane 4 L + i of vector v. */
static inline __m256i ert_requant_avx2_x32(__m256i a, __m256i b, __m256i c, __m256i d, const ert_requant_avx2 *r) {
  const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), r->zero_16);
  const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), r->zero_16);
  return _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(ab, cd), r->min_8), r->max_8);
}

/* Two rows of two vectors: 128-bit half h is ert_requant_avx2_x16 of row h. */
static inline __m256i ert_requant_avx2_2x16(__m256i a0, __m256i b0, __m256i a1, __m256i b1, const ert_requant_avx2 *r) {
  return _mm256_permute4x64_epi64(ert_requant_avx2_x32(a0, b0, a1, b1, r), 0xD8);
}

/* Four rows of one vector: 64-bit quarter h is row h, in order. */
static inline __m256i ert_requant_avx2_4x8(__m256i a, __m256i b, __m256i c, __m256i d, const ert_requant_avx2 *r) {
  return _mm256_permutevar8x32_epi32(ert_requant_avx2_x32(a, b, c, d, r), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

#endif
