#include <immintrin.h>
#include <stdint.h>

enum { LANES = 8 };
typedef __m256i vec;

static inline vec load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vec splat(int32_t x) { return _mm256_set1_epi32(x); }
static inline vec add(vec a, vec b) { return _mm256_add_epi32(a, b); }
static inline vec madd(vec a, vec b) { return _mm256_madd_epi16(a, b); }
static inline vec widen_weights(const void *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }

/* Pairs go through memory: a broadcasting load needs none of the vector units, which are the bottleneck, where a
 * shuffle needs one. */
typedef struct eight {
  int32_t pairs[4];
} eight;

static inline void widen_8(eight *x, uint64_t bytes) {
  _mm_storeu_si128((__m128i *)x->pairs, _mm_cvtepi8_epi16(_mm_cvtsi64_si128((long long)bytes)));
  __asm__("" : "+m"(*x)); /* or the compiler makes shuffles of it again */
}
#define SPREAD(x, pair) _mm256_set1_epi32(x.pairs[pair])

#include "kernels/qgemm/x86_finish_256.h"
#include "kernels/qgemm/x86_madd.h"

const ert_qgemm_kernel ert_qgemm_avx2_4x16 = {
    .name = "qgemm_avx2_4x16", .isa = ERT_ISA_AVX2, .mr = MAX_ROWS, .nr = NR, .kr = 2, .weight_bytes = 1,
    .lane_channel = LANE_CHANNEL, .run = run};
