/* How sums that tiles left in memory become outputs, as requant/requant.h has it: a tile of rows by 1, 2 or 4 tiles of
 * channels, each [16][16], 64 outputs at a time. */
#ifndef ERT_KERNELS_QGEMM_AMX_ROUND_H
#define ERT_KERNELS_QGEMM_AMX_ROUND_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/inline.h"
#include "base/memory.h"
#include "kernels/qgemm/qgemm.h"

enum { TILE = 16, ROW = 64, TILE_WORDS = TILE * TILE, SUMS = 4 }; /* ROW: bytes of a tile's row */
enum { BASE_BITS = 0x4b000000, MOST_RAISED_K = 1024, MOST_RAISED_BIAS = 1 << 24 }; /* see raise_biases */

/* What is not the usual (a bound tighter than int8, multipliers of 1 or more), done beforehand: leaves rounded integers
 * where the sums were. row_bias: of these rows, or NULL. */
static __attribute__((noinline)) void finish_sums(const ert_qgemm_args *args, int32_t *sums, const int32_t *row_bias,
                                                  size_t rows, const float *multipliers, size_t vectors) {
  const __m512 lo = _mm512_set1_ps((float)(args->out_min - args->out_zero));
  const __m512 hi = _mm512_set1_ps((float)(args->out_max - args->out_zero));
  for (size_t r = 0; r < rows; r++) {
    const __m512i bias = _mm512_set1_epi32(row_bias != NULL ? row_bias[r] : 0);
    for (size_t v = 0; v < vectors; v++) {
      int32_t *at = sums + v * TILE_WORDS + r * TILE;
      const __m512 acc = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(at), bias));
      const __m512 y = _mm512_mul_ps(acc, _mm512_load_ps(multipliers + v * TILE));
      _mm512_store_si512(at, _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, lo), hi)));
    }
  }
}

ERT_INLINE void store_row(int8_t *out, __m512i row, uint64_t valid, const int vectors) {
  if (vectors == 4) {
    if (valid == ~UINT64_C(0)) {
      _mm512_storeu_si512(out, row);
    } else {
      _mm512_mask_storeu_epi8(out, valid, row);
    }
  } else if (vectors == 2) {
    if (valid == UINT32_MAX) {
      _mm256_storeu_si256((__m256i *)(void *)out, _mm512_castsi512_si256(row));
    } else {
      _mm256_mask_storeu_epi8(out, (__mmask32)valid, _mm512_castsi512_si256(row));
    }
  } else {
    _mm_mask_storeu_epi8(out, (__mmask16)valid, _mm512_castsi512_si128(row));
  }
}

/* Where outputs are those of a ReLU (out_zero is -128), negative sums matter to nobody, and the others are rounded by
 * fewer instructions: raised by the bits of the float 2^23, a sum from 0 to 2^23 - 1 is, read as a float, 2^23 + sum.
 * That times m less 2^23 * m, which is exact, is the product of the rule, rounded once by the fused instruction. Sums
 * below 0 come out negative too. Those from 2^23 on come out larger than they are: no matter where 2^23 * m is above
 * 255, as long as they are below 2^26, so that products stay in the int32 range. Writes the block's raised biases;
 * false where they would not do. reach: how far sums can get from a bias. */
static bool raise_biases(int32_t reach, const uint8_t *block, size_t vectors, int32_t *raised) {
  __m512i most = _mm512_setzero_si512();
  bool small_multiplier = false;
  for (size_t v = 0; v < vectors; v++) {
    const __m512i bias = _mm512_load_si512(block + v * ROW);
    const __m512 m = _mm512_load_ps((const float *)(const void *)(block + (vectors + v) * ROW));
    most = _mm512_max_epu32(most, _mm512_abs_epi32(bias));
    const __mmask16 small = _mm512_cmp_ps_mask(m, _mm512_set1_ps(0x1p-15f), _CMP_LT_OQ);
    small_multiplier = small_multiplier || _mm512_mask_cmp_ps_mask(small, m, _mm512_setzero_ps(), _CMP_NEQ_OQ) != 0;
    _mm512_store_si512(raised + v * TILE, _mm512_add_epi32(bias, _mm512_set1_epi32(BASE_BITS)));
  }
  const uint32_t largest = _mm512_reduce_max_epu32(most);
  return largest <= MOST_RAISED_BIAS && (!small_multiplier || largest + (uint32_t)reach < UINT32_C(1) << 23);
}

/* Rounds `rows` rows of a tile of rows, 64 outputs at a time; the last row fills up. Packing with saturation is the
 * only bound that is left: a product below the int32 range converts to INT32_MIN, and none is above. */
ERT_INLINE void round_rows(const int32_t *sums, const bool raised, const bool biased, const int32_t *row_bias,
                           size_t rows, const __m512 *multiplier, __m512i zero, uint64_t valid, int8_t *out,
                           size_t out_stride, const int vectors) {
  const size_t together = SUMS / (size_t)vectors;
  __m512 base[SUMS];
  ERT_UNROLL for (int v = 0; v < vectors; v++) base[v] = _mm512_mul_ps(multiplier[v], _mm512_set1_ps(0x1p23f));
  for (size_t r = 0; r < rows; r += together, out += together * out_stride) {
    __m512i q[SUMS];
    ERT_UNROLL for (int i = 0; i < SUMS; i++) {
      const size_t row = together == 1 ? r : ert_min_size(r + (size_t)(i / vectors), rows - 1);
      __m512i acc = _mm512_load_si512(sums + i % vectors * TILE_WORDS + row * TILE);
      if (biased) acc = _mm512_add_epi32(acc, _mm512_set1_epi32(row_bias[row]));
      const __m512 m = multiplier[i % vectors];
      q[i] = _mm512_cvtps_epi32(raised ? _mm512_fmsub_ps(_mm512_castsi512_ps(acc), m, base[i % vectors])
                                       : _mm512_mul_ps(_mm512_cvtepi32_ps(acc), m));
    }
    const __m512i low = _mm512_packs_epi32(q[0], q[1]), high = _mm512_packs_epi32(q[2], q[3]);
    __m512i all;
    if (raised) { /* from 0 to 255 */
      all = _mm512_xor_si512(_mm512_packus_epi16(low, high), _mm512_set1_epi8(INT8_MIN));
    } else {
      all = _mm512_packs_epi16(_mm512_adds_epi16(low, zero), _mm512_adds_epi16(high, zero));
    }
    if (vectors == 4) {
      store_row(out, all, valid, 4);
    } else if (vectors == 2) {
      all = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), all);
      store_row(out, all, valid, 2);
      if (r + 1 < rows) store_row(out + out_stride, _mm512_shuffle_i64x2(all, all, 0x0e), valid, 2);
    } else {
      const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      all = _mm512_permutexvar_epi32(order, all);
      store_row(out, all, valid, 1);
      if (r + 1 < rows) store_row(out + out_stride, _mm512_shuffle_i32x4(all, all, 1), valid, 1);
      if (r + 2 < rows) store_row(out + 2 * out_stride, _mm512_shuffle_i32x4(all, all, 2), valid, 1);
      if (r + 3 < rows) store_row(out + 3 * out_stride, _mm512_shuffle_i32x4(all, all, 3), valid, 1);
    }
  }
}

#endif
