#include "kernels/qdw/x86_256.h"

/* The test of this file runs it with the AVX-512 encoding of the same instruction, where a processor lacks this one. */
#ifndef ERT_VNNI_ENCODING
#define ERT_VNNI_ENCODING "%{vex%} "
#endif

static inline vec madd_add(vec acc, vec x, vec w) {
  __asm__(ERT_VNNI_ENCODING "vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(x), "x" ERT_OR_MEMORY(w));
  return acc;
}

#include "kernels/qdw/x86_pairs.h"

const ert_qdw_kernel ert_qdw_avxvnni_16_3x3 = {
    .name = "qdw_avxvnni_16_3x3", .isa = ERT_ISA_AVXVNNI, .nr = NR, .tap_group = 2, .slots = sizeof SLOTS_3X3,
    .slot_tap = SLOTS_3X3, .kernel_h = 3, .kernel_w = 3, .lane_channel = LANE_CHANNEL, .run = run_3x3};

static inline __m256i columns_fetch(const int8_t *p, size_t channels, bool full) {
  if (full) return _mm256_loadu_si256((const __m256i *)(const void *)p);
  if (channels <= 16) return _mm256_zextsi128_si256(ert_load_up_to_16(p, channels));
  return _mm256_setr_m128i(_mm_loadu_si128((const __m128i *)(const void *)p), ert_load_up_to_16(p + 16, channels - 16));
}
static inline void columns_store(int8_t *p, __m256i q, size_t channels, bool full) {
  if (full) {
    _mm256_storeu_si256((__m256i *)(void *)p, q);
    return;
  }
  ert_store_up_to_16(p, _mm256_castsi256_si128(q), channels);
  if (channels > 16) ert_store_up_to_16(p + 16, _mm256_extracti128_si256(q, 1), channels - 16);
}
static inline __m256i columns_dot4(__m256i acc, __m256i x, __m256i w) {
  __asm__(ERT_VNNI_ENCODING "vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x" ERT_OR_MEMORY(w));
  return acc;
}

#include "kernels/qdw/x86_columns.h"

const ert_qdw_kernel ert_qdw_avxvnni_32_3x3_int8 = {
    .name = "qdw_avxvnni_32_3x3_int8", .isa = ERT_ISA_AVXVNNI, .nr = COLUMNS_NR, .tap_group = 4,
    .slots = sizeof COLUMNS_SLOTS, .slot_tap = COLUMNS_SLOTS, .kernel_h = 3, .kernel_w = 3, .spare = true, .borders = true, .int8_weights = true,
    .x_offset = 128, .lane_channel = COLUMNS_LANE_CHANNEL, .run = run_columns};
