/* Sums of rows of bytes with PSADBW, which sums 8 unsigned bytes into 64 bits: x + 128 is unsigned, and 128 a byte is
 * taken off in the end. Four rows at a time share the set-up of every tap. */
#ifndef ERT_KERNELS_FVEC_ROWS_SSE41_H
#define ERT_KERNELS_FVEC_ROWS_SSE41_H

#include <smmintrin.h>

#include "base/inline.h"
#include "kernels/partial_x86.h"

/* acc plus the sums of x + 128 of both halves of x; bytes where `counted` is 0 add nothing. */
ERT_INLINE __m128i add_bytes(__m128i acc, __m128i x, __m128i counted) {
  const __m128i positive = _mm_and_si128(_mm_xor_si128(x, _mm_set1_epi8(-128)), counted);
  return _mm_add_epi64(acc, _mm_sad_epu8(positive, _mm_setzero_si128()));
}

static void sum_rows_i8(size_t m, const int8_t *const *rows, size_t row_step, size_t taps, const ptrdiff_t *tap_offset,
                        size_t k, int32_t factor, int32_t *out) {
  (void)row_step;
  enum { AT_ONCE = 4, BYTES = 16 };
  static const int8_t MASK[2 * BYTES] = {[BYTES] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  const size_t tail = k % BYTES;
  /* The last bytes of a longer tap stand at the end of a vector whose first ones have been counted. */
  const int8_t *mask = k > BYTES ? MASK + tail : MASK + BYTES;
  const __m128i all = _mm_set1_epi8(-1), counted = _mm_loadu_si128((const __m128i *)(const void *)mask);
  const uint32_t surplus = 128u * (uint32_t)(taps * (k < BYTES ? BYTES : k));
  for (size_t i = 0; i < m; i += AT_ONCE) {
    __m128i acc[AT_ONCE];
    ERT_UNROLL for (size_t r = 0; r < AT_ONCE; r++) acc[r] = _mm_setzero_si128();
    for (size_t t = 0; t < taps; t++) {
      ERT_UNROLL for (size_t r = 0; r < AT_ONCE; r++) {
        const int8_t *x = rows[i + r < m ? i + r : m - 1] + tap_offset[t];
        for (size_t l = 0; l + BYTES <= k; l += BYTES)
          acc[r] = add_bytes(acc[r], _mm_loadu_si128((const __m128i *)(const void *)(x + l)), all);
        if (k < BYTES) {
          acc[r] = add_bytes(acc[r], ert_load_up_to_16(x, k), all);
        } else if (tail != 0) {
          acc[r] = add_bytes(acc[r], _mm_loadu_si128((const __m128i *)(const void *)(x + k - BYTES)), counted);
        }
      }
    }
    for (size_t r = 0; r < AT_ONCE && i + r < m; r++) {
      const uint32_t sum = (uint32_t)_mm_cvtsi128_si32(acc[r]) + (uint32_t)_mm_extract_epi32(acc[r], 2);
      out[i + r] = (int32_t)((uint32_t)factor * (sum - surplus));
    }
  }
}

#endif
