#include <immintrin.h>
#include <stdbool.h>

#include "base/inline.h"
#include "kernels/partial_x86.h"
#include "kernels/qdw/qdw.h"

/* The test of this file runs it with the AVX-512 encoding of the same instruction, where a processor lacks this one. */
#ifndef ERT_VNNI_ENCODING
#define ERT_VNNI_ENCODING "%{vex%} "
#endif

static __attribute__((noinline)) __m256i load_some(const int8_t *p, size_t channels) {
  if (channels <= 16) return _mm256_zextsi128_si256(ert_load_up_to_16(p, channels));
  return _mm256_setr_m128i(_mm_loadu_si128((const __m128i *)(const void *)p), ert_load_up_to_16(p + 16, channels - 16));
}
static inline __m256i columns_fetch(const int8_t *p, size_t channels, bool full) {
  return full ? _mm256_loadu_si256((const __m256i *)(const void *)p) : load_some(p, channels);
}
static inline void columns_store(int8_t *p, __m256i q, size_t channels, bool full) {
  if (full) {
    _mm256_storeu_si256((__m256i *)(void *)p, q);
    return;
  }
  ert_store_some(p, _mm256_castsi256_si128(q), channels);
  if (channels > 16) ert_store_some(p + 16, _mm256_extracti128_si256(q, 1), channels - 16);
}
static inline __m256i columns_dot4(__m256i acc, __m256i x, __m256i w) {
  __asm__(ERT_VNNI_ENCODING "vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x" ERT_OR_MEMORY(w));
  return acc;
}

#include "kernels/qdw/x86_columns.h"

const ert_qdw_kernel ert_qdw_avxvnni_32_3x3_int8 = {
    .name = "qdw_avxvnni_32_3x3_int8", .isa = ERT_ISA_AVXVNNI, .nr = COLUMNS_NR, .tap_group = 4,
    .slots = sizeof COLUMNS_SLOTS, .slot_tap = COLUMNS_SLOTS, .kernel_h = 3, .kernel_w = 3, .spare = true,
    .borders = true, .int8_weights = true, .x_offset = 128, .lane_channel = COLUMNS_LANE_CHANNEL, .run = run_columns};
