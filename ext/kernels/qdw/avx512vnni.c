#include <immintrin.h>
#include <stdbool.h>

#include "base/inline.h"
#include "kernels/qdw/qdw.h"
#include "requant/requant_avx512vnni.h"

enum { NR = 32 };
typedef __m512i vec;
typedef ert_requant_avx512 rule;

static inline vec load(const void *p) { return _mm512_loadu_si512(p); }
static inline __mmask32 mask(size_t channels) { return (__mmask32)(~UINT32_C(0) >> (32 - channels)); }
static inline vec fetch(const int8_t *p, size_t channels, bool full) {
  return _mm512_cvtepi8_epi16(full ? _mm256_loadu_si256((const __m256i *)(const void *)p)
                                   : _mm256_maskz_loadu_epi8(mask(channels), p));
}
static inline vec zip_low(vec a, vec b) { return _mm512_unpacklo_epi16(a, b); }
static inline vec zip_high(vec a, vec b) { return _mm512_unpackhi_epi16(a, b); }
static inline vec madd_add(vec acc, vec x, vec w) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v" ERT_OR_MEMORY(w));
  return acc;
}
static inline rule make_rule(const ert_qdw_args *args) {
  return ert_requant_avx512_init(args->out_zero, args->out_min, args->out_max, args->wide);
}
static inline void store(int8_t *p, vec acc0, vec acc1, const uint8_t *multiplier, const rule *r, size_t channels,
                         bool full) {
  const float *m = (const float *)(const void *)multiplier;
  const vec q0 = ert_requant_avx512_round(acc0, _mm512_loadu_ps(m), r);
  const vec q1 = ert_requant_avx512_round(acc1, _mm512_loadu_ps(m + 16), r);
  const __m256i q = ert_requant_avx512_x32(q0, q1, r);
  if (full) {
    _mm256_storeu_si256((__m256i *)(void *)p, q);
  } else {
    _mm256_mask_storeu_epi8(p, mask(channels), q);
  }
}

#include "kernels/qdw/x86_pairs.h"
#include "kernels/qdw/x86_pairs_any.h"

/* The order that zip_low and zip_high make and ert_requant_avx512_x32 undoes. */
#define FOUR(c) c, c + 1, c + 2, c + 3
#define HALF(c) FOUR(c), FOUR(c + 8), FOUR(c + 16), FOUR(c + 24)
static const uint8_t LANE_CHANNEL[NR] = {HALF(0), HALF(4)};

const ert_qdw_kernel ert_qdw_avx512vnni_32 = {
    .name = "qdw_avx512vnni_32", .isa = ERT_ISA_AVX512VNNI, .nr = NR, .tap_group = 2, .lane_channel = LANE_CHANNEL,
    .run = run_any};

const ert_qdw_kernel ert_qdw_avx512vnni_32_3x3 = {
    .name = "qdw_avx512vnni_32_3x3", .isa = ERT_ISA_AVX512VNNI, .nr = NR, .tap_group = 2, .slots = sizeof SLOTS_3X3,
    .slot_tap = SLOTS_3X3, .kernel_h = 3, .kernel_w = 3, .lane_channel = LANE_CHANNEL, .run = run_3x3};

static inline __m256i columns_fetch(const int8_t *p, size_t channels, bool full) {
  return full ? _mm256_loadu_si256((const __m256i *)(const void *)p) : _mm256_maskz_loadu_epi8(mask(channels), p);
}
static inline void columns_store(int8_t *p, __m256i q, size_t channels, bool full) {
  if (full) {
    _mm256_storeu_si256((__m256i *)(void *)p, q);
  } else {
    _mm256_mask_storeu_epi8(p, mask(channels), q);
  }
}
static inline __m256i columns_dot4(__m256i acc, __m256i x, __m256i w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v" ERT_OR_MEMORY(w));
  return acc;
}

#include "kernels/qdw/x86_columns.h"

const ert_qdw_kernel ert_qdw_avx512vnni_32_3x3_int8 = {
    .name = "qdw_avx512vnni_32_3x3_int8", .isa = ERT_ISA_AVX512VNNI, .nr = COLUMNS_NR, .tap_group = 4,
    .slots = sizeof COLUMNS_SLOTS, .slot_tap = COLUMNS_SLOTS, .kernel_h = 3, .kernel_w = 3, .spare = true, .borders = true, .int8_weights = true,
    .x_offset = 128, .lane_channel = COLUMNS_LANE_CHANNEL, .run = run_columns};
