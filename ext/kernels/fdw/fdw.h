/* float32 depthwise convolution of a run of pixels of one output row; addressing as in qdw.h, strides in floats.
 *
 *   out[p][c] = clamp(bias[c] + sum over i, j of  rows[i][p * pixel_stride + j * tap_stride + c] * w[i][j][c])
 *
 * Summed in the order of the taps, by whichever kernel path computes a pixel: threads do not change results.
 * Instruction sets may differ by rounding (fused or separate multiply-add). NaN in a sum comes out as NaN.
 */
#ifndef ERT_KERNELS_FDW_H
#define ERT_KERNELS_FDW_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct ert_fdw_args {
  size_t channels, kernel_h, kernel_w;
  size_t tap_stride, pixel_stride; /* in floats */
  const float *weights;            /* packed by ert_fdw_pack, aligned to 64 */
  float out_min, out_max;
} ert_fdw_args;

typedef void (*ert_fdw_fn)(const ert_fdw_args *args, size_t pixels, const float *const *rows, float *out);

typedef struct ert_fdw_kernel {
  const char *name;
  ert_isa isa;
  uint8_t nr; /* channels of a vector; the kernel serves tensors of at least so many channels */
  ert_fdw_fn run;
} ert_fdw_kernel;

const ert_fdw_kernel *const *ert_fdw_kernels(size_t *count);
/* The widest kernel of the set whose nr is at most `channels`. */
const ert_fdw_kernel *ert_fdw_select(ert_isa_set isa, size_t channels);

/* A block for every nr channels: bias[nr], then [taps][nr]. The last block begins at channels - nr, so that no vector
 * is partly filled: it may repeat channels of the block before, which gives the same values twice. 0 on overflow. */
size_t ert_fdw_packed_bytes(const ert_fdw_kernel *kernel, size_t channels, size_t taps);
/* w: [taps][channels]; bias: one entry a channel or NULL. channels >= kernel->nr. */
void ert_fdw_pack(const ert_fdw_kernel *kernel, size_t channels, size_t taps, const float *w, const float *bias,
                  float *packed);

#endif
