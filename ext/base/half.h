/* IEEE 754 binary16 in software: compilers and processors of our targets differ in what they offer. */
#ifndef ERT_BASE_HALF_H
#define ERT_BASE_HALF_H

#include <stdint.h>
#include <string.h>

/* Exact. Without branches: weights come in millions, and loops become vectors. */
static inline float ert_half_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu, rebias = (127u - 15u) << 23;
  const float small = (float)(int32_t)magnitude * 0x1p-24f; /* zero, subnormal: a multiple of 2^-24 */
  const uint32_t is_normal = 0u - (magnitude >= 0x400u), is_special = 0u - (magnitude >= 0x7c00u); /* infinity, NaN */
  uint32_t bits;
  memcpy(&bits, &small, sizeof bits);
  bits = (((magnitude << 13) + rebias) & is_normal) + (bits & ~is_normal) + (rebias & is_special);
  bits |= sign;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* To nearest, ties to even; beyond 65504 to infinity as IEEE 754 has it. */
static inline uint16_t ert_float_to_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu)); /* NaN stays quiet */
  if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);                            /* 65536 and beyond */
  if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 rounds to the multiple of 2^-24 that the bits then hold */
    float absolute, shifted;
    memcpy(&absolute, &magnitude, sizeof absolute);
    shifted = absolute + 0.5f;
    memcpy(&bits, &shifted, sizeof bits);
    return (uint16_t)(sign | (bits - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  const uint32_t rounded = magnitude - ((127u - 15u) << 23) + 0xfffu + odd; /* a carry may reach the exponent */
  return (uint16_t)(sign | rounded >> 13);
}

#endif
