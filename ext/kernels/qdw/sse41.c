#include <smmintrin.h>
#include <stdbool.h>

#include "kernels/partial_x86.h"
#include "kernels/qdw/qdw.h"
#include "requant/requant_sse41.h"

enum { NR = 8 };
typedef __m128i vec;
typedef ert_requant_sse41 rule;

static inline vec load(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline vec fetch(const int8_t *p, size_t channels, bool full) {
  return _mm_cvtepi8_epi16(full ? _mm_loadl_epi64((const __m128i *)(const void *)p) : ert_load_some(p, channels));
}
static inline vec zip_low(vec a, vec b) { return _mm_unpacklo_epi16(a, b); }
static inline vec zip_high(vec a, vec b) { return _mm_unpackhi_epi16(a, b); }
static inline vec madd_add(vec acc, vec x, vec w) {
  acc = _mm_add_epi32(acc, _mm_madd_epi16(x, w));
  __asm__("" : "+x"(acc)); /* or GCC adds products to each other first, for which registers do not suffice */
  return acc;
}
static inline rule make_rule(const ert_qdw_args *args) {
  return ert_requant_sse41_init(args->out_zero, args->out_min, args->out_max);
}
static inline void store(int8_t *p, vec acc0, vec acc1, const uint8_t *multiplier, const rule *r, size_t channels,
                         bool full) {
  const float *m = (const float *)(const void *)multiplier;
  const __m128i q = ert_requant_sse41_x8(acc0, _mm_loadu_ps(m), acc1, _mm_loadu_ps(m + 4), r);
  if (full) {
    _mm_storel_epi64((__m128i *)(void *)p, q);
  } else {
    ert_store_some(p, q, channels);
  }
}

#include "kernels/qdw/x86_pairs.h"
#include "kernels/qdw/x86_pairs_any.h"

const ert_qdw_kernel ert_qdw_sse41_8 = {
    .name = "qdw_sse41_8", .isa = ERT_ISA_SSE41, .nr = NR, .tap_group = 2, .run = run_any};

const ert_qdw_kernel ert_qdw_sse41_8_3x3 = {
    .name = "qdw_sse41_8_3x3", .isa = ERT_ISA_SSE41, .nr = NR, .tap_group = 2, .slots = sizeof SLOTS_3X3,
    .slot_tap = SLOTS_3X3, .kernel_h = 3, .kernel_w = 3, .run = run_3x3};
