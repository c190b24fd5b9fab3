#include "kernels/vf/sse41.h"

#include "kernels/fdw/pixels.h"

ERT_FDW_DEFINE(sse41_4, ERT_ISA_SSE41);
