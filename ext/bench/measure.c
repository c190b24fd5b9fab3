/* The timing loop, the clock and the peaks. */
#include <time.h>

#include "bench/family.h"
#include "base/inline.h"
#include "kernels/peak/peak.h"

uint64_t ert_bench_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double ert_bench_measure(void (*work)(const void *arg), const void *arg, unsigned runs, double run_ns) {
  work(arg); /* caches, and the clock that wide vectors run at */
  const uint64_t begin = ert_bench_now_ns();
  double best = 0;
  uint64_t calls = 1;
  for (unsigned i = 0; i < runs; i++) {
    const uint64_t start = ert_bench_now_ns();
    for (uint64_t j = 0; j < calls; j++) work(arg);
    const uint64_t end = ert_bench_now_ns();
    double each = (double)(end - start) / (double)calls;
    if (each <= 0) each = 1.0 / (double)calls; /* a coarse clock */
    if (i == 0 || each < best) best = each;
    if (i > 0 && (double)(end - begin) > 2 * runs * run_ns) break;
    calls = (uint64_t)(run_ns / best) + 1;
  }
  return best;
}

double ert_bench_measure_case(void (*work)(const void *arg), const void *arg, unsigned runs) {
  return ert_bench_measure(work, arg, runs, 2e6);
}

enum { PEAK_RUNS = 20, CHAIN_TURNS = 1000, CHAIN = 16, PEAK_ROUNDS = 1000 };
static const double PEAK_RUN_NS = 2e5; /* short: between what disturbs a busy machine */

/* The assembly is empty: it hides the sum from the compiler, which would compute a turn at once. */
static void add_in_a_chain(const void *arg) {
  uint32_t sum = 0, step = *(const uint32_t *)arg;
  for (int i = 0; i < CHAIN_TURNS; i++) {
    ERT_UNROLL for (int j = 0; j < CHAIN; j++) {
      sum += step;
      __asm__ volatile("" : "+r"(sum), "+r"(step));
    }
  }
}

double ert_bench_clock_hz(void) {
  const uint32_t step = 3;
  return 1e9 * CHAIN_TURNS * CHAIN / ert_bench_measure(add_in_a_chain, &step, PEAK_RUNS, PEAK_RUN_NS);
}

uint32_t ert_bench_peak_count(void) {
  size_t count;
  ert_peak_kernels(&count);
  return (uint32_t)count;
}

static void run_rounds(const void *arg) { ((const ert_peak_kernel *)arg)->run(PEAK_ROUNDS); }

bool ert_bench_measure_peak(uint32_t i, ert_isa_set isa, ert_bench_peak *peak) {
  size_t count;
  const ert_peak_kernel *const *kernels = ert_peak_kernels(&count);
  if (i >= count || !ert_isa_has(isa & ert_isa_detect(), kernels[i]->isa)) return false;
  peak->isa = ert_isa_name(kernels[i]->isa);
  peak->instructions = kernels[i]->instructions;
  peak->dtype = kernels[i]->is_float ? ERT_FLOAT32 : ERT_INT8;
  const double ns = ert_bench_measure(run_rounds, kernels[i], PEAK_RUNS, PEAK_RUN_NS);
  peak->macs_per_second = 1e9 * PEAK_ROUNDS * kernels[i]->macs / ns;
  return true;
}
