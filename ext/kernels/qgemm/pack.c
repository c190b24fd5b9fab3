#include <string.h>

#include "base/memory.h"
#include "kernels/bounds.h"
#include "kernels/qgemm/qgemm.h"
#include "kernels/qgemm/spills.h"

size_t ert_qgemm_block_bytes(const ert_qgemm_kernel *kernel, size_t taps, size_t k) {
  const size_t nr = kernel->nr;
  size_t groups = k / kernel->kr + (k % kernel->kr != 0), weights;
  if (kernel->tile_n != 0) {
    const ert_qgemm_steps steps = ert_qgemm_steps_of(k, kernel->kr);
    groups = steps.count * (steps.k / kernel->kr); /* about k / kr: no overflow */
  }
  if (!ert_mul(groups, taps, &weights) || !ert_mul(weights, nr * kernel->kr * kernel->weight_bytes, &weights)) return 0;
  size_t bytes;
  const size_t more = nr * (sizeof(int32_t) + sizeof(float)) + (kernel->zero_off ? ERT_QGEMM_SPILLS_BYTES : 0);
  if (!ert_add(weights, more + ERT_ALIGN - 1, &bytes)) return 0;
  return bytes / ERT_ALIGN * ERT_ALIGN;
}

size_t ert_qgemm_packed_bytes(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k) {
  const size_t block = ert_qgemm_block_bytes(kernel, taps, k);
  size_t bytes;
  return ert_mul(n / kernel->nr + (n % kernel->nr != 0), block, &bytes) ? bytes : 0;
}

static uint32_t sum_of(const int8_t *w, size_t count) {
  uint32_t sum = 0; /* modulo 2^32, as the accumulator */
  for (size_t i = 0; i < count; i++) sum += (uint32_t)(int32_t)w[i];
  return sum;
}

/* What one channel says about its block. The magnitudes fit 32 bits where the bound could hold at all. */
static void join_bounds(ert_bounds *of_block, const int8_t *w, size_t count, int32_t w_zero, uint32_t sum, int32_t bias,
                        float multiplier, int32_t zero_x) {
  int8_t least = 0;
  for (size_t i = 0; i < count; i++) least = w[i] < least ? w[i] : least;
  if (least == INT8_MIN) of_block->pairs = false;
  if (count > (size_t)1 << 22) {
    of_block->small = false;
    return;
  }
  uint32_t sum_abs = 0;
  for (size_t i = 0; i < count; i++) {
    const int32_t value = w[i] - w_zero;
    sum_abs += (uint32_t)(value < 0 ? -value : value);
  }
  const int64_t shifted = (int64_t)(int32_t)sum - (int64_t)count * w_zero;
  ert_bounds_join(of_block, shifted, sum_abs, bias, multiplier, zero_x);
}

static inline void copy_turned(uint8_t *to, const int8_t *from, size_t count, uint8_t turn) {
  for (size_t i = 0; i < count; i++) to[i] = (uint8_t)from[i] ^ turn;
}

/* Copies the k weights of one tap into groups of kr bytes that lie `stride` bytes apart, `turn` XORed to each; inlined
 * for each kr, so that a group is one move. */
static inline __attribute__((always_inline)) void pack_bytes(const int8_t *w, size_t k, size_t kr, size_t stride,
                                                             bool tail_last, uint8_t turn, uint8_t *group) {
  const uint64_t turns = turn * UINT64_C(0x0101010101010101);
  size_t i = 0;
  for (; i + kr <= k; i += kr, group += stride) {
    if (kr <= sizeof turns) {
      uint64_t word = 0;
      memcpy(&word, w + i, kr);
      word ^= turns;
      memcpy(group, &word, kr);
    } else {
      copy_turned(group, w + i, kr, turn);
    }
  }
  if (i < k) copy_turned(group + (tail_last && k > kr ? kr - (k - i) : 0), w + i, k - i, turn);
}

static void pack_words(const int8_t *w, size_t k, size_t kr, size_t stride, uint8_t *group) {
  for (size_t i = 0; i < k; group += stride)
    for (const size_t end = ert_min_size(i + kr, k), first = i; i < end; i++)
      memcpy(group + 2 * (i - first), &(int16_t){w[i]}, sizeof(int16_t));
}

static inline int32_t clamp_i8(int32_t value) {
  return value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value;
}

