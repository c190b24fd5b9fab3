#include "kernels/qdw/x86_strip_256.h"

/* Two taps of a channel as 16-bit values, which VPMADDWD multiplies and adds. */
enum { DEPTH = 2, VECTORS = 2 };

ERT_INLINE vec fetch(const int8_t *p, size_t channels, bool full) {
  return _mm256_cvtepi8_epi16(full ? _mm_loadu_si128((const __m128i *)(const void *)p) : ert_load_some(p, channels));
}
ERT_INLINE vec pad(int8_t value) { return _mm256_set1_epi16(value); }
ERT_INLINE void interleave(vec *to, const vec *rows) {
  to[0] = _mm256_unpacklo_epi16(rows[0], rows[1]);
  to[1] = _mm256_unpackhi_epi16(rows[0], rows[1]);
}
ERT_INLINE vec dot(vec acc, vec x, const vec *w) {
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, *w));
  __asm__("" : "+x"(acc)); /* or GCC adds products to each other first, for which registers do not suffice */
  return acc;
}
ERT_INLINE __m128i pack(const vec *halves, const rule *r) {
  const __m128i q = _mm_packs_epi16(_mm256_castsi256_si128(*halves), _mm256_extracti128_si256(*halves, 1));
  return _mm_min_epi8(_mm_max_epi8(q, _mm256_castsi256_si128(r->min_8)), _mm256_castsi256_si128(r->max_8));
}
ERT_INLINE void store(int8_t *p, const vec *halves, const rule *r) {
  _mm_storeu_si128((__m128i *)(void *)p, pack(halves, r));
}
ERT_INLINE void store_part(int8_t *p, const vec *halves, const rule *r, size_t channels) {
  ert_store_some(p, pack(halves, r), channels);
}

#include "kernels/qdw/x86_strip.h"

/* The order that interleave makes and pack undoes. */
static const uint8_t LANE_CHANNEL[NR] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};

const ert_qdw_kernel ert_qdw_avx2_16_strip = {
    .name = "qdw_avx2_16_strip", .isa = ERT_ISA_AVX2, .nr = NR, .tap_group = DEPTH, .strip = true, .borders = true,
    .lane_channel = LANE_CHANNEL, .run = run_strips};
