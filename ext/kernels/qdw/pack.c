#include <string.h>

#include "base/memory.h"
#include "kernels/bounds.h"
#include "kernels/qdw/qdw.h"

/* Where taps lie in a block. */
typedef struct layout {
  const ert_qdw_kernel *kernel;
  size_t kernel_h, kernel_w, taps, slots;
  size_t once; /* slots from here on hold taps that other slots hold as well */
} layout;

/* 0 slots on overflow. */
static layout layout_of(const ert_qdw_kernel *kernel, size_t kernel_h, size_t kernel_w) {
  layout l = {kernel, kernel_h, kernel_w, 0, 0, SIZE_MAX};
  if (!ert_mul(kernel_h, kernel_w, &l.taps)) return l;
  l.slots = kernel->slot_tap != NULL ? kernel->slots : l.taps;
  if (kernel->out_rows == 2) l.once = l.slots / 2;
  if (!kernel->strip) return l;
  const ert_qdw_strip strip = ert_qdw_strip_of(kernel->tap_group, kernel_h, kernel_w);
  l.once = (strip.groups * kernel_w + strip.across) * kernel->tap_group; /* no more than 4 times the taps */
  l.slots = l.once + strip.across * kernel->tap_group;
  return l;
}

/* The tap of slot s; taps or more: there is none. */
static size_t tap_of(const layout *l, size_t s) {
  if (!l->kernel->strip) return l->kernel->slot_tap != NULL ? l->kernel->slot_tap[s] : s;
  const ert_qdw_strip strip = ert_qdw_strip_of(l->kernel->tap_group, l->kernel_h, l->kernel_w);
  const size_t depth = l->kernel->tap_group, step = s / depth, i = s % depth, in_groups = strip.groups * l->kernel_w;
  if (step < in_groups) return (step / l->kernel_w * depth + i) * l->kernel_w + step % l->kernel_w;
  const size_t shift = (step - in_groups) / strip.across, place = (step - in_groups) % strip.across * depth + i;
  if (place < shift || place - shift >= l->kernel_w) return l->taps;
  return (l->kernel_h - 1) * l->kernel_w + place - shift;
}

/* 0 on overflow. */
static size_t block_bytes(const layout *l) {
  const ert_qdw_kernel *kernel = l->kernel;
  const size_t slots = l->slots, nr = kernel->nr, groups = slots / kernel->tap_group + (slots % kernel->tap_group != 0);
  const size_t weight_bytes = kernel->int8_weights ? sizeof(int8_t) : sizeof(int16_t);
  size_t bytes;
  if (!ert_mul(groups, nr * kernel->tap_group * weight_bytes, &bytes)) return 0;
  if (!ert_add(bytes, nr * (sizeof(int32_t) + sizeof(float)) + ERT_ALIGN - 1, &bytes)) return 0;
  return bytes / ERT_ALIGN * ERT_ALIGN;
}

size_t ert_qdw_packed_bytes(const ert_qdw_kernel *kernel, size_t channels, size_t kernel_h, size_t kernel_w) {
  size_t bytes;
  const layout l = layout_of(kernel, kernel_h, kernel_w);
  const size_t blocks = channels / kernel->nr + (channels % kernel->nr != 0);
  return l.slots != 0 && ert_mul(blocks, block_bytes(&l), &bytes) ? bytes : 0;
}

void ert_qdw_pack(const ert_qdw_kernel *kernel, size_t channels, size_t kernel_h, size_t kernel_w, const int8_t *w,
                  const int32_t *w_zero, const int32_t *bias, const float *multiplier, int32_t zero_x, void *packed) {
  const layout l = layout_of(kernel, kernel_h, kernel_w);
  const size_t nr = kernel->nr, group = kernel->tap_group, bytes = block_bytes(&l), taps = l.taps;
  uint8_t *block = packed;
  for (size_t first = 0; first < channels; first += nr, block += bytes) {
    memset(block, 0, bytes); /* what holds no channel or tap counts as a weight of 0 */
    int32_t *biases = (int32_t *)block;
    float *multipliers = (float *)(biases + nr);
    void *weights = multipliers + nr;
    ert_bounds bounds = {true, true};
    const size_t begin = kernel->strip && channels > nr && channels - first < nr ? channels - nr : first;
    for (size_t lane = 0; lane < nr; lane++) {
      size_t c = begin + (kernel->lane_channel != NULL ? kernel->lane_channel[lane] : lane);
      if (c >= channels) {
        if (first != 0 || nr % channels != 0) continue;
        c %= channels;
      }
      uint32_t sum = 0;
      int64_t sum_abs = 0;
      for (size_t s = 0; s < l.slots; s++) {
        size_t t = tap_of(&l, s);
        const bool spare = kernel->spare && t >= taps;
        if (spare) t = kernel->slot_tap[s - 1];
        if (t >= taps) continue;
        int32_t value = w[t * channels + c] - (w_zero != NULL ? w_zero[c] : 0);
        if (kernel->int8_weights) {
          const int32_t kept = value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value;
          value = spare ? value - kept : kept;
        }
        if (s < l.once) {
          sum += (uint32_t)value;
          sum_abs += value < 0 ? -value : value;
        }
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
