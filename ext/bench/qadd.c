/* int8 additions, as they stand in residual nets. */
#include "bench/family.h"
#include "kernels/qadd/qadd.h"

static const struct {
  const char *name;
  size_t n;
} LAYERS[] = {{"mnv2 add 24 56", 56 * 56 * 24}, {"mnv2 add 96 14", 14 * 14 * 96}, {"resnet8 add 16 32", 32 * 32 * 16}};

typedef struct work {
  const ert_qadd_kernel *kernel;
  ert_qadd_params params;
  size_t n;
  const int8_t *x;
  int8_t *out;
} work;

static void call(const void *arg) {
  const work *a = arg;
  a->kernel->run(&a->params, a->n, a->x, a->x + a->n, a->out);
}

static size_t kernels(void) {
  size_t count;
  ert_qadd_kernels(&count);
  return count;
}

static bool describe(size_t layer, size_t index, ert_isa_set isa, ert_bench_case *c) {
  size_t count;
  const ert_qadd_kernel *kernel = ert_qadd_kernels(&count)[index];
  if (!ert_isa_has(isa, kernel->isa)) return false;
  const bool selected = ert_qadd_select(ert_isa_up_to(isa, kernel->isa)) == kernel;
  *c = (ert_bench_case){"qadd", LAYERS[layer].name, kernel->name, ert_isa_name(kernel->isa), ERT_INT8, selected, false,
                        (double)LAYERS[layer].n};
  return true;
}

static double run(ert_bench *b, size_t layer, size_t index, unsigned runs) {
  size_t count;
  work a = {.kernel = ert_qadd_kernels(&count)[index], .n = LAYERS[layer].n, .x = b->x, .out = b->out};
  ert_qadd_params_init(&a.params, 0.02f, 3, 0.03f, -5, 1, 0.04f, 7, -128, 127); /* scales that it takes */
  return ert_bench_measure_case(call, &a, runs);
}

const ert_bench_family ert_bench_qadd = {sizeof LAYERS / sizeof *LAYERS, kernels, describe, run};
