/* Table lookup and sum of int8 with PSHUFB and PSADBW, for vectors of 16, 32 or 64 bytes.
 *
 * A kernel file states its vector first (type ert_vb of ERT_VB bytes, functions vb_...), then includes this.
 *
 * PSHUFB looks up 16 entries by the low 4 bits of each index and gives 0 where bit 7 of the index is set. Take the upper
 * half of the table, for q >= 0, in blocks of 16: block 0, and every further block XORed with the one before it. Looking
 * up q, q - 16, q - 32 ... in these in turn, blocks beyond q's own see a negative index and give 0, and the XOR of the
 * rest telescopes to the entry of q's own block; a negative q gives 0 throughout, since the subtraction saturates. The
 * lower half works in the same way on q + 128, and the sum of both halves is their XOR.
 */
#ifndef ERT_KERNELS_FVEC_BYTES_X86_H
#define ERT_KERNELS_FVEC_BYTES_X86_H

#include "kernels/fvec/scalar_bytes.h"

static void lut_i8(size_t n, const int8_t *q, const int8_t *table, int8_t *out) {
  size_t i = 0;
  if (n >= ERT_VB) {
    ert_vb lower[8], upper[8];
    for (size_t b = 0; b < 8; b++) {
      lower[b] = vb_repeat16(table + 16 * b);
      upper[b] = vb_repeat16(table + 128 + 16 * b);
    }
    for (size_t b = 8; b-- > 1;) {
      lower[b] = vb_xor(lower[b], lower[b - 1]);
      upper[b] = vb_xor(upper[b], upper[b - 1]);
    }
    const ert_vb sixteen = vb_dup(16), sign = vb_dup(-128);
    for (; i + ERT_VB <= n; i += ERT_VB) {
      ert_vb high = vb_load(q + i), low = vb_xor(high, sign);
      ert_vb found_low = vb_shuffle(lower[0], low), found_high = vb_shuffle(upper[0], high);
      for (size_t b = 1; b < 8; b++) {
        low = vb_subtract_saturated(low, sixteen);
        high = vb_subtract_saturated(high, sixteen);
        found_low = vb_xor(found_low, vb_shuffle(lower[b], low));
        found_high = vb_xor(found_high, vb_shuffle(upper[b], high));
      }
      vb_store(out + i, vb_xor(found_low, found_high));
    }
  }
  ert_fvec_scalar_lut_i8(n - i, q + i, table, out + i);
}

/* PSADBW sums 8 unsigned bytes into 64 bits: x + 128 is unsigned, and 128 a byte is taken off in the end. */
static int32_t sum_i8(size_t n, const int8_t *x) {
  const ert_vb sign = vb_dup(-128);
  ert_vb sums[2] = {vb_zero(), vb_zero()};
  size_t i = 0;
  for (; i + 2 * ERT_VB <= n; i += 2 * ERT_VB) {
    sums[0] = vb_add64(sums[0], vb_sum8(vb_xor(vb_load(x + i), sign)));
    sums[1] = vb_add64(sums[1], vb_sum8(vb_xor(vb_load(x + i + ERT_VB), sign)));
  }
  if (i + ERT_VB <= n) {
    sums[0] = vb_add64(sums[0], vb_sum8(vb_xor(vb_load(x + i), sign)));
    i += ERT_VB;
  }
  uint64_t lanes[ERT_VB / 8];
  vb_store((int8_t *)lanes, vb_add64(sums[0], sums[1]));
  uint32_t sum = 0;
  for (size_t l = 0; l < ERT_VB / 8; l++) sum += (uint32_t)lanes[l];
  return (int32_t)(sum - 128u * (uint32_t)i + ert_fvec_scalar_sum_i8(n - i, x + i));
}

#endif
