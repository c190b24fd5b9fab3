/* int8 convolution in groups of few channels, of a run of pixels of one output row: as many outputs as inputs a group.
 *
 * Tap (i, j) of output pixel p, input channel c is rows[i][p * pixel_stride + j * tap_stride + c]; output channel c belongs
 * to the group of input channel c.
 *
 *   acc[p][c] = bias'[c] + sum over i, j and channels g of c's group of  tap * w[c][i][j][g]          (modulo 2^32)
 *   out[p][c] = clamp(rne(f32(acc) * multiplier[c]) + out_zero, out_min, out_max)
 *
 * As separate matrix products, such groups would fill a quarter of a vector, and load more than they multiply. A kernel
 * here loads 16 input bytes, several groups', and multiplies them by four outputs of every group at once.
 * It reads no byte that is not a tap, and writes exactly `channels` bytes a pixel.
 */
#ifndef ERT_KERNELS_QGROUP_H
#define ERT_KERNELS_QGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum { ERT_QGROUP_CHANNELS = 16 }; /* of a block */

typedef struct ert_qgroup_args {
  size_t channels, group; /* a multiple of ERT_QGROUP_CHANNELS; channels of a group: 4, 8 or 16 */
  size_t kernel_h, kernel_w;
  size_t tap_stride, pixel_stride; /* bytes */
  const void *weights;             /* packed by ert_qgroup_pack, aligned to 64 */
  int32_t out_zero;
  int8_t out_min, out_max;
  bool wide; /* some multiplier is 1 or more: a product may leave the int32 range */
} ert_qgroup_args;

/* Input bytes come as x + 128, unsigned. pixels >= 1. */
typedef void (*ert_qgroup_fn)(const ert_qgroup_args *args, size_t pixels, const uint8_t *const *rows, int8_t *out);

typedef struct ert_qgroup_kernel {
  const char *name;
  ert_isa isa;
  ert_qgroup_fn run;
} ert_qgroup_kernel;

const ert_qgroup_kernel *const *ert_qgroup_kernels(size_t *count);

/* NULL: no kernel of the set serves these sizes. */
const ert_qgroup_kernel *ert_qgroup_select(ert_isa_set isa, size_t channels, size_t group);

/* A block for every 16 channels: bias'[16] and multiplier[16], in the order of ert_qgroup_lane_channel, then for each tap
 * [group / 4 vectors][16 dwords][4 weights]. Dword d of 128-bit quarter j in vector v belongs to input channels 4 d ..
 * 4 d + 3 of the block and to output 4 v + j of their group. */
size_t ert_qgroup_packed_bytes(size_t channels, size_t group, size_t taps); /* 0 on overflow */
/* w: [channels][taps][group]; bias may be NULL. */
void ert_qgroup_pack(size_t channels, size_t group, size_t taps, const int8_t *w, const int32_t *bias,
                     const float *multiplier, int32_t zero_x, void *packed);

/* The channel of a block that lane 4 * quarter + dword ends up with, when the dwords of each group have been added. */
static inline size_t ert_qgroup_lane_channel(size_t group, size_t lane) {
  const size_t quarter = lane / 4, dword = lane % 4;
  return group == 8 ? 8 * (dword % 2) + 4 * (dword / 2) + quarter : 4 * dword + quarter;
}

#endif
