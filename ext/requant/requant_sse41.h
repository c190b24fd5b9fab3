/* The rule of requant.h for vectors of 4 accumulators; see requant_avx512vnni.h for why one bound suffices in float. */
#ifndef ERT_REQUANT_SSE41_H
#define ERT_REQUANT_SSE41_H

#include <smmintrin.h>
#include <stdint.h>

typedef struct ert_requant_sse41 {
  __m128 hi; /* out_max less out_zero */
  __m128i zero_16, min_8;
} ert_requant_sse41;

static inline ert_requant_sse41 ert_requant_sse41_init(int32_t out_zero, int8_t out_min, int8_t out_max) {
  return (ert_requant_sse41){_mm_set1_ps((float)(out_max - out_zero)), _mm_set1_epi16((int16_t)out_zero),
                             _mm_set1_epi8(out_min)};
}

/* 8 accumulators in order, in the lower 8 bytes. */
static inline __m128i ert_requant_sse41_x8(__m128i a, __m128 multiplier_a, __m128i b, __m128 multiplier_b,
                                           const ert_requant_sse41 *r) {
  const __m128i q_a = _mm_cvtps_epi32(_mm_min_ps(_mm_mul_ps(_mm_cvtepi32_ps(a), multiplier_a), r->hi));
  const __m128i q_b = _mm_cvtps_epi32(_mm_min_ps(_mm_mul_ps(_mm_cvtepi32_ps(b), multiplier_b), r->hi));
  const __m128i q = _mm_adds_epi16(_mm_packs_epi32(q_a, q_b), r->zero_16);
  return _mm_max_epi8(_mm_packs_epi16(q, q), r->min_8);
}

#endif
