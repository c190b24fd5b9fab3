/* int8 matrix product with direct convolution addressing: convolution, fully connected, matmul.
 *
 * Row m of the left side is not contiguous: it is `taps` runs of k bytes, run t at rows[m] + tap_offset[t]. A 1x1
 * convolution has one tap of k = channels; a KHxKW convolution over a padded input has KH taps of k = KW * channels
 * (dilation 1) or KH*KW taps of k = channels.
 *
 *   acc[m][n] = bias'[n] + row_bias[m] + sum over t, i of  x[m][t][i] * w[n][t][i]        (modulo 2^32)
 *   out[m][n] = clamp(rne(f32(acc) * multiplier[n]) + out_zero, out_min, out_max)
 *
 * with the rounding rule of requant/requant.h. `bias'` already holds bias - zero_x * sum(w).
 * A kernel reads exactly the k bytes of every run and writes exactly n bytes of every output row: nothing beyond.
 */
#ifndef ERT_KERNELS_QGEMM_H
#define ERT_KERNELS_QGEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct ert_qgemm_args {
  size_t n;    /* output channels in `weights` */
  size_t taps; /* >= 1 */
  size_t k;    /* bytes of a tap, >= 1 */
  const ptrdiff_t *tap_offset;
  const void *weights;     /* packed by ert_qgemm_pack for this kernel, aligned to 64 */
  ptrdiff_t row_step;      /* bytes from row to row where all are equally far apart; 0: they are not */
  const int32_t *row_bias; /* m entries, see ert_qgemm_pack; or NULL where weights have neither zero point nor offset */
  int32_t out_zero;
  int8_t out_min, out_max;
  bool wide; /* some multiplier is 1 or more: a product may leave the int32 range */
} ert_qgemm_args;

/* Computes m rows by args->n channels; out row i is at out + i * out_stride. m >= 1, any. */
typedef void (*ert_qgemm_fn)(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out,
                             size_t out_stride);

typedef struct ert_qgemm_kernel {
  const char *name; /* "qgemm_avx2_4x16": tile of mr rows by nr channels */
  ert_isa isa;
  uint8_t mr, nr;
  uint8_t least_m, least_k; /* smaller products are left to the instruction set below; 0: none are */
  uint16_t most_k;      /* larger ones are left to other tiles of the same; 0: none are */
  uint8_t pace;         /* multiplications in the time that vectors take for one; 0: 1 */
  bool many_rows;       /* a call costs more than a tile or two, and the kernel itself cuts rows to what caches hold */
  uint8_t kr;           /* packed together for one channel: weights lie [k/kr][nr][kr] */
  uint8_t weight_bytes; /* 1: int8; 2: widened to int16 */
  uint8_t x_offset;     /* 128 when the kernel reads x as x + 128 (unsigned); pack corrects the bias for it */
  uint8_t w_offset;     /* 128 when weights are kept as w + 128 (unsigned): part of their zero point, for row_bias */
  bool saves_turns;     /* only of use where ERT_ISA_TURNS_COST */
  uint8_t tile_n;       /* channels of a tile of weights, of which steps are made (ert_qgemm_steps); 0: no tiles */
  bool zero_off;        /* pack takes w_zero off the weights where it can, see kernels/qgemm/spills.h */
  bool bounds;          /* pack notes in the block what it proves of it, see kernels/bounds.h */
  bool tail_last;       /* the last k % kr of a tap, if k > kr, stand at the end of their group, behind zeros */
  const uint8_t *lane_channel; /* nr entries: packed lane j holds channel lane_channel[j] of its block; NULL: j */
  ert_qgemm_fn run;
} ert_qgemm_kernel;

/* Kernels of this build in rising order of preference; `count` receives their number. */
const ert_qgemm_kernel *const *ert_qgemm_kernels(size_t *count);

/* The best kernel of the set for these sizes (never NULL: scalar is always there). */
const ert_qgemm_kernel *ert_qgemm_select(ert_isa_set isa, size_t m, size_t n, size_t k);

/* How kernels with tiles take the k of a tap: in `count` steps of `k` each, a multiple of kr and at most 64. The last
 * step ends with the tap and so repeats some of the one before, with weights of 0; where k is less than a step (then
 * there is but one), it is the step that goes beyond the tap. */
typedef struct ert_qgemm_steps {
  size_t count, k;
} ert_qgemm_steps;

static inline ert_qgemm_steps ert_qgemm_steps_of(size_t k, size_t kr) {
  const size_t count = k / 64 + (k % 64 != 0), most = k / count + (k % count != 0);
  return (ert_qgemm_steps){count, (most + kr - 1) / kr * kr};
}

/* Where step i begins in its tap. */
static inline size_t ert_qgemm_step_begin(ert_qgemm_steps steps, size_t k, size_t i) {
  return (i + 1) * steps.k <= k ? i * steps.k : k > steps.k ? k - steps.k : 0;
}

/* Packed layout, one block for every nr channels (the last one padded with zeros):
 *   int32 bias'[nr], float multiplier[nr], then for every tap, for every group of kr of its k: weights [nr][kr];
 * with tiles: for every tap, for every step, for every tile_n channels, for every group of kr of the step's k: weights
 * [tile_n][kr]; with zero_off: at the end ert_qgemm_spills. */
size_t ert_qgemm_block_bytes(const ert_qgemm_kernel *kernel, size_t taps, size_t k);
/* 0 on overflow. */
size_t ert_qgemm_packed_bytes(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k);

/* w: [n][taps][k]; bias: n entries or NULL; multiplier: n entries. zero_x: the input's zero point.
 * w_zero: the weights' zero point. Where this or kernel->w_offset is not 0, the caller passes
 * row_bias[m] = -(w_zero + w_offset) * sum(x[m]); pack adds the constant part taps * k * zero_x * w_zero. A kernel with
 * zero_off needs none where ert_qgemm_takes_row_bias says so. */
void ert_qgemm_pack(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k, const int8_t *w,
                    const int32_t *bias, const float *multiplier, int32_t zero_x, int32_t w_zero, void *packed);

/* Whether a block of these packed weights, or their kernel, takes a row_bias for w_zero. */
bool ert_qgemm_takes_row_bias(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k, int32_t w_zero,
                              const void *packed);

/* False where packed weights that come from a file lead the kernel astray: out of the taps of a row. */
bool ert_qgemm_check_packed(const ert_qgemm_kernel *kernel, size_t n, size_t taps, size_t k, const void *packed);

#endif
