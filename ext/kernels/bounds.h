/* What packing proves of a block of channels, whatever int8 inputs come, for kernels that finish faster knowing it.
 * Multipliers are never negative, so that their signs are free to carry the answers: the sign of the block's first
 * multiplier says `small`, that of the second `pairs`.
 *
 *   small: every accumulator lies within +-2^22 and every accumulator * multiplier within +-32000. Then bias' is raised
 *          by the bits of the float 1.5 * 2^23, so that the accumulator, read as a float, is 1.5 * 2^23 + acc: one
 *          subtraction converts it, and the rounded product fits int16 without clamping it first.
 *   pairs: no weight is -128, so that the sum of two products fits int16.
 */
#ifndef ERT_KERNELS_BOUNDS_H
#define ERT_KERNELS_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ERT_MAGIC_BITS 0x4b400000u /* of 1.5 * 2^23, where the unit in the last place is 1 */

typedef struct ert_bounds {
  bool small, pairs;
} ert_bounds;

/* A channel joins the block: acc = bias + sum of (x - zero_x) * w with x in -128 .. 127; sum and sum_abs: of its w and
 * of their absolute values. */
static inline void ert_bounds_join(ert_bounds *of_block, int64_t sum, int64_t sum_abs, int32_t bias, float multiplier,
                                   int32_t zero_x) {
  if (zero_x < -128 || zero_x > 127 || sum_abs > INT32_MAX) {
    of_block->small = false;
    return;
  }
  const int64_t positive = (sum_abs + sum) / 2, negative = (sum_abs - sum) / 2;
  const int64_t above = 127 - zero_x, below = 128 + zero_x;
  const int64_t most = bias + above * positive + below * negative, least = bias - below * positive - above * negative;
  const int64_t largest = most > -least ? most : -least;
  if (largest >= (INT64_C(1) << 22) || (float)largest * multiplier > 32000.0f) of_block->small = false;
}

/* Notes what is proved in the block's biases and multipliers, at least two of each. */
static inline void ert_bounds_note(ert_bounds of_block, size_t nr, uint8_t *biases, uint8_t *multipliers) {
  const bool proved[2] = {of_block.small, of_block.pairs};
  for (size_t i = 0; i < 2; i++) {
    uint32_t bits;
    memcpy(&bits, multipliers + i * sizeof bits, sizeof bits);
    if (proved[i]) bits |= UINT32_C(1) << 31;
    memcpy(multipliers + i * sizeof bits, &bits, sizeof bits);
  }
  for (size_t i = 0; of_block.small && i < nr; i++) {
    uint32_t bias;
    memcpy(&bias, biases + i * sizeof bias, sizeof bias);
    bias += ERT_MAGIC_BITS;
    memcpy(biases + i * sizeof bias, &bias, sizeof bias);
  }
}

static inline ert_bounds ert_bounds_of(const float *multiplier) {
  int32_t bits[2];
  memcpy(bits, multiplier, sizeof bits);
  return (ert_bounds){.small = bits[0] < 0, .pairs = bits[1] < 0};
}

#endif
