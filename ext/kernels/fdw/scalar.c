#include "kernels/vf/scalar.h"

#include "kernels/fdw/pixels.h"

ERT_FDW_DEFINE(scalar_1, ERT_ISA_SCALAR);
