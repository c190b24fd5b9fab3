#include <immintrin.h>
#include <stdint.h>

enum { N = 16 };
typedef __m256i vec;

static inline vec widen(const void *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
static inline vec zip_low(vec a, vec b) { return _mm256_unpacklo_epi16(a, b); }
static inline vec zip_high(vec a, vec b) { return _mm256_unpackhi_epi16(a, b); }
static inline vec madd(vec a, vec b) { return _mm256_madd_epi16(a, b); }
static inline vec add(vec a, vec b) { return _mm256_add_epi32(a, b); }
static inline vec shift_left(vec v) { return _mm256_slli_epi32(v, 12); }
static inline vec shift_right(vec v, vec count) { return _mm256_srav_epi32(v, count); }
static inline vec splat_32(int32_t x) { return _mm256_set1_epi32(x); }
static inline vec splat_16(int16_t x) { return _mm256_set1_epi16(x); }
static inline vec pack_32(vec a, vec b) { return _mm256_packs_epi32(a, b); }
static inline vec add_16(vec a, vec b) { return _mm256_adds_epi16(a, b); }
static inline void store(void *p, vec q, int8_t lo, int8_t hi) {
  __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
  bytes = _mm_min_epi8(_mm_max_epi8(bytes, _mm_set1_epi8(lo)), _mm_set1_epi8(hi));
  _mm_storeu_si128((__m128i *)p, bytes);
}

#include "kernels/qadd/x86_add.h"

const ert_qadd_kernel ert_qadd_avx2 = {
    .name = "qadd_avx2", .isa = ERT_ISA_AVX2, .run = run, .run_scalar = run_scalar};
