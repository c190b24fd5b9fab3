#include "kernels/vf/avx2.h"

#include "kernels/fgemm/tile.h"

ERT_FGEMM_DEFINE(avx2_8x8, ERT_ISA_AVX2, 8, 1);
ERT_FGEMM_DEFINE(avx2_6x16, ERT_ISA_AVX2, 6, 2);
