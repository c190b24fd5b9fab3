/* yes where the condition holds, else no, without a branch: data decides, and a loop of this becomes vectors (of
 * `c ? x * s : x` compilers make a branch, as they may not multiply where the program does not). */
#ifndef ERT_OPS_PICK_H
#define ERT_OPS_PICK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline float ert_pick_f32(bool condition, float yes, float no) {
  const uint32_t mask = 0u - (uint32_t)condition;
  uint32_t yes_bits, no_bits;
  memcpy(&yes_bits, &yes, sizeof yes_bits);
  memcpy(&no_bits, &no, sizeof no_bits);
  const uint32_t bits = (yes_bits & mask) | (no_bits & ~mask);
  float picked;
  memcpy(&picked, &bits, sizeof picked);
  return picked;
}

#endif
