#include "kernels/vf/avx2.h"

#include "kernels/fdw/pixels.h"

ERT_FDW_DEFINE(avx2_8, ERT_ISA_AVX2);
