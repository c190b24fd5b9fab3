/* Sums of rows of bytes by VPDPBUSD with ones, 16 rows at a time.
 *
 * Every vector ends as partial sums in 32-bit lanes. Adding the even and the odd lanes of two vectors makes one vector of
 * both, and four such steps make one lane a row of 16 vectors. Short rows without gaps lie several to a vector. */
#ifndef ERT_KERNELS_FVEC_ROWS_AVX512VNNI_H
#define ERT_KERNELS_FVEC_ROWS_AVX512VNNI_H

#include <immintrin.h>

#include "base/inline.h"

enum { ROWS_AT_ONCE = 16 };

ERT_INLINE __m512i rows_add(__m512i acc, __m512i x) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(_mm512_set1_epi8(1)), "v"(x));
  return acc;
}

/* Within every 128 bits: lanes {a0+a2, b0+b2, a1+a3, b1+b3}, and of two such results {a, b, c, d}. */
ERT_INLINE __m512i rows_join_2(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
ERT_INLINE __m512i rows_join_4(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = rows_join_2(a, b), cd = rows_join_2(c, d);
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}
/* Quarters {a0+a1, a2+a3, b0+b1, b2+b3}. */
ERT_INLINE __m512i rows_join_quarters(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

ERT_INLINE void rows_store(__m512i sums, size_t rows, int32_t factor, int32_t *out) {
  const __mmask16 valid = (__mmask16)(rows < ROWS_AT_ONCE ? (1u << rows) - 1u : 0xffffu);
  _mm512_mask_storeu_epi32(out, valid, _mm512_mullo_epi32(sums, _mm512_set1_epi32(factor)));
}

/* Four rows anywhere: within every 128 bits, partial sums {a, b, c, d}. */
ERT_INLINE __m512i rows_four(const int8_t *const x[4], size_t taps, const ptrdiff_t *tap_offset, size_t k) {
  const __mmask64 tail = (UINT64_C(1) << k % 64) - 1;
  const size_t whole = k / 64 * 64;
  __m512i acc[4];
  ERT_UNROLL for (int j = 0; j < 4; j++) acc[j] = _mm512_setzero_si512();
  for (size_t t = 0; t < taps; t++) {
    const int8_t *a = x[0] + tap_offset[t], *b = x[1] + tap_offset[t];
    const int8_t *c = x[2] + tap_offset[t], *d = x[3] + tap_offset[t];
    size_t l = 0;
    for (; l < whole; l += 64) {
      acc[0] = rows_add(acc[0], _mm512_loadu_si512(a + l));
      acc[1] = rows_add(acc[1], _mm512_loadu_si512(b + l));
      acc[2] = rows_add(acc[2], _mm512_loadu_si512(c + l));
      acc[3] = rows_add(acc[3], _mm512_loadu_si512(d + l));
    }
    if (tail == 0) continue;
    acc[0] = rows_add(acc[0], _mm512_maskz_loadu_epi8(tail, a + l));
    acc[1] = rows_add(acc[1], _mm512_maskz_loadu_epi8(tail, b + l));
    acc[2] = rows_add(acc[2], _mm512_maskz_loadu_epi8(tail, c + l));
    acc[3] = rows_add(acc[3], _mm512_maskz_loadu_epi8(tail, d + l));
  }
  return rows_join_4(acc[0], acc[1], acc[2], acc[3]);
}

static void sum_rows_apart(size_t m, const int8_t *const *rows, size_t taps, const ptrdiff_t *tap_offset, size_t k,
                           int32_t factor, int32_t *out) {
  for (size_t i = 0; i < m; i += ROWS_AT_ONCE) {
    const size_t count = m - i < ROWS_AT_ONCE ? m - i : ROWS_AT_ONCE;
    __m512i fours[4];
    for (size_t r = 0; r < ROWS_AT_ONCE; r += 4) {
      if (r + 4 <= count) {
        fours[r / 4] = rows_four(rows + i + r, taps, tap_offset, k);
      } else if (r < count) { /* the last row fills up */
        const int8_t *x[4];
        for (size_t j = 0; j < 4; j++) x[j] = rows[i + (r + j < count ? r + j : count - 1)];
        fours[r / 4] = rows_four(x, taps, tap_offset, k);
      } else {
        fours[r / 4] = _mm512_setzero_si512();
      }
    }
    const __m512i sums = rows_join_quarters(rows_join_quarters(fours[0], fours[1]), rows_join_quarters(fours[2], fours[3]));
    rows_store(sums, count, factor, out + i);
  }
}

/* 16 rows of 8, 16 or 32 bytes, one behind the other: lane r is row r. */
ERT_INLINE __m512i rows_of_8(const int8_t *x) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i a = rows_add(zero, _mm512_loadu_si512(x)), b = rows_add(zero, _mm512_loadu_si512(x + 64));
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  return _mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b));
}
/* Lane 4 q + j is quarter q of vector j. */
ERT_INLINE __m512i rows_turn(__m512i lanes) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), lanes);
}
ERT_INLINE __m512i rows_of_16(const int8_t *x) {
  __m512i acc[4];
  ERT_UNROLL for (int j = 0; j < 4; j++) acc[j] = rows_add(_mm512_setzero_si512(), _mm512_loadu_si512(x + 64 * j));
  return rows_turn(rows_join_4(acc[0], acc[1], acc[2], acc[3]));
}
ERT_INLINE __m512i rows_of_32(const int8_t *x) {
  __m512i acc[8];
  ERT_UNROLL for (int j = 0; j < 8; j++) acc[j] = rows_add(_mm512_setzero_si512(), _mm512_loadu_si512(x + 64 * j));
  ERT_UNROLL for (int j = 0; j < 4; j++) acc[j] = rows_join_quarters(acc[2 * j], acc[2 * j + 1]);
  return rows_turn(rows_join_4(acc[0], acc[1], acc[2], acc[3]));
}

static void sum_rows_i8(size_t m, const int8_t *const *rows, size_t row_step, size_t taps, const ptrdiff_t *tap_offset,
                        size_t k, int32_t factor, int32_t *out) {
  size_t i = 0;
  if (taps == 1 && row_step == k && (k == 8 || k == 16 || k == 32)) {
    const int8_t *x = rows[0] + tap_offset[0];
    for (; i + ROWS_AT_ONCE <= m; i += ROWS_AT_ONCE, x += ROWS_AT_ONCE * k) {
      rows_store(k == 8 ? rows_of_8(x) : k == 16 ? rows_of_16(x) : rows_of_32(x), ROWS_AT_ONCE, factor, out + i);
    }
  }
  if (i < m) sum_rows_apart(m - i, rows + i, taps, tap_offset, k, factor, out + i);
}

#endif