/* Adds what leaves int8 of a channel's weights without their zero point; false when there is no room for it. */
static bool find_spills(size_t lane, size_t taps, size_t k, const int8_t *w, int32_t zero, ert_qgemm_spills *spills) {
  uint8_t least = UINT8_MAX, most = 0; /* of w + 128, for which every vector instruction set has them */
  for (size_t i = 0; i < taps * k; i++) {
    const uint8_t raised = (uint8_t)w[i] ^ 0x80;
    least = raised < least ? raised : least;
    most = raised > most ? raised : most;
  }
  if (least - zero >= 0 && most - zero <= UINT8_MAX) return true;
  for (size_t i = 0; i < taps * k; i++) {
    const int32_t rest = w[i] - zero - clamp_i8(w[i] - zero);
    if (rest == 0) continue;
    if (spills->count == ERT_QGEMM_SPILLS) return false;
    spills->list[spills->count++] =
        (ert_qgemm_spill){(uint32_t)(i / k), (uint32_t)(i % k), (uint16_t)lane, (int16_t)rest};
  }
  return true;
}

/* Those of a block, whose first channel is `first`. Returns the zero point that is to be taken off its weights. */
static int32_t take_zero_off(const ert_qgemm_kernel *kernel, size_t first, size_t n, size_t taps, size_t k,
                             const int8_t *w, int32_t zero, uint8_t *block_end) {
  ert_qgemm_spills spills = {0, 0, {{0, 0, 0, 0}}};
  bool fits = taps <= UINT32_MAX && k <= UINT32_MAX;
  for (size_t lane = 0; lane < kernel->nr && fits; lane++) {
    const size_t channel = first + (kernel->lane_channel != NULL ? kernel->lane_channel[lane] : lane);
    if (channel < n) fits = find_spills(lane, taps, k, w + channel * taps * k, zero, &spills);
  }
  if (!fits) spills = (ert_qgemm_spills){.keeps_zero = 1};
  memcpy(block_end - ERT_QGEMM_SPILLS_BYTES, &spills, sizeof spills);
  return fits ? zero : 0;
}

static ert_qgemm_spills spills_of(const ert_qgemm_kernel *kernel, size_t taps, size_t k, const uint8_t *block) {
  ert_qgemm_spills spills;
  memcpy(&spills, block + ert_qgemm_block_bytes(kernel, taps, k) - ERT_QGEMM_SPILLS_BYTES, sizeof spills);
  return spills;
}

bool ert_qgemm_takes_row_bias(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k, int32_t w_zero,
                              const void *packed) {
  if (kernel->w_offset != 0) return true;
  if (w_zero == 0 || !kernel->zero_off) return w_zero != 0;
  const uint8_t *block = packed;
  for (size_t first = 0; first < n; first += kernel->nr, block += ert_qgemm_block_bytes(kernel, taps, k))
    if (spills_of(kernel, taps, k, block).keeps_zero) return true;
  return false;
}

bool ert_qgemm_check_packed(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k, const void *packed) {
  if (!kernel->zero_off) return true;
  const uint8_t *block = packed;
  for (size_t first = 0; first < n; first += kernel->nr, block += ert_qgemm_block_bytes(kernel, taps, k)) {
    const ert_qgemm_spills spills = spills_of(kernel, taps, k, block);
    if (spills.count > ERT_QGEMM_SPILLS) return false;
    for (uint32_t i = 0; i < spills.count; i++) {
      const ert_qgemm_spill *spill = &spills.list[i];
      if (spill->tap >= taps || spill->at >= k || spill->lane >= kernel->nr) return false;
    }
  }
  return true;
}

/* A step's weights without their zero point, what leaves int8 at its ends. */
static void shift(const int8_t *w, size_t k, int32_t zero, int8_t *shifted) {
  const uint8_t lowest = zero > 0 ? (uint8_t)zero : 0, highest = zero < 0 ? (uint8_t)(UINT8_MAX + zero) : UINT8_MAX;
  for (size_t i = 0; i < k; i++) {
    uint8_t raised = (uint8_t)w[i] ^ 0x80; /* w + 128 */
    raised = raised < lowest ? lowest : raised;
    raised = raised > highest ? highest : raised;
    shifted[i] = (int8_t)((uint8_t)(raised - (uint8_t)zero) ^ 0x80);
  }
}

