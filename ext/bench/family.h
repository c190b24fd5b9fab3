/* What a family of kernels gives to the benchmark. */
#ifndef ERT_BENCH_FAMILY_H
#define ERT_BENCH_FAMILY_H

#include <stddef.h>

#include "bench/bench.h"

enum {
  ERT_BENCH_BYTES = 8 << 20, /* of each buffer */
  ERT_BENCH_ROWS = 20000,
  ERT_BENCH_CHANNELS = 2048,
  ERT_BENCH_TAPS = 16
};

/* Buffers of ERT_BENCH_BYTES, filled with words that are bytes from -127 to 127 and floats of either sign from 0.5 to 2:
 * nothing overflows, and no weight keeps a kernel from its usual path. */
struct ert_bench {
  void *x, *w, *packed, *out;
  const void **rows;
  float *multiplier;
};

typedef struct ert_bench_family {
  size_t layers;
  size_t (*kernels)(void); /* how many there are */
  bool (*describe)(size_t layer, size_t kernel, ert_isa_set isa, ert_bench_case *c);
  double (*run)(ert_bench *b, size_t layer, size_t kernel, unsigned runs);
} ert_bench_family;

extern const ert_bench_family ert_bench_qgemm, ert_bench_qdw, ert_bench_qadd, ert_bench_fgemm, ert_bench_fdw,
    ert_bench_fvec;

/* Nanoseconds of work(arg): the least of `runs` runs of about run_ns each, which are given up, after the second, when
 * twice their time has passed. */
double ert_bench_measure(void (*work)(const void *arg), const void *arg, unsigned runs, double run_ns);
double ert_bench_measure_case(void (*work)(const void *arg), const void *arg, unsigned runs); /* runs of 2 ms */

#endif
