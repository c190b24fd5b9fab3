/* What x86_madd.h and x86_widened.h ask for, for vectors of 256 bits. The including file defines VECTORS, MAX_ROWS. */
#include <immintrin.h>
#include <stdint.h>

enum { LANES = 8 };
typedef __m256i vec;

static inline vec load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vec splat(int32_t x) { return _mm256_set1_epi32(x); }
static inline vec add(vec a, vec b) { return _mm256_add_epi32(a, b); }
static inline vec madd(vec a, vec b) { return _mm256_madd_epi16(a, b); }
#define ADD_IN_PLACE "vpaddd %1, %0, %0"
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

ERT_INLINE void widen_16(int16_t *to, const int8_t *from) {
  const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
  _mm256_storeu_si256((__m256i *)(void *)to, _mm256_cvtepi8_epi16(bytes));
}
ERT_INLINE void widen_to_8(int16_t *to, uint64_t bytes) {
  _mm_storeu_si128((__m128i *)(void *)to, _mm_cvtepi8_epi16(_mm_cvtsi64_si128((long long)bytes)));
}
ERT_INLINE void widen_row(int16_t *to, const int8_t *from, size_t k) {
  uint64_t first, last;
  if (k < 8) {
    widen_to_8(to, ert_load_below_8(from, k));
    return;
  }
  memcpy(&first, from, 8);
  if (k == 8) {
    widen_to_8(to, first);
    return;
  }
  if (k < 16) {
    memcpy(&last, from + k - 8, 8);
    widen_to_8(to, first);
    widen_to_8(to + k - 8, last);
  } else {
    for (size_t l = 0; l + 16 <= k; l += 16) widen_16(to + l, from + l);
    widen_16(to + k - 16, from + k - 16);
  }
  if (k % 2 != 0) memset(to + k, 0, sizeof *to); /* meets a weight of 0 */
}

#include "kernels/qgemm/x86_widened.h"
