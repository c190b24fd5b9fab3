/* Speed of every int8 kernel of this processor on layers of well-known small nets, one thread.
 *
 * usage: bench_kernels [text]     only kernels and layers whose line contains the text
 * Prints multiply-adds per nanosecond (additions for qadd), the best of several runs, and the kernel that is selected
 * for the layer with a star. */
#include "check.h"

#include <time.h>

#include "base/memory.h"
#include "kernels/qadd/qadd.h"
#include "kernels/qdw/qdw.h"
#include "kernels/qgemm/qgemm.h"

enum { MAX_BYTES = 4 << 20, MAX_ROWS = 12544, REPEATS = 7, MAX_CHANNELS = 2048 };

static int8_t *x, *out, *w;
static void *packed;
static float multiplier[MAX_CHANNELS];
static const char *only;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

typedef void (*work_fn)(const void *arg);

/* Nanoseconds of one call: the best of REPEATS runs of about 2 ms. */
static double measure(work_fn work, const void *arg) {
  work(arg);
  double best = 1e30;
  long calls = 1;
  for (int i = 0; i < REPEATS; i++) {
    const double start = now_ns();
    for (long j = 0; j < calls; j++) work(arg);
    const double each = (now_ns() - start) / (double)calls;
    if (each < best) best = each;
    calls = (long)(2e6 / best) + 1;
  }
  return best;
}

static void report(const char *layer, const char *kernel, bool selected, double operations, double ns) {
  printf("%-34s %-26s%c %8.2f /ns %10.2f us\n", layer, kernel, selected ? '*' : ' ', operations / ns, ns / 1000);
}

static bool wanted(const char *layer, const char *kernel) {
  return only == NULL || strstr(layer, only) != NULL || strstr(kernel, only) != NULL;
}

/* --- qgemm --- */

typedef struct gemm_layer {
  const char *name;
  size_t m, n, taps, k, row_step, tap_step; /* steps in bytes */
} gemm_layer;

static const gemm_layer GEMM[] = {
    {"mnv2 first 3x3x3-32 112", 12544, 32, 3, 9, 6, 675},
    {"mnv2 expand 16-96 112", 12544, 96, 1, 16, 16, 0},
    {"mnv2 project 96-24 56", 3136, 24, 1, 96, 96, 0},
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

typedef struct gemm_work {
  const ert_qgemm_kernel *kernel;
  ert_qgemm_args args;
  size_t m;
} gemm_work;

static const int8_t *rows[MAX_ROWS];

static void run_gemm(const void *arg) {
  const gemm_work *g = arg;
  g->kernel->run(&g->args, g->m, rows, out, g->args.n);
}

static void bench_gemm(const gemm_layer *l) {
  size_t count;
  const ert_qgemm_kernel *const *kernels = ert_qgemm_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  ptrdiff_t tap_offset[16];
  for (size_t i = 0; i < l->m; i++) rows[i] = x + i * l->row_step;
  for (size_t t = 0; t < l->taps; t++) tap_offset[t] = (ptrdiff_t)(t * l->tap_step);
  for (size_t i = 0; i < count; i++) {
    const ert_qgemm_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa) || !wanted(l->name, kernel->name)) continue;
    if (ert_qgemm_packed_bytes(kernel, l->n, l->taps, l->k) > MAX_BYTES) check_fail("%s: too large", l->name);
    ert_qgemm_pack(kernel, l->n, l->taps, l->k, w, NULL, multiplier, 3, 0, packed);
    const gemm_work g = {kernel, {l->n, l->taps, l->k, tap_offset, packed, l->taps == 1 ? (ptrdiff_t)l->row_step : 0, NULL, 5, -128, 127, false}, l->m};
    const bool selected = ert_qgemm_select(ert_isa_up_to(isa, kernel->isa), l->m, l->n, l->k) == kernel;
    report(l->name, kernel->name, selected, (double)(l->m * l->n * l->taps * l->k), measure(run_gemm, &g));
  }
}

/* --- qdw --- */

typedef struct dw_layer {
  const char *name;
  size_t channels, kernel_h, kernel_w, stride, out_h, out_w;
} dw_layer;

