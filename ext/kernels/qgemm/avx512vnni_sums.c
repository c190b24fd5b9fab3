/* Tiles whose weights are the unsigned side, for processors that XOR vectors of 512 bits where they multiply them: one
 * instruction in three of a step is saved, and the sums of the rows are soon made up for. */
#include "kernels/qgemm/x86_512.h"

#define DOT4_UNSIGNED_WEIGHTS 1
#include "kernels/qgemm/x86_dot4.h"

TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2) TILE(14, 2)
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)

/* A row's sum takes about as long as 8 steps of XOR. */
enum { LEAST_K = 32 };

KERNEL(sums_14x32, 14, 2, LANES_OF_2, .w_offset = 128, .saves_turns = true, .least_k = LEAST_K)
KERNEL(sums_6x64, 6, 4, LANES_OF_4, .w_offset = 128, .saves_turns = true, .least_k = LEAST_K)
