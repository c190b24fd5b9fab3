#include "kernels/vf/sse41.h"

#include "kernels/fgemm/tile.h"

ERT_FGEMM_DEFINE(sse41_4x8, ERT_ISA_SSE41, 4, 2);
