/* Vectors of 512 bits, and the end of their tiles, for x86_dot4.h. */
#ifndef ERT_KERNELS_QGEMM_X86_512_H
#define ERT_KERNELS_QGEMM_X86_512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/qgemm/x86_tiles.h"
#include "requant/requant_avx512vnni.h"

typedef __m512i vec;

static inline vec load(const void *p) { return _mm512_loadu_si512(p); }
static inline vec splat(uint32_t x) { return _mm512_set1_epi32((int32_t)x); }
static inline vec add(vec a, vec b) { return _mm512_add_epi32(a, b); }
static inline vec flip_sign(vec x) { return _mm512_xor_si512(x, _mm512_set1_epi32((int32_t)0x80808080)); }

/* In place: compilers copy the accumulator around the intrinsic (GCC 12). */
static inline vec dot4(vec acc, vec x, vec w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
  return acc;
}

typedef struct finish {
  const ert_qgemm_tile *tile;
  ert_requant_avx512 rule;
  __m512 multiplier[4];
  int8_t *out;
  size_t out_stride;
  uint64_t valid; /* a bit for every channel */
} finish;

ERT_INLINE finish make_finish(const ert_qgemm_tile *tile, int vectors) {
  finish f = {.tile = tile,
              .rule = ert_requant_avx512_init(tile->args->out_zero, tile->args->out_min, tile->args->out_max,
                                              tile->args->wide),
              .out = tile->out,
              .out_stride = tile->out_stride,
              .valid = ~UINT64_C(0) >> (64 - tile->channels)};
  ERT_UNROLL for (int v = 0; v < vectors; v++) {
    f.multiplier[v] = _mm512_loadu_ps((const float *)(tile->block + (vectors + v) * (int)sizeof(vec)));
  }
  return f;
}

/* `wide` is a constant wherever this is expanded: a branch for every vector would cost more than the bound. */
ERT_INLINE void store_rows(const finish *f, const vec *acc, int row_step, int rows, int vectors, bool wide) {
  const int together = 4 / vectors; /* rows that share a vector of bytes */
  ert_requant_avx512 rule = f->rule;
  rule.wide = wide;
  int8_t *out = f->out;
  ERT_UNROLL for (int r = 0; r < rows; r += together) {
    vec q[4];
    ERT_UNROLL for (int i = 0; i < 4; i++) {
      const int row = r + i / vectors < rows ? r + i / vectors : rows - 1; /* the last rows fill up */
      q[i] = ert_requant_avx512_round(acc[row * row_step + i % vectors], f->multiplier[i % vectors], &rule);
    }
    if (vectors == 4) {
      _mm512_mask_storeu_epi8(out, f->valid, ert_requant_avx512_x64(q[0], q[1], q[2], q[3], &rule));
    } else if (vectors == 2 && r + 1 == rows) {
      _mm256_mask_storeu_epi8(out, (__mmask32)f->valid, ert_requant_avx512_x32(q[0], q[1], &rule));
    } else if (vectors == 2) {
      const vec two = ert_requant_avx512_2x32(q[0], q[1], q[2], q[3], &rule);
      _mm256_mask_storeu_epi8(out, (__mmask32)f->valid, _mm512_castsi512_si256(two));
      _mm256_mask_storeu_epi8(out + f->out_stride, (__mmask32)f->valid, _mm512_extracti64x4_epi64(two, 1));
    } else {
      const vec four = ert_requant_avx512_4x16(q[0], q[1], q[2], q[3], &rule);
      const __mmask16 valid = (__mmask16)f->valid;
      _mm_mask_storeu_epi8(out, valid, _mm512_castsi512_si128(four));
      if (r + 1 < rows) _mm_mask_storeu_epi8(out + f->out_stride, valid, _mm512_extracti32x4_epi32(four, 1));
      if (r + 2 < rows) _mm_mask_storeu_epi8(out + 2 * f->out_stride, valid, _mm512_extracti32x4_epi32(four, 2));
      if (r + 3 < rows) _mm_mask_storeu_epi8(out + 3 * f->out_stride, valid, _mm512_extracti32x4_epi32(four, 3));
    }
    out += (size_t)together * f->out_stride;
  }
}

/* Row by row, from memory: rare, and so not expanded in every tile. */
static __attribute__((noinline)) void store_wide(const ert_qgemm_tile *tile, const vec *acc, int rows, int vectors) {
  finish row = make_finish(tile, vectors);
  for (int r = 0; r < rows; r++, row.out += row.out_stride, acc += vectors) {
    if (vectors == 4) {
      store_rows(&row, acc, 4, 1, 4, true);
    } else if (vectors == 2) {
      store_rows(&row, acc, 2, 1, 2, true);
    } else {
      store_rows(&row, acc, 1, 1, 1, true);
    }
  }
}

ERT_INLINE void store_tile(const finish *f, const vec *acc, int row_step, int rows, int vectors) {
  if (__builtin_expect(f->rule.wide, 0)) {
    vec apart[14 * 2]; /* of the largest tile; with the address of acc taken, all would lie in memory */
    ERT_UNROLL for (int r = 0; r < rows; r++) {
      ERT_UNROLL for (int v = 0; v < vectors; v++) apart[r * vectors + v] = acc[r * row_step + v];
    }
    store_wide(f->tile, apart, rows, vectors);
    return;
  }
  store_rows(f, acc, row_step, rows, vectors, false);
}

/* Channel of each lane: the order in which ert_requant_avx512_x32 (_2x32) and _x64 pack. */
#define FOUR(c) c, c + 1, c + 2, c + 3
#define PAIR(c) FOUR(c), FOUR(c + 8), FOUR(c + 16), FOUR(c + 24)
#define QUAD(c) FOUR(c), FOUR(c + 16), FOUR(c + 32), FOUR(c + 48)
static const uint8_t LANES_OF_2[] = {PAIR(0), PAIR(4)};
static const uint8_t LANES_OF_4[] = {QUAD(0), QUAD(4), QUAD(8), QUAD(12)};

#define TILES_14(vectors)                                                                                          \
  tile_1_##vectors, tile_2_##vectors, tile_3_##vectors, tile_4_##vectors, tile_5_##vectors, tile_6_##vectors,      \
      tile_7_##vectors, tile_14_##vectors
#define TILES_6(vectors)                                                                                           \
  tile_1_##vectors, tile_2_##vectors, tile_3_##vectors, tile_4_##vectors, tile_5_##vectors, tile_6_##vectors

/* The kernel of tiles of up to `rows` rows by `vectors` vectors. */
#define KERNEL(kernel, rows, vectors, lanes, ...)                                                                   \
  static void run_##kernel(const ert_qgemm_args *args, size_t m, const int8_t *const *x, int8_t *out,                \
                           size_t out_stride) {                                                                     \
    static const ert_qgemm_tile_fn tiles[] = {TILES_##rows(vectors)};                                               \
    const size_t apart = rows < MAX_APART ? rows : MAX_APART;                                                       \
    ert_qgemm_walk(args, m, x, out, out_stride, tiles, rows, apart, 16 * vectors,                                   \
                   dot4_block_bytes(args, 16 * vectors));                                                           \
  }                                                                                                                 \
  const ert_qgemm_kernel ert_qgemm_avx512vnni_##kernel = {                                                          \
      .name = "qgemm_avx512vnni_" #kernel, .isa = ERT_ISA_AVX512VNNI, .mr = rows, .nr = 16 * vectors, .kr = 4,      \
      .weight_bytes = 1, .tail_last = true, .lane_channel = lanes, .run = run_##kernel, __VA_ARGS__};

#endif
