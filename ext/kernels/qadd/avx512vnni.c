#include <immintrin.h>
#include <stdint.h>

enum { N = 32 };
typedef __m512i vec;

static inline vec widen(const void *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
static inline vec zip_low(vec a, vec b) { return _mm512_unpacklo_epi16(a, b); }
static inline vec zip_high(vec a, vec b) { return _mm512_unpackhi_epi16(a, b); }
static inline vec madd(vec a, vec b) { return _mm512_madd_epi16(a, b); }
static inline vec add(vec a, vec b) { return _mm512_add_epi32(a, b); }
static inline vec shift_left(vec v) { return _mm512_slli_epi32(v, 12); }
static inline vec shift_right(vec v, vec count) { return _mm512_srav_epi32(v, count); }
static inline vec splat_32(int32_t x) { return _mm512_set1_epi32(x); }
static inline vec splat_16(int16_t x) { return _mm512_set1_epi16(x); }
static inline vec pack_32(vec a, vec b) { return _mm512_packs_epi32(a, b); }
static inline vec add_16(vec a, vec b) { return _mm512_adds_epi16(a, b); }
static inline void store(void *p, vec q, int8_t lo, int8_t hi) {
  const __m256i bytes = _mm256_max_epi8(_mm512_cvtsepi16_epi8(q), _mm256_set1_epi8(lo));
  _mm256_storeu_si256((__m256i *)p, _mm256_min_epi8(bytes, _mm256_set1_epi8(hi)));
}

#include "kernels/qadd/x86_add.h"

const ert_qadd_kernel ert_qadd_avx512vnni = {
    .name = "qadd_avx512vnni", .isa = ERT_ISA_AVX512VNNI, .run = run, .run_scalar = run_scalar};
