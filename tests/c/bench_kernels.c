/* Speed of every kernel of this processor on layers of well-known small nets, one thread: what `edgert bench --kernels`
 * prints, for machines without Python.
 *
 * usage: bench_kernels [text]     only cases whose layer or kernel contains the text
 * ERT_ISA_MAX caps the instruction set. Prints multiply-adds (elements where a kernel has none) per nanosecond and per
 * cycle, the best of several runs, and a star at the kernel that is selected for the layer. */
#include "check.h"

#include "bench/bench.h"

enum { RUNS = 7 };

int main(int argc, char **argv) {
  const char *only = argc > 1 ? argv[1] : "";
  ert_error error;
  ert_isa_set isa;
  ert_bench *bench;
  check_start();
  check_begin("bench_kernels");
  if (ert_bench_isa(NULL, &isa, &error) != ERT_OK || ert_bench_create(&bench, &error) != ERT_OK)
    check_fail("%s", error.message);
  const double clock = ert_bench_clock_hz() / 1e9;
  printf("%.2f GHz\n", clock);
  ert_bench_peak peak;
  for (uint32_t i = 0; i < ert_bench_peak_count(); i++) {
    if (!ert_bench_measure_peak(i, isa, &peak)) continue;
    const double rate = peak.macs_per_second / 1e9;
    printf("peak %-10s %s %-28s %8.2f /ns %7.1f /cycle\n", peak.isa, peak.dtype == ERT_INT8 ? "int8   " : "float32",
           peak.instructions, rate, rate / clock);
  }
  ert_bench_case c;
  for (uint32_t i = 0; i < ert_bench_case_count(); i++) {
    if (!ert_bench_describe(i, isa, &c) || (strstr(c.layer, only) == NULL && strstr(c.kernel, only) == NULL)) continue;
    check_begin("%s on %s", c.kernel, c.layer);
    const double ns = ert_bench_run(bench, i, RUNS), rate = c.operations / ns;
    printf("%-32s %-28s%c %8.2f /ns %7.2f /cycle %10.2f us\n", c.layer, c.kernel, c.selected ? '*' : ' ', rate,
           rate / clock, ns / 1000);
  }
  ert_bench_destroy(bench);
  return 0;
}
