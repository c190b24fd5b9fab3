#include "ops/zero_off.h"

#include <string.h>

#include "base/memory.h"

/* Four bytes of a tap that are read a second time. */
typedef struct window {
  size_t tap, first;
} window;

static int32_t clamp_i8(int32_t value) { return value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value; }

/* The window that weight i of a tap belongs to, or `count`. */
static size_t find(const window *windows, size_t count, size_t tap, size_t i) {
  size_t e = 0;
  while (e < count && !(windows[e].tap == tap && windows[e].first <= i && i < windows[e].first + 4)) e++;
  return e;
}

/* Windows for every weight that leaves int8; false when there are too many of them, or one leaves it too far. */
static bool choose_windows(const ert_dense *dense, size_t channels, const int8_t *w, window *windows, size_t *count) {
  *count = 0;
  for (size_t row = 0; row < channels * dense->taps; row++, w += dense->k) {
    for (size_t i = 0; i < dense->k; i++) {
      const int32_t value = w[i] - dense->rule.zero_w, rest = value - clamp_i8(value);
      const size_t tap = row % dense->taps;
      if (rest == 0 || find(windows, *count, tap, i) < *count) continue;
      if (rest > INT8_MAX || *count == ERT_DENSE_EXTRAS) return false;
      windows[(*count)++] = (window){tap, ert_min_size(i, dense->k - 4)};
    }
  }
  return true;
}

static size_t lane_of(const ert_qgemm_kernel *kernel, size_t channel) {
  if (kernel->lane_channel == NULL) return channel;
  size_t lane = 0;
  while (kernel->lane_channel[lane] != channel) lane++;
  return lane;
}

/* One channel; extra: its block's steps. */
static void split_channel(const ert_dense *dense, const window *windows, size_t lane, const int8_t *w, int8_t *off,
                          int32_t *bias, int8_t *extra) {
  uint32_t sum = 0; /* modulo 2^32, as the accumulator */
  for (size_t t = 0; t < dense->taps; t++) {
    for (size_t i = 0; i < dense->k; i++, w++, off++) {
      const int32_t value = *w - dense->rule.zero_w, rest = value - clamp_i8(value);
      *off = (int8_t)clamp_i8(value);
      if (rest == 0) continue;
      const size_t e = find(windows, dense->extras, t, i);
      extra[(e * dense->nr + lane) * 4 + (i - windows[e].first)] = (int8_t)rest;
      sum += (uint32_t)rest;
    }
  }
  *bias = (int32_t)((uint32_t)*bias - ((uint32_t)dense->rule.zero_x + dense->qgemm->x_offset) * sum);
}

ert_status ert_zero_off_init(ert_prepare *p, ert_dense *dense, size_t groups, const void *w, const void *bias,
                             ert_zero_off *off) {
  *off = (ert_zero_off){NULL, NULL};
  if (!dense->rule.is_int8 || dense->rule.zero_w == 0 || !dense->qgemm->extras || dense->k < 4) return ERT_OK;
  const size_t channels = groups * dense->n, weights = dense->taps * dense->k; /* of a channel: no more than w has */
  window windows[ERT_DENSE_EXTRAS];
  size_t count;
  if (!choose_windows(dense, channels, w, windows, &count)) return ERT_OK;

  const size_t blocks = (dense->n + dense->nr - 1) / dense->nr;
  dense->extras = count;
  dense->extra_block_bytes = count * dense->nr * 4;
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(dense->extra_block_bytes, groups * blocks, &bytes), "weights of %zu channels are too large",
              channels);
  uint8_t *extra = ert_prepare_alloc(p, bytes);
  off->weights = ert_aligned_alloc(channels * weights);
  off->bias = ert_aligned_alloc(channels * sizeof *off->bias);
  if (extra == NULL || off->weights == NULL || off->bias == NULL) {
    ert_zero_off_free(off);
    return ERT_OUT_OF_MEMORY;
  }
  memset(extra, 0, bytes);
  for (size_t c = 0; c < channels; c++) {
    const size_t group = c / dense->n, block = c % dense->n / dense->nr;
    off->bias[c] = bias != NULL ? ((const int32_t *)bias)[c] : 0;
    split_channel(dense, windows, lane_of(dense->qgemm, c % dense->n % dense->nr), (const int8_t *)w + c * weights,
                  off->weights + c * weights, &off->bias[c],
                  (int8_t *)extra + (group * blocks + block) * dense->extra_block_bytes);
  }
  for (size_t e = 0; e < count; e++)
    dense->extra_offset[e] = dense->tap_offset[windows[e].tap] + (ptrdiff_t)windows[e].first;
  dense->extra_weights = extra;
  dense->rule.zero_w = 0;
  return ERT_OK;
}

void ert_zero_off_free(ert_zero_off *off) {
  ert_aligned_free(off->weights);
  ert_aligned_free(off->bias);
}
