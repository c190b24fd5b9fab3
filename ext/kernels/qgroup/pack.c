#include <string.h>

#include "base/memory.h"
#include "kernels/qgroup/qgroup.h"

enum { BLOCK = ERT_QGROUP_CHANNELS, X_OFFSET = 128 };

static size_t block_bytes(size_t group, size_t taps) {
  size_t bytes;
  if (!ert_mul(taps, group * BLOCK, &bytes) || !ert_add(bytes, 2 * BLOCK * sizeof(float), &bytes)) return 0;
  return bytes;
}

size_t ert_qgroup_packed_bytes(size_t channels, size_t group, size_t taps) {
  size_t bytes;
  return ert_mul(channels / BLOCK, block_bytes(group, taps), &bytes) ? bytes : 0;
}

/* bias - zero * sum of weights, modulo 2^32, for inputs of which `zero` is the real 0. */
static int32_t fold_zero(int32_t bias, int32_t zero, const int8_t *w, size_t count) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += (uint32_t)(int32_t)w[i];
  return (int32_t)((uint32_t)bias - (uint32_t)zero * sum);
}

void ert_qgroup_pack(size_t channels, size_t group, size_t taps, const int8_t *w, const int32_t *bias,
                     const float *multiplier, int32_t zero_x, void *packed) {
  const size_t vectors = group / 4;
  for (size_t first = 0; first < channels; first += BLOCK) {
    int32_t biases[BLOCK];
    float multipliers[BLOCK];
    for (size_t lane = 0; lane < BLOCK; lane++) {
      const size_t channel = first + ert_qgroup_lane_channel(group, lane);
      const int8_t *own = w + channel * taps * group;
      biases[lane] = fold_zero(bias != NULL ? bias[channel] : 0, zero_x + X_OFFSET, own, taps * group);
      multipliers[lane] = multiplier[channel];
    }
    memcpy(packed, biases, sizeof biases);
    memcpy((uint8_t *)packed + sizeof biases, multipliers, sizeof multipliers);
    int8_t *to = (int8_t *)packed + sizeof biases + sizeof multipliers;
    for (size_t t = 0; t < taps; t++) {
      for (size_t v = 0; v < vectors; v++) {
        for (size_t lane = 0; lane < BLOCK; lane++, to += 4) {
          const size_t input = 4 * (lane % 4), output = input / group * group + 4 * v + lane / 4;
          memcpy(to, w + ((first + output) * taps + t) * group + input % group, 4);
        }
      }
    }
    packed = (uint8_t *)packed + block_bytes(group, taps);
  }
}
