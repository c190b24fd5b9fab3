/* Eight channels: half a vector of 512 bits would be padding. */
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/qgemm/x86_tiles.h"
#include "requant/requant_avx2.h"

typedef __m256i vec;

static inline vec load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vec splat(uint32_t x) { return _mm256_set1_epi32((int32_t)x); }
static inline vec add(vec a, vec b) { return _mm256_add_epi32(a, b); }
static inline vec flip_sign(vec x) { return _mm256_xor_si256(x, _mm256_set1_epi32((int32_t)0x80808080)); }

/* In place: compilers copy the accumulator around the intrinsic (GCC 12). */
static inline vec dot4(vec acc, vec x, vec w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
  return acc;
}

typedef struct finish {
  ert_requant_avx2 rule;
  __m256 multiplier;
  int8_t *out;
  size_t out_stride;
  __mmask16 valid; /* a bit for every channel */
} finish;

ERT_INLINE finish make_finish(const ert_qgemm_tile *tile, int vectors) {
  (void)vectors; /* 1 */
  return (finish){ert_requant_avx2_init(tile->args->out_zero, tile->args->out_min, tile->args->out_max, tile->args->wide),
                  _mm256_loadu_ps((const float *)(const void *)(tile->block + sizeof(vec))), tile->out, tile->out_stride,
                  (__mmask16)(0xff >> (8 - tile->channels))};
}

ERT_INLINE void store_tile(const finish *f, const vec *acc, int row_step, int rows, int vectors) {
  (void)vectors;
  int8_t *out = f->out;
  ERT_UNROLL for (int r = 0; r < rows; r += 4) {
    vec q[4];
    ERT_UNROLL for (int i = 0; i < 4; i++) { /* the last row fills up */
      q[i] = ert_requant_avx2_round(acc[(r + i < rows ? r + i : rows - 1) * row_step], f->multiplier, &f->rule);
    }
    const vec four = ert_requant_avx2_4x8(q[0], q[1], q[2], q[3], &f->rule);
    const __m128i low = _mm256_castsi256_si128(four), high = _mm256_extracti128_si256(four, 1);
    _mm_mask_storeu_epi8(out, f->valid, low);
    if (r + 1 < rows) _mm_mask_storeu_epi8(out + f->out_stride, f->valid, _mm_unpackhi_epi64(low, low));
    if (r + 2 < rows) _mm_mask_storeu_epi8(out + 2 * f->out_stride, f->valid, high);
    if (r + 3 < rows) _mm_mask_storeu_epi8(out + 3 * f->out_stride, f->valid, _mm_unpackhi_epi64(high, high));
    out += 4 * f->out_stride;
  }
}

#include "kernels/qgemm/x86_dot4.h"

TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(14, 1)

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tile_fn tiles[] = {tile_1_1, tile_2_1, tile_3_1, tile_4_1,
                                            tile_5_1, tile_6_1, tile_7_1, tile_14_1};
  ert_qgemm_walk(args, m, rows, out, out_stride, tiles, 14, MAX_APART, 8, dot4_block_bytes(args, 8));
}

const ert_qgemm_kernel ert_qgemm_avx512vnni_14x8 = {
    .name = "qgemm_avx512vnni_14x8", .isa = ERT_ISA_AVX512VNNI, .mr = 14, .nr = 8, .kr = 4, .weight_bytes = 1,
    .x_offset = 128, .tail_last = true, .run = run};
