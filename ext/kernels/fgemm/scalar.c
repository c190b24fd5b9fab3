#include "kernels/vf/scalar.h"

#include "kernels/fgemm/tile.h"

ERT_FGEMM_DEFINE(scalar_4x4, ERT_ISA_SCALAR, 4, 4);
