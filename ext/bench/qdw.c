/* int8 depthwise convolutions. */
#include "bench/dw_layer.h"
#include "bench/family.h"
#include "kernels/qdw/qdw.h"

static const ert_dw_layer LAYERS[] = {
    {"mnv2 dw 32 112", 32, 3, 3, 1, 112, 112}, {"mnv2 dw 96 s2 56", 96, 3, 3, 2, 56, 56},
    {"mnv2 dw 144 56", 144, 3, 3, 1, 56, 56},  {"mnv2 dw 192 28", 192, 3, 3, 1, 28, 28},
    {"mnv2 dw 384 14", 384, 3, 3, 1, 14, 14},  {"mnv2 dw 576 s2 7", 576, 3, 3, 2, 7, 7},
    {"mnv2 dw 960 7", 960, 3, 3, 1, 7, 7},     {"mnv1-0.25 dw 8 48", 8, 3, 3, 1, 48, 48},
    {"mnv1-0.25 dw 64 12", 64, 3, 3, 1, 12, 12}, {"mnv1-0.25 dw 256 3", 256, 3, 3, 1, 3, 3},
    {"dscnn dw 64 25x5", 64, 3, 3, 1, 25, 5},  {"5x5 dw 72 28", 72, 5, 5, 1, 28, 28},
    {"5x5 dw 120 28", 120, 5, 5, 1, 28, 28},   {"5x5 dw 960 7", 960, 5, 5, 1, 7, 7},
    {"5x5 dw 240 s2 7", 240, 5, 5, 2, 7, 7},   {"7x7 dw 96 14", 96, 7, 7, 1, 14, 14},
    {"1x9 dw 64 98", 64, 1, 9, 1, 1, 98},      {"9x1 dw 64 98", 64, 9, 1, 1, 98, 1},
};

typedef struct work {
  const ert_qdw_kernel *kernel;
  ert_qdw_args args;
  const ert_dw_layer *layer;
  const int8_t *x;
  int8_t *out;
} work;

static void call(const void *arg) {
  const work *d = arg;
  const ert_dw_layer *l = d->layer;
  ert_qdw_args args = d->args;
  args.out_row_bytes = l->out_w * l->channels;
  for (size_t y = 0; y < l->out_h; y += args.out_rows) {
    args.out_rows = d->kernel->out_rows == 2 && y + 2 <= l->out_h ? 2 : 1;
    const int8_t *rows[ERT_DW_KERNEL_MAX + 1];
    for (size_t i = 0; i < l->kernel_h + args.out_rows - 1; i++) {
      rows[i] = d->x + (y * l->stride + i) * ert_dw_layer_row(l);
    }
    d->kernel->run(&args, l->out_w, rows, d->out + y * l->out_w * l->channels);
  }
}

static size_t kernels(void) {
  size_t count;
  ert_qdw_kernels(&count);
  return count;
}

static bool describe(size_t layer, size_t index, ert_isa_set isa, ert_bench_case *c) {
  size_t count;
  const ert_dw_layer *l = &LAYERS[layer];
  const ert_qdw_kernel *kernel = ert_qdw_kernels(&count)[index];
  if (!ert_isa_has(isa, kernel->isa)) return false;
  if (kernel->out_rows == 2 && l->stride != 1) return false;
  if (kernel->kernel_h != 0 && (kernel->kernel_h != l->kernel_h || kernel->kernel_w != l->kernel_w)) return false;
  const bool selected = ert_qdw_select(ert_isa_up_to(isa, kernel->isa), l->channels, l->kernel_h, l->kernel_w, true,
                                       l->stride == 1) == kernel;
  *c = (ert_bench_case){"qdw", l->name, kernel->name, ert_isa_name(kernel->isa), ERT_INT8, selected, true,
                        ert_dw_layer_macs(l)};
  return true;
}

static double run(ert_bench *b, size_t layer, size_t index, unsigned runs) {
  size_t count;
  const ert_dw_layer *l = &LAYERS[layer];
  const ert_qdw_kernel *kernel = ert_qdw_kernels(&count)[index];
  ert_qdw_pack(kernel, l->channels, l->kernel_h, l->kernel_w, b->w, NULL, NULL, b->multiplier, 3, b->packed);
  const work d = {.kernel = kernel,
                  .args = {.channels = l->channels, .kernel_h = l->kernel_h, .kernel_w = l->kernel_w,
                           .tap_stride = l->channels, .pixel_stride = l->stride * l->channels, .weights = b->packed,
                           .out_zero = 5, .out_min = -128, .out_max = 127},
                  .layer = l, .x = b->x, .out = b->out};
  return ert_bench_measure_case(call, &d, runs);
}

const ert_bench_family ert_bench_qdw = {sizeof LAYERS / sizeof *LAYERS, kernels, describe, run};
