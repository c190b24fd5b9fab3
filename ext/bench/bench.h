/* Measurement: the clock of a core, the peak of each of its instruction sets, and the speed of every kernel of the
 * families for which a layer's shape says how much there is to do. For `edgert bench` and tests/c/bench_kernels.c; not
 * part of the public interface.
 *
 *     ert_isa_set isa;
 *     ert_bench *bench;
 *     if (ert_bench_isa(NULL, &isa, &error) != ERT_OK || ert_bench_create(&bench, &error) != ERT_OK) goto failed;
 *     ert_bench_case c;
 *     for (uint32_t i = 0; i < ert_bench_case_count(); i++)
 *       if (ert_bench_describe(i, isa, &c)) printf("%s %s: %g/ns\n", c.layer, c.kernel, c.operations / ert_bench_run(bench, i, 7));
 *
 * Everything runs on the calling thread, and every figure is the best of several runs: others on the machine can only
 * make one slower. No instruction runs that is not in the given set.
 */
#ifndef ERT_BENCH_BENCH_H
#define ERT_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/isa.h"
#include "edgert.h"

/* The processor's instruction sets up to isa_max ("avx2"), or to the environment's ERT_ISA_MAX when it is NULL.
 * ERT_INVALID_ARGUMENT for a name that is none. */
ert_status ert_bench_isa(const char *isa_max, ert_isa_set *isa, ert_error *error);

/* Nanoseconds of a clock that never goes back. */
uint64_t ert_bench_now_ns(void);

/* Additions a second of a chain in which each needs the one before: the clock, for an addition takes one cycle on every
 * core. About 4 ms. */
double ert_bench_clock_hz(void);

typedef struct ert_bench_peak {
  const char *isa, *instructions;
  ert_dtype dtype; /* ERT_INT8 or ERT_FLOAT32 */
  double macs_per_second;
} ert_bench_peak;

uint32_t ert_bench_peak_count(void);
/* Measures peak i, about 4 ms. False, and nothing runs, when its instruction set is not in `isa`. */
bool ert_bench_measure_peak(uint32_t i, ert_isa_set isa, ert_bench_peak *peak);

typedef struct ert_bench_case {
  const char *family, *layer, *kernel;
  const char *isa;
  ert_dtype dtype;
  bool selected;     /* the kernel that this layer gets when its instruction set is the highest */
  bool counts_macs;  /* operations are multiply-adds; else elements of the output */
  double operations; /* of one call */
} ert_bench_case;

/* A case is one kernel on one layer. */
uint32_t ert_bench_case_count(void);
/* False when the kernel's instruction set is not in `isa`, or the kernel does not serve the layer. */
bool ert_bench_describe(uint32_t i, ert_isa_set isa, ert_bench_case *c);

/* The memory that cases work on, 32 MiB. */
typedef struct ert_bench ert_bench;
ert_status ert_bench_create(ert_bench **bench, ert_error *error);
void ert_bench_destroy(ert_bench *bench);
/* Nanoseconds of one call: the least of `runs` runs of about 2 ms each, of which the slow ones are given up early.
 * Only for a case that ert_bench_describe has described, for sets that this processor has. */
double ert_bench_run(ert_bench *bench, uint32_t i, unsigned runs);

#endif
