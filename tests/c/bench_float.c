/* Speed of every float kernel of this processor on layers of well-known small nets, one thread.
 *
 * usage: bench_float [text]     only kernels and layers whose line contains the text
 * Prints GFLOP/s (a multiply-add counts as two), or elements per nanosecond for the vector family, the best of several
 * runs, and a star at the kernel that is selected for the layer. */
#include "check.h"

#include <math.h>
#include <time.h>

#include "base/memory.h"
#include "kernels/fdw/fdw.h"
#include "kernels/fgemm/fgemm.h"
#include "kernels/fvec/fvec.h"

enum { MAX_FLOATS = 4 << 20, MAX_ROWS = 20000, REPEATS = 9 };

static float *x, *out, *w, *packed;
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
  printf("%-32s %-24s%c %8.2f G/s %10.2f us\n", layer, kernel, selected ? '*' : ' ', operations / ns, ns / 1000);
}

static bool wanted(const char *layer, const char *kernel) {
  return only == NULL || strstr(layer, only) != NULL || strstr(kernel, only) != NULL;
}

/* --- fgemm --- */

typedef struct gemm_layer {
  const char *name;
  size_t m, n, taps, k, row_step, tap_step; /* steps in floats */
} gemm_layer;

static const gemm_layer GEMM[] = {
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

typedef struct gemm_work {
  const ert_fgemm_kernel *kernel;
  ert_fgemm_args args;
  size_t m;
} gemm_work;

static const float *rows[MAX_ROWS];

static void run_gemm(const void *arg) {
  const gemm_work *g = arg;
  g->kernel->run(&g->args, g->m, rows, out, g->args.n);
}

static void bench_gemm(const gemm_layer *l, ert_isa_set isa) {
  size_t count;
  const ert_fgemm_kernel *const *kernels = ert_fgemm_kernels(&count);
  ptrdiff_t tap_offset[16];
  for (size_t i = 0; i < l->m; i++) rows[i] = x + i * l->row_step;
  for (size_t t = 0; t < l->taps; t++) tap_offset[t] = (ptrdiff_t)(t * l->tap_step);
  for (size_t i = 0; i < count; i++) {
    const ert_fgemm_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa) || !wanted(l->name, kernel->name)) continue;
    const size_t depth = l->taps * l->k, bytes = ert_fgemm_packed_bytes(kernel, l->n, l->taps, l->k);
    if (bytes > MAX_FLOATS * sizeof(float) || l->m * l->row_step > MAX_FLOATS / 2) check_fail("%s: too large", l->name);
    ert_fgemm_pack(kernel, l->n, l->taps, l->k, w, depth, 1, NULL, packed);
    const gemm_work g = {kernel, {l->n, l->taps, l->k, tap_offset, packed, 0.0f, INFINITY}, l->m};
    const bool selected = ert_fgemm_select(ert_isa_up_to(isa, kernel->isa), l->m, l->n, l->k) == kernel;
    report(l->name, kernel->name, selected, 2.0 * (double)(l->m * l->n * depth), measure(run_gemm, &g));
  }
}

/* --- fdw --- */

typedef struct dw_layer {
  const char *name;
  size_t channels, kernel, stride, out_h, out_w;
} dw_layer;

static const dw_layer DW[] = {
    {"mnv1-0.25 dw3x3 8 48", 8, 3, 1, 48, 48},    {"mnv1-0.25 dw3x3s2 16 24", 16, 3, 2, 24, 24},
    {"mnv1-0.25 dw3x3 64 12", 64, 3, 1, 12, 12},  {"mnv1-0.25 dw3x3 128 6", 128, 3, 1, 6, 6},
    {"mnv1-0.25 dw3x3 256 3", 256, 3, 1, 3, 3},   {"rfb320 dw3x3 32 60x80", 32, 3, 1, 60, 80},
    {"rfb320 dw3x3 64 30x40", 64, 3, 1, 30, 40},  {"rfb320 dw3x3s2 128 15x20", 128, 3, 2, 15, 20},
    {"mnv3 dw5x5 72 28", 72, 5, 1, 28, 28},       {"mnv3 dw5x5 12 20", 12, 5, 1, 20, 20},
};

typedef struct dw_work {
  const ert_fdw_kernel *kernel;
  ert_fdw_args args;
  const dw_layer *layer;
} dw_work;

static void run_dw(const void *arg) {
  const dw_work *d = arg;
  const dw_layer *l = d->layer;
  const size_t row_floats = ((l->out_w - 1) * l->stride + l->kernel) * l->channels;
  for (size_t y = 0; y < l->out_h; y++) {
    const float *taps[7];
    for (size_t i = 0; i < l->kernel; i++) taps[i] = x + (y * l->stride + i) * row_floats;
    d->kernel->run(&d->args, l->out_w, taps, out + y * l->out_w * l->channels);
  }
}

