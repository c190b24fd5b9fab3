/* What a core can reach: loops of independent multiply-adds on registers alone, one for every instruction set and type,
 * against which the other families' kernels are measured. Nothing is computed that anybody needs.
 *
 * A multiply-add counts when its sum has arrived in 32 bits (int8 times int8, or float32), so that an instruction set
 * without a dot product has the additions in its peak.
 */
#ifndef ERT_KERNELS_PEAK_H
#define ERT_KERNELS_PEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct ert_peak_kernel {
  const char *instructions; /* "vpmaddwd, vpaddd" */
  ert_isa isa;
  bool is_float;  /* float32; else int8 */
  uint32_t macs;  /* multiply-adds of a round */
  void (*run)(size_t rounds);
} ert_peak_kernel;

/* Every loop of this build, instruction sets in rising order; `count` receives their number. */
const ert_peak_kernel *const *ert_peak_kernels(size_t *count);

#endif
