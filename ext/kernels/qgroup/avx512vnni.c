#include <immintrin.h>

#include "base/inline.h"
#include "kernels/qgroup/qgroup.h"
#include "requant/requant_avx512vnni.h"

enum { BLOCK = ERT_QGROUP_CHANNELS, PIXELS = 4, MAX_VECTORS = 4 };

static inline __m512i dot4(__m512i acc, __m512i x, __m512i w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
  return acc;
}

/* Adds the even to the odd dwords of two vectors: in each quarter, first a's pairs, then b's. */
static inline __m512i add_pairs(__m512i a, __m512i b) {
  const __m512 x = _mm512_castsi512_ps(a), y = _mm512_castsi512_ps(b);
  return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88)),
                          _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xdd)));
}

/* One accumulator an output: the dwords of a group added. */
ERT_INLINE __m512i join(size_t vectors, const __m512i *acc) {
  if (vectors == 1) return acc[0];
  if (vectors == 2) return add_pairs(acc[0], acc[1]);
  return add_pairs(add_pairs(acc[0], acc[1]), add_pairs(acc[2], acc[3]));
}

/* For each channel of a block, its byte where byte 4 * quarter + dword is that lane's output. */
ERT_INLINE __m512i channel_order(size_t vectors) {
  return _mm512_broadcast_i32x4(vectors == 2 ? _mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)
                                             : _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

/* `count` pixels, 1 or 4, of one block, whose first channel is at `offset` of the rows and at out. */
ERT_INLINE void run_pixels(const ert_qgroup_args *args, size_t vectors, size_t count, const uint8_t *const *rows,
                           size_t offset, const uint8_t *packed, const ert_requant_avx512 *rule, int8_t *out) {
  const __m512i bias = _mm512_loadu_si512(packed);
  const __m512 multiplier = _mm512_loadu_ps(packed + 64);
  const uint8_t *w = packed + 128;
  __m512i acc[PIXELS][MAX_VECTORS];
  ERT_UNROLL for (size_t p = 0; p < count; p++) {
    ERT_UNROLL for (size_t v = 0; v < vectors; v++) acc[p][v] = _mm512_setzero_si512();
  }
  for (size_t i = 0; i < args->kernel_h; i++) {
    const uint8_t *x = rows[i] + offset;
    for (size_t j = 0; j < args->kernel_w; j++, x += args->tap_stride, w += vectors * 64) {
      __m512i weights[MAX_VECTORS];
      ERT_UNROLL for (size_t v = 0; v < vectors; v++) weights[v] = _mm512_loadu_si512(w + v * 64);
      ERT_UNROLL for (size_t p = 0; p < count; p++) {
        const __m512i value = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(x + p * args->pixel_stride)));
        ERT_UNROLL for (size_t v = 0; v < vectors; v++) acc[p][v] = dot4(acc[p][v], value, weights[v]);
      }
    }
  }
  __m512i rounded[PIXELS];
  ERT_UNROLL for (size_t p = 0; p < count; p++) {
    const __m512i sum = _mm512_add_epi32(join(vectors, acc[p]), bias);
    rounded[p] = ert_requant_avx512_round(sum, multiplier, rule);
  }
  ERT_UNROLL for (size_t p = count; p < PIXELS; p++) rounded[p] = rounded[0];
  const __m512i in_lanes = ert_requant_avx512_4x16(rounded[0], rounded[1], rounded[2], rounded[3], rule);
  const __m512i bytes = _mm512_shuffle_epi8(in_lanes, channel_order(vectors));
  _mm_storeu_si128((void *)out, _mm512_castsi512_si128(bytes));
  if (count == 1) return;
  _mm_storeu_si128((void *)(out + args->channels), _mm512_extracti32x4_epi32(bytes, 1));
  _mm_storeu_si128((void *)(out + 2 * args->channels), _mm512_extracti32x4_epi32(bytes, 2));
  _mm_storeu_si128((void *)(out + 3 * args->channels), _mm512_extracti32x4_epi32(bytes, 3));
}

ERT_INLINE void run_blocks(const ert_qgroup_args *given, size_t vectors, size_t pixels, const uint8_t *const *rows,
                           int8_t *out) {
  const ert_qgroup_args own = *given, *args = &own; /* a store of the output cannot change it */
  const ert_requant_avx512 rule = ert_requant_avx512_init(args->out_zero, args->out_min, args->out_max, args->wide);
  const size_t block_bytes = 128 + args->kernel_h * args->kernel_w * vectors * 64;
  const size_t count = pixels < PIXELS ? 1 : PIXELS;
  const uint8_t *packed = args->weights;
  for (size_t c = 0; c < args->channels; c += BLOCK, packed += block_bytes) {
    for (size_t next = 0; next < pixels; next += count) {
      const size_t p = next + count > pixels ? pixels - count : next; /* the last of four: some a second time */
      const size_t offset = p * args->pixel_stride + c;
      int8_t *to = out + p * args->channels + c;
      if (count == 1) run_pixels(args, vectors, 1, rows, offset, packed, &rule, to);
      else run_pixels(args, vectors, PIXELS, rows, offset, packed, &rule, to);
    }
  }
}

static void run(const ert_qgroup_args *args, size_t pixels, const uint8_t *const *rows, int8_t *out) {
  switch (args->group) {
    case 4: run_blocks(args, 1, pixels, rows, out); break;
    case 8: run_blocks(args, 2, pixels, rows, out); break;
    default: run_blocks(args, 4, pixels, rows, out); break;
  }
}

const ert_qgroup_kernel ert_qgroup_avx512vnni = {"qgroup_avx512vnni_16", ERT_ISA_AVX512VNNI, run};