static void bench_dw(const dw_layer *l, ert_isa_set isa) {
  size_t count;
  const ert_fdw_kernel *const *kernels = ert_fdw_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    const ert_fdw_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa) || kernel->nr > l->channels || !wanted(l->name, kernel->name)) continue;
    const size_t taps = l->kernel * l->kernel;
    ert_fdw_pack(kernel, l->channels, taps, w, NULL, packed);
    const dw_work d = {kernel, {l->channels, l->kernel, l->kernel, l->channels, l->stride * l->channels, packed, 0.0f, 6.0f}, l};
    const bool selected = ert_fdw_select(ert_isa_up_to(isa, kernel->isa), l->channels) == kernel;
    report(l->name, kernel->name, selected, 2.0 * (double)(l->out_h * l->out_w * l->channels * taps), measure(run_dw, &d));
  }
}

/* --- fvec --- */

typedef struct vector_work {
  const ert_fvec_kernel *kernel;
  size_t n;
} vector_work;

static void run_add(const void *arg) {
  const vector_work *v = arg;
  v->kernel->binary[ERT_FVEC_ADD][ERT_FVEC_VV](v->n, x, w, 0.0f, 6.0f, out);
}
static void run_max(const void *arg) {
  const vector_work *v = arg;
  v->kernel->binary[ERT_FVEC_MAX][ERT_FVEC_VV](v->n, x, w, -INFINITY, INFINITY, out);
}
static void run_clamp(const void *arg) {
  const vector_work *v = arg;
  v->kernel->clamp(v->n, x, 0.0f, 6.0f, out);
}
static void run_quantize(const void *arg) {
  const vector_work *v = arg;
  v->kernel->quantize_i8(v->n, x, 0.01f, 3, (int8_t *)out);
}
static void run_dequantize(const void *arg) {
  const vector_work *v = arg;
  v->kernel->dequantize_i8(v->n, (const int8_t *)w, 0.01f, 3, out);
}
static void run_lut(const void *arg) {
  const vector_work *v = arg;
  v->kernel->lut_i8(v->n, (const int8_t *)w, (const int8_t *)x, (int8_t *)out);
}
static volatile int32_t sum_sink; /* so that the call is not left out */
static void run_sum(const void *arg) {
  const vector_work *v = arg;
  sum_sink = v->kernel->sum_i8(v->n, (const int8_t *)w);
}
static void run_column_sums(const void *arg) {
  const vector_work *v = arg;
  v->kernel->column_sums_i8(v->n / 256, 256, 256, (const int8_t *)w, (int32_t *)out);
}

static void bench_vectors(ert_isa_set isa) {
  static const struct {
    const char *name;
    work_fn run;
  } WORK[] = {{"add, relu6", run_add},       {"maximum", run_max}, {"clamp", run_clamp},
              {"quantize", run_quantize},    {"dequantize", run_dequantize},
              {"lut", run_lut},              {"sum", run_sum},     {"column sums of 256", run_column_sums}};
  size_t count;
  const ert_fvec_kernel *const *kernels = ert_fvec_kernels(&count);
  for (size_t i = 0; i < sizeof WORK / sizeof *WORK; i++) {
    for (size_t j = 0; j < count; j++) {
      const vector_work v = {kernels[j], 4096};
      if (!ert_isa_has(isa, kernels[j]->isa) || !wanted(WORK[i].name, kernels[j]->name)) continue;
      report(WORK[i].name, kernels[j]->name, ert_fvec_select(isa) == kernels[j], (double)v.n, measure(WORK[i].run, &v));
    }
  }
}

int main(int argc, char **argv) {
  check_start();
  check_begin("bench_float");
  only = argc > 1 ? argv[1] : NULL;
  float **const buffers[] = {&x, &out, &w, &packed};
  for (int b = 0; b < 4; b++) {
    *buffers[b] = ert_aligned_alloc(MAX_FLOATS * sizeof(float));
    if (*buffers[b] == NULL) check_fail("no memory");
    for (size_t i = 0; i < MAX_FLOATS; i++) (*buffers[b])[i] = (float)check_between(-1000, 1000) * 1e-3f;
  }
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < sizeof GEMM / sizeof *GEMM; i++) bench_gemm(&GEMM[i], isa);
  for (size_t i = 0; i < sizeof DW / sizeof *DW; i++) bench_dw(&DW[i], isa);
  bench_vectors(isa);
  for (int b = 0; b < 4; b++) ert_aligned_free(*buffers[b]);
  return 0;
}
