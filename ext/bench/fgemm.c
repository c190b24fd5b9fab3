/* float32 matrix products. */
#include <math.h>

#include "bench/family.h"
#include "bench/gemm_layer.h"
#include "kernels/fgemm/fgemm.h"

static const ert_gemm_layer LAYERS[] = {
    {"mnv1-0.25 first 3x3x3-8 48", 2304, 8, 3, 9, 6, 291},
    {"mnv1-0.25 8-16 48", 2304, 16, 1, 8, 8, 0},
    {"mnv1-0.25 64-64 12", 144, 64, 1, 64, 64, 0},
    {"mnv1-0.25 128-128 6", 36, 128, 1, 128, 128, 0},
    {"mnv1-0.25 256-256 3", 9, 256, 1, 256, 256, 0},
    {"resnet8 3x3x16-16 32", 1024, 16, 3, 48, 16, 544},
    {"resnet8 3x3x32-32 16", 256, 32, 3, 96, 32, 576},
    {"resnet8 3x3x64-64 8", 64, 64, 3, 192, 64, 640},
    {"rfb320 first 3x3x3-16 120x160", 19200, 16, 3, 9, 6, 966},
    {"rfb320 16-32 120x160", 19200, 32, 1, 16, 16, 0},
    {"rfb320 64-64 30x40", 1200, 64, 1, 64, 64, 0},
    {"rfb320 head 3x3x64-12 30x40", 1200, 12, 3, 192, 64, 2688},
    {"rfb320 256-256 8x10", 80, 256, 1, 256, 256, 0},
    {"large 512-512 1024", 1024, 512, 1, 512, 512, 0},
    {"gemv 640-128", 1, 128, 1, 640, 640, 0},
    {"gemv 128-10", 1, 10, 1, 128, 128, 0},
    {"gemv 1024-1000", 1, 1000, 1, 1024, 1024, 0},
};

typedef struct work {
  const ert_fgemm_kernel *kernel;
  ert_fgemm_args args;
  size_t m;
  const float *const *rows;
  float *out;
} work;

static void call(const void *arg) {
  const work *g = arg;
  g->kernel->run(&g->args, g->m, g->rows, g->out, g->args.n);
}

static size_t kernels(void) {
  size_t count;
  ert_fgemm_kernels(&count);
  return count;
}

static bool describe(size_t layer, size_t index, ert_isa_set isa, ert_bench_case *c) {
  size_t count;
  const ert_gemm_layer *l = &LAYERS[layer];
  const ert_fgemm_kernel *kernel = ert_fgemm_kernels(&count)[index];
  const size_t bytes = ert_fgemm_packed_bytes(kernel, l->n, l->taps, l->k);
  if (!ert_isa_has(isa, kernel->isa) || bytes == 0 || bytes > ERT_BENCH_BYTES) return false;
  const bool selected = ert_fgemm_select(ert_isa_up_to(isa, kernel->isa), l->m, l->n, l->k) == kernel;
  *c = (ert_bench_case){"fgemm", l->name, kernel->name, ert_isa_name(kernel->isa), ERT_FLOAT32, selected, true,
                        ert_gemm_layer_macs(l)};
  return true;
}

static double run(ert_bench *b, size_t layer, size_t index, unsigned runs) {
  size_t count;
  const ert_gemm_layer *l = &LAYERS[layer];
  const ert_fgemm_kernel *kernel = ert_fgemm_kernels(&count)[index];
  ptrdiff_t tap_offset[ERT_BENCH_TAPS];
  for (size_t i = 0; i < l->m; i++) b->rows[i] = (const float *)b->x + i * l->row_step;
  for (size_t t = 0; t < l->taps; t++) tap_offset[t] = (ptrdiff_t)(t * l->tap_step);
  ert_fgemm_pack(kernel, l->n, l->taps, l->k, b->w, l->taps * l->k, 1, NULL, b->packed);
  const work g = {.kernel = kernel,
                  .args = {.n = l->n, .taps = l->taps, .k = l->k, .tap_offset = tap_offset, .weights = b->packed,
                           .out_min = 0.0f, .out_max = INFINITY},
                  .m = l->m, .rows = (const float *const *)b->rows, .out = b->out};
  return ert_bench_measure_case(call, &g, runs);
}

const ert_bench_family ert_bench_fgemm = {sizeof LAYERS / sizeof *LAYERS, kernels, describe, run};
