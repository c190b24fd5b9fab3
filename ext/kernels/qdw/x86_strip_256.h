/* What x86_strip.h asks for, for vectors of 256 bits: the rounding rule. */
#include <immintrin.h>
#include <stdbool.h>

#include "base/inline.h"
#include "kernels/partial_x86.h"
#include "kernels/qdw/qdw.h"
#include "requant/requant_avx2.h"

enum { LANES = 8, MASKED = 0 };
typedef __m256i vec;
typedef __m256 fvec;
typedef ert_requant_avx2 rule;

ERT_INLINE rule make_rule(const ert_qdw_args *args) {
  return ert_requant_avx2_init(args->out_zero, args->out_min, args->out_max, args->wide);
}
ERT_INLINE fvec scale(vec acc, vec multiplier) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_castsi256_ps(multiplier));
}
ERT_INLINE fvec bound(fvec y, const rule *r) { return _mm256_min_ps(y, r->hi); }
ERT_INLINE vec round_2(fvec a, fvec b, const rule *r) {
  return _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b)), r->zero_16);
}
