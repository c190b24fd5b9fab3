/* The measuring of ext/bench: every small case that it describes for this processor runs within its buffers, the figures are
 * positive, and nothing beyond the given instruction sets is described. No time is checked. */
#include "check.h"

#include "bench/bench.h"

enum { MUCH = 5000000, MUCH_FOR_SCALAR = 500000 }; /* operations: cases of more are not run */

int main(void) {
  ert_error error;
  ert_isa_set all, scalar;
  ert_bench *bench;
  int cases = 0;
  check_start();
  check_begin("test_bench");
  if (ert_bench_isa("avx3", &all, &error) != ERT_INVALID_ARGUMENT || strstr(error.message, "avx3") == NULL)
    check_fail("an unknown instruction set is taken");
  if (ert_bench_isa("scalar", &scalar, &error) != ERT_OK || scalar != 1u << ERT_ISA_SCALAR) check_fail("the cap");
  all = ert_isa_detect();
  if (!(ert_bench_clock_hz() > 1e6)) check_fail("the clock");

  bool found[ERT_ISA_COUNT][2] = {{false}};
  for (uint32_t i = 0; i < ert_bench_peak_count(); i++) {
    ert_bench_peak peak;
    check_begin("peak %u", (unsigned)i);
    if (!ert_bench_measure_peak(i, all, &peak)) continue;
    ert_isa isa;
    if (!ert_isa_parse(peak.isa, &isa) || !ert_isa_has(all, isa)) check_fail("it is one of %s", peak.isa);
    if (!(peak.macs_per_second > 0)) check_fail("%g multiply-adds a second", peak.macs_per_second);
    if (ert_bench_measure_peak(i, scalar, &peak) != (isa == ERT_ISA_SCALAR)) check_fail("the cap");
    found[isa][peak.dtype == ERT_FLOAT32] = true;
    cases++;
  }
  if (ert_bench_measure_peak(ert_bench_peak_count(), all, &(ert_bench_peak){0})) check_fail("there is one too many");

  if (ert_bench_create(&bench, &error) != ERT_OK) check_fail("%s", error.message);
  ert_bench_case c;
  for (uint32_t i = 0; i < ert_bench_case_count(); i++) {
    check_begin("case %u", (unsigned)i);
    if (!ert_bench_describe(i, all, &c)) continue;
    check_begin("%s on %s", c.kernel, c.layer);
    ert_isa isa;
    if (!ert_isa_parse(c.isa, &isa) || !ert_isa_has(all, isa)) check_fail("it needs %s", c.isa);
    if (ert_bench_describe(i, scalar, &c) != (isa == ERT_ISA_SCALAR)) check_fail("the cap");
    if (!ert_bench_describe(i, all, &c) || !(c.operations > 0)) check_fail("%g operations", c.operations);
    if (c.counts_macs && c.dtype == ERT_INT8 && !found[isa][0]) check_fail("%s has no peak for int8", c.isa);
    if (c.operations > (isa == ERT_ISA_SCALAR ? MUCH_FOR_SCALAR : MUCH)) continue;
    if (!(ert_bench_run(bench, i, 1) > 0)) check_fail("no time");
    cases++;
  }
  if (ert_bench_describe(ert_bench_case_count(), all, &c)) check_fail("there is a case too many");
  ert_bench_destroy(bench);
  printf("test_bench: %d cases passed\n", cases);
  return 0;
}
