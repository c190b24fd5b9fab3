/* int8 matrix products: pointwise and dense convolutions and fully connected layers of well-known small nets. */
#include "bench/family.h"
#include "bench/gemm_layer.h"
#include "base/memory.h"
#include "kernels/fvec/fvec.h"
#include "kernels/qgemm/qgemm.h"

static const ert_gemm_layer LAYERS[] = {
    {"mnv2 first 3x3x3-32 112", 12544, 32, 3, 9, 6, 675},
    {"mnv2 project 32-16 112", 12544, 16, 1, 32, 32, 0},
    {"mnv2 expand 16-96 112", 12544, 96, 1, 16, 16, 0},
    {"mnv2 project 96-24 56", 3136, 24, 1, 96, 96, 0},
    {"mnv2 expand 24-144 56", 3136, 144, 1, 24, 24, 0},
    {"mnv2 expand 32-192 28", 784, 192, 1, 32, 32, 0},
    {"mnv2 project 384-64 14", 196, 64, 1, 384, 384, 0},
    {"mnv2 expand 96-576 14", 196, 576, 1, 96, 96, 0},
    {"mnv2 project 960-160 7", 49, 160, 1, 960, 960, 0},
    {"mnv2 last 320-1280 7", 49, 1280, 1, 320, 320, 0},
    {"mnv2 classifier 1280-1001", 1, 1001, 1, 1280, 1280, 0},
    {"mnv1-0.25 first 3x3x3-8 48", 2304, 8, 3, 9, 6, 291},
    {"mnv1-0.25 8-16 48", 2304, 16, 1, 8, 8, 0},
    {"mnv1-0.25 64-64 12", 144, 64, 1, 64, 64, 0},
    {"mnv1-0.25 128-128 6", 36, 128, 1, 128, 128, 0},
    {"mnv1-0.25 256-256 3", 9, 256, 1, 256, 256, 0},
    {"dscnn first 10x4x1-64", 125, 64, 10, 4, 2, 10},
    {"dscnn 64-64 25x5", 125, 64, 1, 64, 64, 0},
    {"resnet8 3x3x16-16 32", 1024, 16, 3, 48, 16, 544},
    {"resnet8 3x3x32-32 16", 256, 32, 3, 96, 32, 576},
    {"resnet8 3x3x64-64 8", 64, 64, 3, 192, 64, 640},
    {"ad fc 640-128", 1, 128, 1, 640, 640, 0},
    {"ad fc 128-8", 1, 8, 1, 128, 128, 0},
};

/* Handed over at once, about as operators do: multiples of most tiles. */
enum { ROWS = 60, MANY_ROWS = 256 };

typedef struct work {
  const ert_qgemm_kernel *kernel;
  const ert_fvec_kernel *fvec;
  ert_qgemm_args args;
  size_t m;
  const int8_t *const *rows;
  int8_t *out;
} work;

static void call(const void *arg) {
  const work *g = arg;
  ert_qgemm_args args = g->args;
  int32_t row_bias[MANY_ROWS];
  const size_t rows = g->kernel->many_rows ? MANY_ROWS : ROWS;
  for (size_t i = 0; i < g->m; i += rows) {
    const size_t m = ert_min_size(rows, g->m - i);
    if (g->kernel->w_offset != 0) {
      g->fvec->sum_rows_i8(m, g->rows + i, (size_t)args.row_step, args.taps, args.tap_offset, args.k,
                           -g->kernel->w_offset, row_bias);
      args.row_bias = row_bias;
    }
    g->kernel->run(&args, m, g->rows + i, g->out + i * args.n, args.n);
  }
}

static size_t kernels(void) {
  size_t count;
  ert_qgemm_kernels(&count);
  return count;
}

static bool describe(size_t layer, size_t index, ert_isa_set isa, ert_bench_case *c) {
  size_t count;
  const ert_gemm_layer *l = &LAYERS[layer];
  const ert_qgemm_kernel *kernel = ert_qgemm_kernels(&count)[index];
  const size_t bytes = ert_qgemm_packed_bytes(kernel, l->n, l->taps, l->k);
  if (!ert_isa_has(isa, kernel->isa) || bytes == 0 || bytes > ERT_BENCH_BYTES) return false;
  const bool selected = ert_qgemm_select(ert_isa_up_to(isa, kernel->isa), l->m, l->n, l->k) == kernel;
  *c = (ert_bench_case){"qgemm", l->name, kernel->name, ert_isa_name(kernel->isa), ERT_INT8, selected, true,
                        ert_gemm_layer_macs(l)};
  return true;
}

static double run(ert_bench *b, size_t layer, size_t index, unsigned runs) {
  size_t count;
  const ert_gemm_layer *l = &LAYERS[layer];
  const ert_qgemm_kernel *kernel = ert_qgemm_kernels(&count)[index];
  ptrdiff_t tap_offset[ERT_BENCH_TAPS];
  for (size_t i = 0; i < l->m; i++) b->rows[i] = (const int8_t *)b->x + i * l->row_step;
  for (size_t t = 0; t < l->taps; t++) tap_offset[t] = (ptrdiff_t)(t * l->tap_step);
  ert_qgemm_pack(kernel, l->n, l->taps, l->k, b->w, NULL, b->multiplier, 3, 0, b->packed);
  const work g = {.kernel = kernel, .fvec = ert_fvec_select(ert_isa_up_to(ert_isa_detect(), kernel->isa)),
                  .args = {.n = l->n, .taps = l->taps, .k = l->k, .tap_offset = tap_offset, .weights = b->packed,
                           .row_step = l->taps == 1 ? (ptrdiff_t)l->row_step : 0, .out_zero = 5, .out_min = -128,
                           .out_max = 127},
                  .m = l->m, .rows = (const int8_t *const *)b->rows, .out = b->out};
  return ert_bench_measure_case(call, &g, runs);
}

const ert_bench_family ert_bench_qgemm = {sizeof LAYERS / sizeof *LAYERS, kernels, describe, run};