/* The k weights of every tap in steps, without their zero point; weights: of the channel's block. */
static void pack_tiles(const ert_qgemm_kernel *kernel, size_t lane, size_t taps, size_t k, const int8_t *w,
                       int32_t zero, uint8_t *weights) {
  enum { KR = 4 }; /* of all kernels with tiles: a group is one move */
  const size_t tile_n = kernel->tile_n, stride = tile_n * KR;
  const ert_qgemm_steps steps = ert_qgemm_steps_of(k, KR);
  const size_t tile_bytes = tile_n * steps.k;
  uint8_t *tile = weights + lane / tile_n * tile_bytes + lane % tile_n * KR;
  for (size_t t = 0; t < taps; t++, w += k) {
    for (size_t i = 0; i < steps.count; i++, tile += kernel->nr / tile_n * tile_bytes) {
      const size_t begin = ert_qgemm_step_begin(steps, k, i), bytes = ert_min_size(steps.k, k - begin);
      const int8_t *from = w + begin;
      int8_t shifted[64];
      if (zero != 0) {
        shift(from, bytes, zero, shifted);
        from = shifted;
      }
      size_t inside = i * steps.k - begin; /* before that it was part of the last step */
      for (; inside % KR != 0; inside++) tile[inside / KR * stride + inside % KR] = (uint8_t)from[inside];
      uint8_t *group = tile + inside / KR * stride;
      for (; inside + KR <= bytes; inside += KR, group += stride) memcpy(group, from + inside, KR);
      memcpy(group, from + inside, bytes - inside);
    }
  }
}

/* Packs one channel into lane `lane` of the weights of its block. zero: to be taken off, by kernels with tiles. */
static void pack_lane(const ert_qgemm_kernel *kernel, size_t lane, size_t taps, size_t k, const int8_t *w, int32_t zero,
                      uint8_t *weights) {
  if (kernel->tile_n != 0) {
    pack_tiles(kernel, lane, taps, k, w, zero, weights);
    return;
  }
  const size_t kr = kernel->kr, group_bytes = kr * kernel->weight_bytes, stride = kernel->nr * group_bytes;
  uint8_t *group = weights + lane * group_bytes;
  for (size_t t = 0; t < taps; t++, w += k, group += (k + kr - 1) / kr * stride) {
    if (kernel->weight_bytes != 1)
      pack_words(w, k, kr, stride, group);
    else if (kr == 4)
      pack_bytes(w, k, 4, stride, kernel->tail_last, kernel->w_offset, group);
    else if (kr == 8)
      pack_bytes(w, k, 8, stride, kernel->tail_last, kernel->w_offset, group);
    else
      pack_bytes(w, k, kr, stride, kernel->tail_last, kernel->w_offset, group);
  }
}

void ert_qgemm_pack(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k, const int8_t *w,
                    const int32_t *bias, const float *multiplier, int32_t zero_x, int32_t w_zero, void *packed) {
  const size_t nr = kernel->nr, block_bytes = ert_qgemm_block_bytes(kernel, taps, k);
  const uint32_t constant = (uint32_t)(taps * k) * (uint32_t)zero_x * (uint32_t)w_zero;
  uint8_t *block = packed;
  for (size_t first = 0; first < n; first += nr, block += block_bytes) {
    memset(block, 0, block_bytes); /* channels and k beyond the end count as weights of 0 */
    uint8_t *biases = block, *multipliers = block + nr * sizeof(int32_t), *weights = multipliers + nr * sizeof(float);
    ert_bounds bounds = {true, true};
    const bool off = kernel->zero_off && w_zero != 0;
    const int32_t zero = off ? take_zero_off(kernel, first, n, taps, k, w, w_zero, block + block_bytes) : 0;
    for (size_t lane = 0; lane < nr; lane++) {
      const size_t channel = first + (kernel->lane_channel != NULL ? kernel->lane_channel[lane] : lane);
      if (channel >= n) continue;
      const int8_t *own = w + channel * taps * k;
      const uint32_t sum = sum_of(own, taps * k);
      pack_lane(kernel, lane, taps, k, own, zero, weights);
      if (kernel->bounds) {
        join_bounds(&bounds, own, taps * k, w_zero, sum, bias != NULL ? bias[channel] : 0, multiplier[channel], zero_x);
      }
      uint32_t b = bias != NULL ? (uint32_t)bias[channel] : 0;
      b += constant - ((uint32_t)zero_x + kernel->x_offset) * sum;
      memcpy(biases + lane * sizeof b, &b, sizeof b);
      memcpy(multipliers + lane * sizeof(float), &multiplier[channel], sizeof(float));
    }
    if (kernel->bounds) ert_bounds_note(bounds, nr, biases, multipliers);
  }
}
