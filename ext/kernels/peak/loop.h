/* The loop that the instruction sets share. The including file defines
 *   vec               the type of a register
 *   CLASS             the constraint of such a register in inline assembly ("x", "v", "w")
 * and gives STEP(sum, x, w), which adds the products of x and w to sum in volatile assembly, so that no compiler leaves
 * one out, takes one out of the loop or makes copies of the sums. There are as many sums as it takes to hide an
 * instruction's latency (up to 5 cycles at 2 a cycle), and no more than there are registers. */
#ifndef ERT_KERNELS_PEAK_LOOP_H
#define ERT_KERNELS_PEAK_LOOP_H

#include <string.h>

#include "base/inline.h"
#include "kernels/peak/peak.h"

/* Bytes of 63; as floats 0.75: neither zeros, which take less power than data does, nor subnormals. */
enum { ERT_PEAK_DATA = 0x3f };

#define ERT_PEAK_LOOP(function, SUMS, STEP)                                                            \
  static void function(size_t rounds) {                                                                \
    vec sum[SUMS], x, w;                                                                               \
    memset(&x, ERT_PEAK_DATA, sizeof x);                                                               \
    memset(&w, ERT_PEAK_DATA, sizeof w);                                                               \
    __asm__ volatile("" : "+" CLASS(x), "+" CLASS(w)); /* from here on in registers */                 \
    ERT_UNROLL for (int j = 0; j < (SUMS); j++) sum[j] = (vec){0};                                     \
    for (size_t i = 0; i < rounds; i++) {                                                              \
      ERT_UNROLL for (int j = 0; j < (SUMS); j++) STEP(sum[j], x, w);                                  \
    }                                                                                                  \
    ERT_UNROLL for (int j = 0; j < (SUMS); j++) __asm__ volatile("" : : CLASS(sum[j]));                \
  }

#endif
