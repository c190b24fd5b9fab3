#include <immintrin.h>
#include <stdbool.h>

#include "base/inline.h"
#include "kernels/qdw/qdw.h"
#include "requant/requant_avx2.h"
#include "requant/requant_avx512vnni.h"

/* A packed block: bias'[64], multiplier[64], then for each of two output rows, for each column: weights [64][4]. */
enum { ROWS_NR = 64, ROWS_VECTOR = 64, ROWS_WEIGHTS = 8 * ROWS_NR, ROWS_BLOCK = ROWS_WEIGHTS + 24 * ROWS_NR };

/* The rows of the windows of two output rows, and what stands outside of them. */
typedef struct rows_of_four {
  const int8_t *at[4];
  size_t bytes;    /* that exist of each */
  uint8_t padding; /* x + 128 */
} rows_of_four;

/* One block of channels over the pixels of two output rows. */
typedef struct rows_work {
  const ert_qdw_args *args;
  const uint8_t *block;
  rows_of_four rows; /* at the block's first channel */
  size_t pixels, channels;
  int8_t *out[2];
} rows_work;

/* 64 channels */
typedef __m512i v512;
static inline v512 load_512(const void *p) { return _mm512_load_si512(p); }
static inline v512 fetch_512(const int8_t *p, size_t n, bool full) {
  return full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(~UINT64_C(0) >> (64 - n), p);
}
static inline void save_512(int8_t *p, v512 v, size_t n, bool full) {
  if (full) {
    _mm512_storeu_si512(p, v);
  } else {
    _mm512_mask_storeu_epi8(p, ~UINT64_C(0) >> (64 - n), v);
  }
}
static inline v512 dot4_512(v512 acc, v512 x, v512 w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v" ERT_OR_MEMORY(w));
  return acc;
}

#define vec v512
#define rule ert_requant_avx512
#define ROWS(name) name##_512
#define load load_512
#define fetch fetch_512
#define save save_512
#define splat(byte) _mm512_set1_epi8((char)(byte))
#define turn(x) _mm512_xor_si512(x, _mm512_set1_epi8(-128))
#define low8 _mm512_unpacklo_epi8
#define high8 _mm512_unpackhi_epi8
#define low16 _mm512_unpacklo_epi16
#define high16 _mm512_unpackhi_epi16
#define dot4 dot4_512
#define make_rule(a, wide) ert_requant_avx512_init((a)->out_zero, (a)->out_min, (a)->out_max, wide)
#define round(acc, m, r) ert_requant_avx512_round(acc, _mm512_load_ps(m), r)
#define finish ert_requant_avx512_x64
#include "kernels/qdw/x86_rows.h"
#undef vec
#undef rule
#undef ROWS
#undef load
#undef fetch
#undef save
#undef splat
#undef turn
#undef low8
#undef high8
#undef low16
#undef high16
#undef dot4
#undef make_rule
#undef round
#undef finish

/* 32 channels and fewer */
typedef __m256i v256;
static inline v256 load_256(const void *p) { return _mm256_load_si256((const __m256i *)p); }
static inline v256 fetch_256(const int8_t *p, size_t n, bool full) {
  return full ? _mm256_loadu_si256((const __m256i *)(const void *)p)
              : _mm256_maskz_loadu_epi8(~UINT32_C(0) >> (32 - n), p);
}
static inline void save_256(int8_t *p, v256 v, size_t n, bool full) {
  if (full) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
  } else {
    _mm256_mask_storeu_epi8(p, ~UINT32_C(0) >> (32 - n), v);
  }
}
static inline v256 dot4_256(v256 acc, v256 x, v256 w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v" ERT_OR_MEMORY(w));
  return acc;
}

#define vec v256
#define rule ert_requant_avx2
#define ROWS(name) name##_256
#define load load_256
#define fetch fetch_256
#define save save_256
#define splat(byte) _mm256_set1_epi8((char)(byte))
#define turn(x) _mm256_xor_si256(x, _mm256_set1_epi8(-128))
#define low8 _mm256_unpacklo_epi8
#define high8 _mm256_unpackhi_epi8
#define low16 _mm256_unpacklo_epi16
#define high16 _mm256_unpackhi_epi16
#define dot4 dot4_256
#define make_rule(a, wide) ert_requant_avx2_init((a)->out_zero, (a)->out_min, (a)->out_max, wide)
#define round(acc, m, r) ert_requant_avx2_round(acc, _mm256_load_ps((const float *)(const void *)(m)), r)
#define finish ert_requant_avx2_x32
#include "kernels/qdw/x86_rows.h"

/* Few channels: a row counts as one pixel with pixels * channels channels, as in x86_blocks.h. */
static void run(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  const bool two = args->out_rows == 2;
  const bool together = args->channels <= ROWS_NR / 4 && ROWS_NR % args->channels == 0 && args->row_bytes == 0;
  const size_t channels = together ? pixels * args->channels : args->channels;
  rows_work b = {.args = args, .block = args->weights, .pixels = together ? 1 : pixels,
                 .rows = {.bytes = args->row_bytes != 0 ? args->row_bytes : SIZE_MAX,
                          .padding = (uint8_t)(args->padding ^ -128)}};
  for (size_t c = 0; c < channels; c += b.channels, b.block += together ? 0 : ROWS_BLOCK) {
    const size_t left = channels - c;
    b.channels = left < ROWS_NR ? left : ROWS_NR;
    for (size_t i = 0; i < 4; i++) b.rows.at[i] = rows[i < 3 || two ? i : 2] + c;
    b.out[0] = out + c;
    b.out[1] = out + args->out_row_bytes + c;
    if (left <= 32) {
      (!two ? one_any_256 : args->wide || left != 32 ? two_any_256 : two_full_256)(&b);
    } else {
      (!two ? one_any_512 : args->wide || left < 64 ? two_any_512 : two_full_512)(&b);
    }
  }
}

/* Taps of the upper output row, then of the lower one, a row further down. */
#define NONE ERT_QDW_NO_TAP
static const uint8_t SLOTS[24] = {0,    3, 6, NONE, 1,    4, 7, NONE, 2,    5, 8, NONE,
                                  NONE, 0, 3, 6,    NONE, 1, 4, 7,    NONE, 2, 5, 8};

#define FOUR(c) c, c + 1, c + 2, c + 3
#define EACH_16(c) FOUR(c), FOUR(c + 16), FOUR(c + 32), FOUR(c + 48)
static const uint8_t LANE_CHANNEL[ROWS_NR] = {EACH_16(0), EACH_16(4), EACH_16(8), EACH_16(12)};

const ert_qdw_kernel ert_qdw_avx512vnni_rows_3x3 = {
    .name = "qdw_avx512vnni_rows_3x3", .isa = ERT_ISA_AVX512VNNI, .nr = ROWS_NR, .tap_group = 4, .slots = sizeof SLOTS,
    .slot_tap = SLOTS, .kernel_h = 3, .kernel_w = 3, .out_rows = 2, .borders = true, .int8_weights = true,
    .x_offset = 128, .lane_channel = LANE_CHANNEL, .run = run};
