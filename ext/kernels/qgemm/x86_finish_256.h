/* The end of a tile of 16 channels in two 256-bit vectors, or of 8 in one, for x86_dot4.h and x86_madd.h. */
#ifndef ERT_KERNELS_QGEMM_X86_FINISH_256_H
#define ERT_KERNELS_QGEMM_X86_FINISH_256_H

#include <immintrin.h>

#include "kernels/partial_x86.h"
#include "kernels/qgemm/x86_tiles.h"
#include "requant/requant_avx2.h"

typedef struct finish {
  ert_requant_avx2 rule;
  __m256 multiplier[2];
  int8_t *out;
  size_t out_stride, channels;
} finish;

ERT_INLINE finish make_finish(const ert_qgemm_tile *tile, int vectors) {
  const float *multiplier = (const float *)(const void *)(tile->block + vectors * (int)sizeof(__m256));
  return (finish){ert_requant_avx2_init(tile->args->out_zero, tile->args->out_min, tile->args->out_max,
                                        tile->args->wide),
                  {_mm256_loadu_ps(multiplier), _mm256_loadu_ps(multiplier + 8 * (vectors - 1))},
                  tile->out,
                  tile->out_stride,
                  tile->channels};
}

ERT_INLINE void store_8(int8_t *to, __m128i v, size_t bytes) {
  if (bytes == 8) {
    _mm_storel_epi64((__m128i *)(void *)to, v);
  } else {
    ert_store_some(to, v, bytes);
  }
}
ERT_INLINE void store_16(int8_t *to, __m128i v, size_t bytes) {
  if (bytes == 16) {
    _mm_storeu_si128((__m128i *)(void *)to, v);
  } else {
    ert_store_some(to, v, bytes);
  }
}

/* One vector a row: four rows share what follows the rounding. */
ERT_INLINE void store_rows_of_8(const finish *f, const __m256i *acc, int row_step, int rows) {
  int8_t *out = f->out;
  ERT_UNROLL for (int r = 0; r < rows; r += 4) {
    __m256i q[4];
    ERT_UNROLL for (int i = 0; i < 4; i++) {
      q[i] = r + i < rows ? ert_requant_avx2_round(acc[(r + i) * row_step], f->multiplier[0], &f->rule) : q[0];
    }
    const __m256i four = ert_requant_avx2_4x8(q[0], q[1], q[2], q[3], &f->rule);
    const __m128i two[2] = {_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1)};
    ERT_UNROLL for (int i = 0; i < 4; i++, out += f->out_stride) {
      if (r + i >= rows) break;
      store_8(out, i % 2 == 0 ? two[i / 2] : _mm_unpackhi_epi64(two[i / 2], two[i / 2]), f->channels);
    }
  }
}

ERT_INLINE void store_tile(const finish *f, const __m256i *acc, int row_step, int rows, int vectors) {
  if (vectors == 1) {
    store_rows_of_8(f, acc, row_step, rows);
    return;
  }
  int8_t *out = f->out;
  ERT_UNROLL for (int r = 0; r + 2 <= rows; r += 2, out += 2 * f->out_stride) {
    __m256i q[4];
    ERT_UNROLL for (int i = 0; i < 4; i++) {
      q[i] = ert_requant_avx2_round(acc[(r + i / 2) * row_step + i % 2], f->multiplier[i % 2], &f->rule);
    }
    const __m256i two = ert_requant_avx2_2x16(q[0], q[1], q[2], q[3], &f->rule);
    store_16(out, _mm256_castsi256_si128(two), f->channels);
    store_16(out + f->out_stride, _mm256_extracti128_si256(two, 1), f->channels);
  }
  if (rows % 2 != 0) {
    const __m256i *last = acc + (rows - 1) * row_step;
    const __m128i q = ert_requant_avx2_x16(last[0], f->multiplier[0], last[1], f->multiplier[1], &f->rule);
    store_16(out, q, f->channels);
  }
}

/* The order in which ert_requant_avx2_x16 and _2x16 pack. */
static const uint8_t LANE_CHANNEL[] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};

#endif
