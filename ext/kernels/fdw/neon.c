#include "kernels/vf/neon.h"

#include "kernels/fdw/pixels.h"

ERT_FDW_DEFINE(neon_4, ERT_ISA_NEON);
