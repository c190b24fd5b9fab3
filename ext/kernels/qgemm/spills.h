/* The zero point of weights, for kernels that want it taken off them (ert_qgemm_kernel.zero_off). Without it a weight
 * or two of a tensor leave int8, those that set its range. What they are beyond int8 stands behind the weights of their
 * block, and is multiplied apart. A block with more of them keeps its zero point and takes args->row_bias for it. */
#ifndef ERT_KERNELS_QGEMM_SPILLS_H
#define ERT_KERNELS_QGEMM_SPILLS_H

#include <stdint.h>

enum { ERT_QGEMM_SPILLS = 4, ERT_QGEMM_SPILLS_BYTES = 64 };

typedef struct ert_qgemm_spill {
  uint32_t tap, at; /* of the k of the tap */
  uint16_t lane;
  int16_t rest; /* of the weight, beside its part in int8 */
} ert_qgemm_spill;

typedef struct ert_qgemm_spills { /* the last ERT_QGEMM_SPILLS_BYTES of a block */
  uint32_t keeps_zero; /* 1: these weights have their zero point */
  uint32_t count;
  ert_qgemm_spill list[ERT_QGEMM_SPILLS];
} ert_qgemm_spills;

#endif
