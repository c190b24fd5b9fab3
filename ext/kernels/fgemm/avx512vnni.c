#include "kernels/vf/avx512.h"

#include "kernels/fgemm/tile.h"

ERT_FGEMM_DEFINE(avx512_8x16, ERT_ISA_AVX512VNNI, 8, 1);
ERT_FGEMM_DEFINE(avx512_7x32, ERT_ISA_AVX512VNNI, 7, 2);
