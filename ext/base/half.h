/* IEEE 754 binary16 in software: compilers and processors of our targets differ in what they offer. */
#ifndef ERT_BASE_HALF_H
#define ERT_BASE_HALF_H

#include <stdint.h>
#include <string.h>

/* Exact. */
static inline float ert_half_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  uint32_t bits;
  float value;
  if (magnitude >= 0x7c00u) { /* infinity, NaN */
    bits = sign | 0x7f800000u | (magnitude & 0x3ffu) << 13;
  } else if (magnitude >= 0x400u) {
    bits = sign | ((magnitude << 13) + ((127u - 15u) << 23));
  } else { /* zero, subnormal: a multiple of 2^-24 */
    value = (float)magnitude * 0x1p-24f;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
  }
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
