#include <string.h>

#include "base/memory.h"
#include "kernels/bounds.h"
#include "kernels/qdw/qdw.h"

/* 0 on overflow. */
static size_t block_bytes(const ert_qdw_kernel *kernel, size_t taps) {
  const size_t slots = kernel->slot_tap != NULL ? kernel->slots : taps;
  const size_t nr = kernel->nr, groups = slots / kernel->tap_group + (slots % kernel->tap_group != 0);
  const size_t weight_bytes = kernel->int8_weights ? sizeof(int8_t) : sizeof(int16_t);
  size_t bytes;
  if (!ert_mul(groups, nr * kernel->tap_group * weight_bytes, &bytes)) return 0;
  if (!ert_add(bytes, nr * (sizeof(int32_t) + sizeof(float)) + ERT_ALIGN - 1, &bytes)) return 0;
  return bytes / ERT_ALIGN * ERT_ALIGN;
}

size_t ert_qdw_packed_bytes(const ert_qdw_kernel *kernel, size_t channels, size_t taps) {
  size_t bytes;
  const size_t blocks = channels / kernel->nr + (channels % kernel->nr != 0);
  return ert_mul(blocks, block_bytes(kernel, taps), &bytes) ? bytes : 0;
}

void ert_qdw_pack(const ert_qdw_kernel *kernel, size_t channels, size_t taps, const int8_t *w, const int32_t *w_zero,
                  const int32_t *bias, const float *multiplier, int32_t zero_x, void *packed) {
  const size_t nr = kernel->nr, group = kernel->tap_group, bytes = block_bytes(kernel, taps);
  const size_t slots = kernel->slot_tap != NULL ? kernel->slots : taps;
  uint8_t *block = packed;
  for (size_t first = 0; first < channels; first += nr, block += bytes) {
    memset(block, 0, bytes); /* what holds no channel or tap counts as a weight of 0 */
    int32_t *biases = (int32_t *)block;
    float *multipliers = (float *)(biases + nr);
    void *weights = multipliers + nr;
    ert_bounds bounds = {true, true};
    for (size_t lane = 0; lane < nr; lane++) {
      size_t c = first + (kernel->lane_channel != NULL ? kernel->lane_channel[lane] : lane);
      if (c >= channels) {
        if (first != 0 || nr % channels != 0) continue;
        c %= channels;
      }
      uint32_t sum = 0;
      int64_t sum_abs = 0;
      for (size_t s = 0; s < slots; s++) {
        size_t t = kernel->slot_tap != NULL ? kernel->slot_tap[s] : s;
        const bool spare = kernel->spare && t >= taps;
        if (spare) t = kernel->slot_tap[s - 1];
        if (t >= taps) continue; /* ERT_QDW_NO_TAP */
        int32_t value = w[t * channels + c] - (w_zero != NULL ? w_zero[c] : 0);
        if (kernel->int8_weights) {
          const int32_t kept = value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value;
          value = spare ? value - kept : kept;
        }
        sum += (uint32_t)value;
        sum_abs += value < 0 ? -value : value;
        if (value == INT8_MIN) bounds.pairs = false;
        const size_t at = (s / group * nr + lane) * group + s % group;
        if (kernel->int8_weights) ((int8_t *)weights)[at] = (int8_t)value;
        else ((int16_t *)weights)[at] = (int16_t)value;
      }
      biases[lane] = (int32_t)((bias != NULL ? (uint32_t)bias[c] : 0) -
                               ((uint32_t)zero_x + kernel->x_offset) * sum);
      multipliers[lane] = multiplier[c];
      ert_bounds_join(&bounds, (int32_t)sum, sum_abs, bias != NULL ? bias[c] : 0, multiplier[c], zero_x);
    }
    if (kernel->bounds) ert_bounds_note(bounds, nr, (uint8_t *)biases, (uint8_t *)multipliers);
  }
}
