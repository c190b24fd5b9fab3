#include "kernels/qgemm/x86_512.h"

#include "kernels/qgemm/x86_dot4.h"

TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(14, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2) TILE(14, 2)
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)

KERNEL(14x16, 14, 1, NULL, .x_offset = 128)
KERNEL(14x32, 14, 2, LANES_OF_2, .x_offset = 128)
KERNEL(6x64, 6, 4, LANES_OF_4, .x_offset = 128)
