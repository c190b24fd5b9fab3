/* Loads and stores of fewer bytes than a vector has, without touching the bytes beyond. */
#ifndef ERT_KERNELS_PARTIAL_X86_H
#define ERT_KERNELS_PARTIAL_X86_H

#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 1 to 3 bytes, zero-extended. For 1 and 2 bytes some are read twice, which does no harm to an OR. */
static inline uint32_t ert_load_below_4(const void *from, size_t bytes) {
  const uint8_t *p = (const uint8_t *)from;
  const size_t middle = bytes / 2, last = bytes - 1;
  return p[0] | (uint32_t)p[middle] << (8 * middle) | (uint32_t)p[last] << (8 * last);
}

/* 1 to 7 bytes, zero-extended. */
static inline uint64_t ert_load_below_8(const void *from, size_t bytes) {
  const uint8_t *p = (const uint8_t *)from;
  if (bytes < 4) return ert_load_below_4(p, bytes);
  uint32_t first, last;
  memcpy(&first, p, 4);
  memcpy(&last, p + bytes - 4, 4);
  return first | (uint64_t)last << (8 * (bytes - 4)); /* where both overlap they agree */
}

/* 0 to 16 bytes, zero-extended. */
static inline __m128i ert_load_up_to_16(const void *from, size_t bytes) {
  const uint8_t *p = (const uint8_t *)from;
  if (bytes >= 16) return _mm_loadu_si128((const __m128i *)(const void *)p);
  if (bytes == 0) return _mm_setzero_si128();
  if (bytes < 8) return _mm_cvtsi64_si128((int64_t)ert_load_below_8(p, bytes));
  const __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)p);
  if (bytes == 8) return low;
  return _mm_unpacklo_epi64(low, _mm_cvtsi64_si128((int64_t)ert_load_below_8(p + 8, bytes - 8)));
}

/* The lower 0 to 16 bytes of v. */
static inline void ert_store_up_to_16(void *to, __m128i v, size_t bytes) {
  uint8_t *p = (uint8_t *)to;
  if (bytes >= 16) {
    _mm_storeu_si128((__m128i *)(void *)p, v);
    return;
  }
  if (bytes & 8) {
    _mm_storel_epi64((__m128i *)(void *)p, v);
    v = _mm_srli_si128(v, 8);
    p += 8;
  }
  if (bytes & 4) {
    const uint32_t part = (uint32_t)_mm_cvtsi128_si32(v);
    memcpy(p, &part, 4);
    v = _mm_srli_si128(v, 4);
    p += 4;
  }
  if (bytes & 2) {
    const uint16_t part = (uint16_t)_mm_cvtsi128_si32(v);
    memcpy(p, &part, 2);
    v = _mm_srli_si128(v, 2);
    p += 2;
  }
  if (bytes & 1) *p = (uint8_t)_mm_cvtsi128_si32(v);
}

/* The same two as functions: inline for every vector of a kernel they would be most of its code. */
static __attribute__((noinline, unused)) __m128i ert_load_some(const void *from, size_t bytes) {
  return ert_load_up_to_16(from, bytes);
}

static __attribute__((noinline, unused)) void ert_store_some(void *to, __m128i v, size_t bytes) {
  ert_store_up_to_16(to, v, bytes);
}

#endif
