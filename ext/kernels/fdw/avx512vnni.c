#include "kernels/vf/avx512.h"

#include "kernels/fdw/pixels.h"

ERT_FDW_DEFINE(avx512_16, ERT_ISA_AVX512VNNI);
