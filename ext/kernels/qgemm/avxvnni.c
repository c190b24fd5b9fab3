#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* The test of this file runs it with the AVX-512 encoding of the same instruction, where a processor lacks this one. */
#ifndef ERT_VNNI_ENCODING
#define ERT_VNNI_ENCODING "%{vex%} "
#endif

typedef __m256i vec;

static inline vec load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vec splat(uint32_t x) { return _mm256_set1_epi32((int32_t)x); }
static inline vec add(vec a, vec b) { return _mm256_add_epi32(a, b); }
static inline vec flip_sign(vec x) { return _mm256_xor_si256(x, _mm256_set1_epi32((int32_t)0x80808080)); }

/* In place: compilers copy the accumulator around the intrinsic (GCC 12). */
static inline vec dot4(vec acc, vec x, vec w) {
  __asm__(ERT_VNNI_ENCODING "vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(w));
  return acc;
}

#include "kernels/qgemm/x86_finish_256.h"
#include "kernels/qgemm/x86_dot4.h"

TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tile_fn tiles[] = {tile_1_2, tile_2_2, tile_3_2, tile_4_2, tile_5_2, tile_6_2};
  ert_qgemm_walk(args, m, rows, out, out_stride, tiles, 6, 6, 16, dot4_block_bytes(args, 16));
}

const ert_qgemm_kernel ert_qgemm_avxvnni_6x16 = {
    .name = "qgemm_avxvnni_6x16", .isa = ERT_ISA_AVXVNNI, .mr = 6, .nr = 16, .kr = 4, .weight_bytes = 1,
    .x_offset = 128, .tail_last = true, .lane_channel = LANE_CHANNEL, .run = run};
