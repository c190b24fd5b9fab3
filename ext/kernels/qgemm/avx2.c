enum { VECTORS = 2, MAX_ROWS = 4 };

#include "kernels/qgemm/x86_madd_256.h"

TILE(1)
WIDENED(1) WIDENED(2) WIDENED(4)

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tile_fn tiles[] = {tile_1};
  static const widened_fn of_widened[] = {widened_1, widened_2, widened_4};
  static const widened_fn of_narrow[] = {narrow_1, narrow_2, narrow_4};
  if (fits_widened(args)) {
    run_widened(args, m, rows, out, out_stride, of_widened, of_narrow);
  } else {
    ert_qgemm_walk(args, m, rows, out, out_stride, tiles, 1, 1, NR, madd_block_bytes(args));
  }
}

const ert_qgemm_kernel ert_qgemm_avx2_4x16 = {
    .name = "qgemm_avx2_4x16", .isa = ERT_ISA_AVX2, .mr = MAX_ROWS, .nr = NR, .kr = 2, .weight_bytes = 1,
    .lane_channel = LANE_CHANNEL, .run = run};
