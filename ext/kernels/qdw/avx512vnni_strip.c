#include <immintrin.h>
#include <stdbool.h>

#include "base/inline.h"
#include "kernels/qdw/qdw.h"
#include "requant/requant_avx512vnni.h"

/* See x86_strip_bytes.h. */
enum { LANES = 16, DEPTH = 4, VECTORS = 4, MASKED = 1 };
typedef __m512i vec;
typedef __m512 fvec;
typedef ert_requant_avx512 rule;

ERT_INLINE __mmask64 mask(size_t channels) { return ~UINT64_C(0) >> (64 - channels); }
ERT_INLINE vec fetch(const int8_t *p, size_t channels, bool full) {
  const vec x = full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(mask(channels), p);
  return _mm512_xor_si512(x, _mm512_set1_epi8(-128));
}
ERT_INLINE vec pad(int8_t value) { return _mm512_set1_epi8((char)(value ^ -128)); }
ERT_INLINE vec dot(vec acc, vec x, const vec *w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v" ERT_OR_MEMORY(*w));
  return acc;
}
ERT_INLINE void interleave(vec *to, const vec *rows) {
  const vec ab_low = _mm512_unpacklo_epi8(rows[0], rows[1]), ab_high = _mm512_unpackhi_epi8(rows[0], rows[1]);
  const vec cd_low = _mm512_unpacklo_epi8(rows[2], rows[3]), cd_high = _mm512_unpackhi_epi8(rows[2], rows[3]);
  to[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
  to[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
  to[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
  to[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

ERT_INLINE rule make_rule(const ert_qdw_args *args) {
  return ert_requant_avx512_init(args->out_zero, args->out_min, args->out_max, args->wide);
}
ERT_INLINE fvec scale(vec acc, vec multiplier) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_castsi512_ps(multiplier));
}
ERT_INLINE fvec bound(fvec y, const rule *r) { return _mm512_min_ps(y, r->hi); }
ERT_INLINE vec round_2(fvec a, fvec b, const rule *r) {
  return _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b)), r->zero_16);
}
ERT_INLINE vec pack(const vec *halves, const rule *r) {
  return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(halves[0], halves[1]), r->min_8), r->max_8);
}
ERT_INLINE void store(int8_t *p, const vec *halves, const rule *r) { _mm512_storeu_si512(p, pack(halves, r)); }
ERT_INLINE void store_part(int8_t *p, const vec *halves, const rule *r, size_t channels) {
  _mm512_mask_storeu_epi8(p, mask(channels), pack(halves, r));
}

#include "kernels/qdw/x86_strip.h"

#define FOUR(c) c, c + 1, c + 2, c + 3
#define LANE_FOUR(c) FOUR(c), FOUR(c + 16), FOUR(c + 32), FOUR(c + 48)
static const uint8_t LANE_CHANNEL[NR] = {LANE_FOUR(0), LANE_FOUR(4), LANE_FOUR(8), LANE_FOUR(12)};

const ert_qdw_kernel ert_qdw_avx512vnni_64_strip = {
    .name = "qdw_avx512vnni_64_strip", .isa = ERT_ISA_AVX512VNNI, .nr = NR, .tap_group = DEPTH, .strip = true,
    .borders = true, .int8_weights = true, .x_offset = 128, .lane_channel = LANE_CHANNEL, .run = run_strips};