static const dw_layer DW[] = {
    {"mnv2 dw 32 112", 32, 3, 3, 1, 112, 112},     {"mnv2 dw 96 s2 56", 96, 3, 3, 2, 56, 56},
    {"mnv2 dw 144 56", 144, 3, 3, 1, 56, 56},      {"mnv2 dw 192 28", 192, 3, 3, 1, 28, 28},
    {"mnv2 dw 384 14", 384, 3, 3, 1, 14, 14},      {"mnv2 dw 960 7", 960, 3, 3, 1, 7, 7},
    {"mnv1-0.25 dw 8 48", 8, 3, 3, 1, 48, 48},     {"mnv1-0.25 dw 64 12", 64, 3, 3, 1, 12, 12},
    {"mnv1-0.25 dw 256 3", 256, 3, 3, 1, 3, 3},    {"dscnn dw 64 25x5", 64, 3, 3, 1, 25, 5},
    {"5x5 dw 72 28", 72, 5, 5, 1, 28, 28},
};

typedef struct dw_work {
  const ert_qdw_kernel *kernel;
  const dw_layer *layer;
  ert_qdw_args args;
} dw_work;

static void run_dw(const void *arg) {
  const dw_work *d = arg;
  const dw_layer *l = d->layer;
  const size_t row_bytes = (l->out_w * l->stride + l->kernel_w - 1) * l->channels;
  for (size_t y = 0; y < l->out_h; y++) {
    const int8_t *window[16];
    for (size_t i = 0; i < l->kernel_h; i++) window[i] = x + (y * l->stride + i) * row_bytes;
    d->kernel->run(&d->args, l->out_w, window, out + y * l->out_w * l->channels);
  }
}

static void bench_dw(const dw_layer *l) {
  size_t count;
  const ert_qdw_kernel *const *kernels = ert_qdw_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  const size_t taps = l->kernel_h * l->kernel_w;
  for (size_t i = 0; i < count; i++) {
    const ert_qdw_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa) || !wanted(l->name, kernel->name)) continue;
    if (kernel->kernel_h != 0 && (kernel->kernel_h != l->kernel_h || kernel->kernel_w != l->kernel_w)) continue;
    ert_qdw_pack(kernel, l->channels, taps, w, NULL, NULL, multiplier, 3, packed);
    const ert_qdw_args args = {l->channels, l->kernel_h, l->kernel_w, l->channels, l->stride * l->channels,
                               packed, 5, -128, 127, false};
    const dw_work d = {kernel, l, args};
    const ert_isa_set up_to = ert_isa_up_to(isa, kernel->isa);
    const bool selected = ert_qdw_select(up_to, l->channels, l->kernel_h, l->kernel_w, true) == kernel;
    report(l->name, kernel->name, selected, (double)(l->out_h * l->out_w * l->channels * taps), measure(run_dw, &d));
  }
}

/* --- qadd --- */

typedef struct add_work {
  const ert_qadd_kernel *kernel;
  ert_qadd_params params;
  size_t n;
} add_work;

static void run_add(const void *arg) {
  const add_work *a = arg;
  a->kernel->run(&a->params, a->n, x, x + a->n, out);
}

static void bench_add(const char *name, size_t n) {
  size_t count;
  const ert_qadd_kernel *const *kernels = ert_qadd_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  add_work a = {.n = n};
  if (!ert_qadd_params_init(&a.params, 0.02f, 3, 0.03f, -5, 1, 0.04f, 7, -128, 127)) check_fail("parameters refused");
  for (size_t i = 0; i < count; i++) {
    a.kernel = kernels[i];
    if (!ert_isa_has(isa, a.kernel->isa) || !wanted(name, a.kernel->name)) continue;
    const bool selected = ert_qadd_select(ert_isa_up_to(isa, a.kernel->isa)) == a.kernel;
    report(name, a.kernel->name, selected, (double)n, measure(run_add, &a));
  }
}

int main(int argc, char **argv) {
  only = argc > 1 ? argv[1] : NULL;
  x = ert_aligned_alloc(MAX_BYTES);
  out = ert_aligned_alloc(MAX_BYTES);
  w = ert_aligned_alloc(MAX_BYTES);
  packed = ert_aligned_alloc(MAX_BYTES);
  if (x == NULL || out == NULL || w == NULL || packed == NULL) check_fail("no memory");
  for (size_t i = 0; i < MAX_BYTES; i++) {
    x[i] = (int8_t)(check_random() >> 32);
    w[i] = (int8_t)check_between(-127, 127);
  }
  for (int i = 0; i < MAX_CHANNELS; i++) multiplier[i] = 0.0005f;
  for (size_t i = 0; i < sizeof GEMM / sizeof *GEMM; i++) bench_gemm(&GEMM[i]);
  for (size_t i = 0; i < sizeof DW / sizeof *DW; i++) bench_dw(&DW[i]);
  bench_add("mnv2 add 24 56", 56 * 56 * 24);
  bench_add("resnet8 add 16 32", 32 * 32 * 16);
  return 0;
}
