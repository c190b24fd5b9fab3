/* Elementwise arithmetic, conversions, tables and sums. */
#include <math.h>

#include "bench/family.h"
#include "kernels/fvec/fvec.h"

enum { COUNT = 4096, COLUMNS = 256 };

typedef struct work {
  const ert_fvec_kernel *kernel;
  const ert_bench *b;
} work;

static void add(const void *arg) {
  const work *v = arg;
  v->kernel->binary[ERT_FVEC_ADD][ERT_FVEC_VV](COUNT, v->b->x, v->b->w, 0.0f, 6.0f, v->b->out);
}
static void maximum(const void *arg) {
  const work *v = arg;
  v->kernel->binary[ERT_FVEC_MAX][ERT_FVEC_VV](COUNT, v->b->x, v->b->w, -INFINITY, INFINITY, v->b->out);
}
static void clamp(const void *arg) {
  const work *v = arg;
  v->kernel->clamp(COUNT, v->b->x, 0.0f, 6.0f, v->b->out);
}
static void quantize(const void *arg) {
  const work *v = arg;
  v->kernel->quantize_i8(COUNT, v->b->x, 0.01f, 3, v->b->out);
}
static void dequantize(const void *arg) {
  const work *v = arg;
  v->kernel->dequantize_i8(COUNT, v->b->x, 0.01f, 3, v->b->out);
}
static void lut(const void *arg) {
  const work *v = arg;
  v->kernel->lut_i8(COUNT, v->b->x, v->b->w, v->b->out);
}
static void mul(const void *arg) {
  const work *v = arg;
  const ert_fvec_product rule = {3, -5, 7, 0.01f, -128, 127};
  v->kernel->mul_i8(&rule, COUNT, v->b->x, v->b->w, v->b->out);
}
static void sum(const void *arg) {
  const work *v = arg;
  volatile int32_t sink = v->kernel->sum_i8(COUNT, v->b->x); /* so that the call is not left out */
  (void)sink;
}
static void column_sums(const void *arg) {
  const work *v = arg;
  v->kernel->column_sums_i8(COUNT / COLUMNS, COLUMNS, COLUMNS, v->b->x, v->b->out);
}

static const struct {
  const char *name;
  ert_dtype dtype;
  void (*call)(const void *arg);
} LAYERS[] = {{"add, relu6 of 4096", ERT_FLOAT32, add}, {"maximum of 4096", ERT_FLOAT32, maximum},
              {"clamp of 4096", ERT_FLOAT32, clamp},    {"quantize 4096", ERT_FLOAT32, quantize},
              {"dequantize 4096", ERT_INT8, dequantize}, {"lut of 4096", ERT_INT8, lut},
              {"products of 4096", ERT_INT8, mul},
              {"sum of 4096", ERT_INT8, sum},           {"column sums of 16x256", ERT_INT8, column_sums}};

static size_t kernels(void) {
  size_t count;
  ert_fvec_kernels(&count);
  return count;
}

static bool describe(size_t layer, size_t index, ert_isa_set isa, ert_bench_case *c) {
  size_t count;
  const ert_fvec_kernel *kernel = ert_fvec_kernels(&count)[index];
  if (!ert_fvec_runs(kernel, isa)) return false;
  const bool selected = ert_fvec_select(ert_isa_up_to(isa, kernel->isa)) == kernel;
  *c = (ert_bench_case){"fvec", LAYERS[layer].name, kernel->name, ert_isa_name(kernel->isa), LAYERS[layer].dtype,
                        selected, false, COUNT};
  return true;
}

static double run(ert_bench *b, size_t layer, size_t index, unsigned runs) {
  size_t count;
  const work v = {ert_fvec_kernels(&count)[index], b};
  return ert_bench_measure_case(LAYERS[layer].call, &v, runs);
}

const ert_bench_family ert_bench_fvec = {sizeof LAYERS / sizeof *LAYERS, kernels, describe, run};
