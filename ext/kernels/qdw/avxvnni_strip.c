#include "kernels/qdw/x86_strip_bytes.h"

/* The test of this file runs it with the AVX-512 encoding of the same instruction, where a processor lacks this one. */
#ifndef ERT_VNNI_ENCODING
#define ERT_VNNI_ENCODING "%{vex%} "
#endif

/* Weights come from memory: registers do not suffice. */
ERT_INLINE vec dot(vec acc, vec x, const vec *w) {
  __asm__(ERT_VNNI_ENCODING "vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "m"(*w));
  return acc;
}

#include "kernels/qdw/x86_strip.h"

const ert_qdw_kernel ert_qdw_avxvnni_32_strip = {
    .name = "qdw_avxvnni_32_strip", .isa = ERT_ISA_AVXVNNI, .nr = NR, .tap_group = DEPTH, .strip = true,
    .borders = true, .int8_weights = true, .x_offset = 128, .lane_channel = LANE_CHANNEL, .run = run_strips};
