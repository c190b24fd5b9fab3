/* What x86_strip.h asks for, for bytes in vectors of 256 bits, but dot. x goes in as x + 128; ert_qdw_pack took the
 * surplus off the bias. */
#include "kernels/qdw/x86_strip_256.h"

enum { DEPTH = 4, VECTORS = 4 };

static __attribute__((noinline)) vec fetch_part(const int8_t *p, size_t channels) {
  if (channels <= 16) return _mm256_zextsi128_si256(ert_load_some(p, channels));
  return _mm256_setr_m128i(_mm_loadu_si128((const __m128i *)(const void *)p), ert_load_some(p + 16, channels - 16));
}
ERT_INLINE vec fetch(const int8_t *p, size_t channels, bool full) {
  const vec x = full ? _mm256_loadu_si256((const __m256i *)(const void *)p) : fetch_part(p, channels);
  return _mm256_xor_si256(x, _mm256_set1_epi8(-128));
}
ERT_INLINE vec pad(int8_t value) { return _mm256_set1_epi8((char)(value ^ -128)); }

/* Vector v, lane 4 L + i has channel 16 L + 4 v + i. */
ERT_INLINE void interleave(vec *to, const vec *rows) {
  const vec ab_low = _mm256_unpacklo_epi8(rows[0], rows[1]), ab_high = _mm256_unpackhi_epi8(rows[0], rows[1]);
  const vec cd_low = _mm256_unpacklo_epi8(rows[2], rows[3]), cd_high = _mm256_unpackhi_epi8(rows[2], rows[3]);
  to[0] = _mm256_unpacklo_epi16(ab_low, cd_low);
  to[1] = _mm256_unpackhi_epi16(ab_low, cd_low);
  to[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
  to[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
}

ERT_INLINE vec pack(const vec *halves, const rule *r) {
  return _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(halves[0], halves[1]), r->min_8), r->max_8);
}
ERT_INLINE void store(int8_t *p, const vec *halves, const rule *r) {
  _mm256_storeu_si256((__m256i *)(void *)p, pack(halves, r));
}
static __attribute__((noinline)) void store_part(int8_t *p, const vec *halves, const rule *r, size_t channels) {
  const vec q = pack(halves, r);
  ert_store_some(p, _mm256_castsi256_si128(q), channels);
  if (channels > 16) ert_store_some(p + 16, _mm256_extracti128_si256(q, 1), channels - 16);
}

#define LANE_FOUR(c) c, c + 1, c + 2, c + 3, c + 16, c + 17, c + 18, c + 19
static const uint8_t LANE_CHANNEL[] = {LANE_FOUR(0), LANE_FOUR(4), LANE_FOUR(8), LANE_FOUR(12)};
