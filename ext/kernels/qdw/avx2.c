#include <immintrin.h>
#include <stdbool.h>

#include "base/inline.h"
#include "kernels/partial_x86.h"
#include "kernels/qdw/qdw.h"
#include "requant/requant_avx2.h"

enum { NR = 16 };
typedef __m256i vec;
typedef ert_requant_avx2 rule;

static inline vec load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vec fetch(const int8_t *p, size_t channels, bool full) {
  return _mm256_cvtepi8_epi16(full ? _mm_loadu_si128((const __m128i *)(const void *)p) : ert_load_some(p, channels));
}
static inline vec zip_low(vec a, vec b) { return _mm256_unpacklo_epi16(a, b); }
static inline vec zip_high(vec a, vec b) { return _mm256_unpackhi_epi16(a, b); }
static inline rule make_rule(const ert_qdw_args *args) {
  return ert_requant_avx2_init(args->out_zero, args->out_min, args->out_max, args->wide);
}
static inline void store(int8_t *p, vec acc0, vec acc1, const uint8_t *multiplier, const rule *r, size_t channels,
                         bool full) {
  const float *m = (const float *)(const void *)multiplier;
  const __m128i q = ert_requant_avx2_x16(acc0, _mm256_loadu_ps(m), acc1, _mm256_loadu_ps(m + 8), r);
  if (full) {
    _mm_storeu_si128((__m128i *)(void *)p, q);
  } else {
    ert_store_some(p, q, channels);
  }
}

/* The order that zip_low and zip_high make and ert_requant_avx2_x16 undoes. */
static const uint8_t LANE_CHANNEL[NR] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};

static inline vec madd_add(vec acc, vec x, vec w) {
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
  __asm__("" : "+x"(acc)); /* or GCC adds products to each other first, for which registers do not suffice */
  return acc;
}

#include "kernels/qdw/x86_pairs.h"

const ert_qdw_kernel ert_qdw_avx2_16_3x3 = {
    .name = "qdw_avx2_16_3x3", .isa = ERT_ISA_AVX2, .nr = NR, .tap_group = 2, .slots = sizeof SLOTS_3X3,
    .slot_tap = SLOTS_3X3, .kernel_h = 3, .kernel_w = 3, .lane_channel = LANE_CHANNEL, .run = run_3x3};
