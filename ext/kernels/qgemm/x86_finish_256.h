/* The end of a tile of 16 channels in two 256-bit vectors, for x86_dot4.h and x86_madd.h. */
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
  return (finish){ert_requant_avx2_init(tile->args->out_zero, tile->args->out_min, tile->args->out_max),
                  {_mm256_loadu_ps(multiplier), _mm256_loadu_ps(multiplier + 8)},
                  tile->out,
                  tile->out_stride,
                  tile->channels};
}

ERT_INLINE void store(const finish *f, int row, const __m256i *acc, int vectors) {
  (void)vectors; /* 2 */
  const __m128i q = ert_requant_avx2_x16(acc[0], f->multiplier[0], acc[1], f->multiplier[1], &f->rule);
  ert_store_up_to_16(f->out + (size_t)row * f->out_stride, q, f->channels);
}

/* The order in which ert_requant_avx2_x16 packs. */
static const uint8_t LANE_CHANNEL[] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};

#endif
