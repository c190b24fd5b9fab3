/* float32 depthwise convolutions. */
#include "bench/dw_layer.h"
#include "bench/family.h"
#include "kernels/fdw/fdw.h"

static const ert_dw_layer LAYERS[] = {
    {"mnv1-0.25 dw 8 48", 8, 3, 3, 1, 48, 48},   {"mnv1-0.25 dw 16 s2 24", 16, 3, 3, 2, 24, 24},
    {"mnv1-0.25 dw 64 12", 64, 3, 3, 1, 12, 12}, {"mnv1-0.25 dw 128 6", 128, 3, 3, 1, 6, 6},
    {"mnv1-0.25 dw 256 3", 256, 3, 3, 1, 3, 3},  {"rfb320 dw 32 60x80", 32, 3, 3, 1, 60, 80},
    {"rfb320 dw 64 30x40", 64, 3, 3, 1, 30, 40}, {"rfb320 dw 128 s2 15x20", 128, 3, 3, 2, 15, 20},
    {"5x5 dw 72 28", 72, 5, 5, 1, 28, 28},       {"5x5 dw 12 20", 12, 5, 5, 1, 20, 20},
};

typedef struct work {
  const ert_fdw_kernel *kernel;
  ert_fdw_args args;
  const ert_dw_layer *layer;
  const float *x;
  float *out;
} work;

static void call(const void *arg) {
  const work *d = arg;
  const ert_dw_layer *l = d->layer;
  for (size_t y = 0; y < l->out_h; y++) {
    const float *rows[ERT_DW_KERNEL_MAX];
    for (size_t i = 0; i < l->kernel_h; i++) rows[i] = d->x + (y * l->stride + i) * ert_dw_layer_row(l);
    d->kernel->run(&d->args, l->out_w, rows, d->out + y * l->out_w * l->channels);
  }
}

static size_t kernels(void) {
  size_t count;
  ert_fdw_kernels(&count);
  return count;
}

static bool describe(size_t layer, size_t index, ert_isa_set isa, ert_bench_case *c) {
  size_t count;
  const ert_dw_layer *l = &LAYERS[layer];
  const ert_fdw_kernel *kernel = ert_fdw_kernels(&count)[index];
  if (!ert_isa_has(isa, kernel->isa) || kernel->nr > l->channels) return false;
  const bool selected = ert_fdw_select(ert_isa_up_to(isa, kernel->isa), l->channels) == kernel;
  *c = (ert_bench_case){"fdw", l->name, kernel->name, ert_isa_name(kernel->isa), ERT_FLOAT32, selected, true,
                        ert_dw_layer_macs(l)};
  return true;
}

static double run(ert_bench *b, size_t layer, size_t index, unsigned runs) {
  size_t count;
  const ert_dw_layer *l = &LAYERS[layer];
  const ert_fdw_kernel *kernel = ert_fdw_kernels(&count)[index];
  ert_fdw_pack(kernel, l->channels, ert_dw_layer_taps(l), b->w, NULL, b->packed);
  const work d = {.kernel = kernel,
                  .args = {.channels = l->channels, .kernel_h = l->kernel_h, .kernel_w = l->kernel_w,
                           .tap_stride = l->channels, .pixel_stride = l->stride * l->channels, .weights = b->packed,
                           .out_min = 0.0f, .out_max = 6.0f},
                  .layer = l, .x = b->x, .out = b->out};
  return ert_bench_measure_case(call, &d, runs);
}

const ert_bench_family ert_bench_fdw = {sizeof LAYERS / sizeof *LAYERS, kernels, describe, run};
