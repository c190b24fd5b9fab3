#include <smmintrin.h>
#include <stdint.h>

enum { N = 8 };
typedef __m128i vec;

static inline vec widen(const void *p) { return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)p)); }
static inline vec zip_low(vec a, vec b) { return _mm_unpacklo_epi16(a, b); }
static inline vec zip_high(vec a, vec b) { return _mm_unpackhi_epi16(a, b); }
static inline vec madd(vec a, vec b) { return _mm_madd_epi16(a, b); }
static inline vec add(vec a, vec b) { return _mm_add_epi32(a, b); }
static inline vec shift_left(vec v) { return _mm_slli_epi32(v, 12); }
static inline vec shift_right(vec v, vec count) { return _mm_sra_epi32(v, _mm_cvtepu32_epi64(count)); }
static inline vec splat_32(int32_t x) { return _mm_set1_epi32(x); }
static inline vec splat_16(int16_t x) { return _mm_set1_epi16(x); }
static inline vec pack_32(vec a, vec b) { return _mm_packs_epi32(a, b); }
static inline vec add_16(vec a, vec b) { return _mm_adds_epi16(a, b); }
static inline void store(void *p, vec q, int8_t lo, int8_t hi) {
  q = _mm_min_epi8(_mm_max_epi8(_mm_packs_epi16(q, q), _mm_set1_epi8(lo)), _mm_set1_epi8(hi));
  _mm_storel_epi64((__m128i *)p, q);
}

#include "kernels/qadd/x86_add.h"

const ert_qadd_kernel ert_qadd_sse41 = {
    .name = "qadd_sse41", .isa = ERT_ISA_SSE41, .run = run, .run_scalar = run_scalar};
