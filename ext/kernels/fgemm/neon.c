#include "kernels/vf/neon.h"

#include "kernels/fgemm/tile.h"

#if defined(ERT_ARCH_AARCH64)
ERT_FGEMM_DEFINE(neon_8x8, ERT_ISA_NEON, 8, 2);
#elif defined(ERT_ARCH_ARMV7)
ERT_FGEMM_DEFINE(neon_4x8, ERT_ISA_NEON, 4, 2); /* 16 registers */
#endif
