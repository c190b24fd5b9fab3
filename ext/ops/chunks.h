/* Elementwise work in chunks of one fixed size, so that no result depends on the number of threads. */
#ifndef ERT_OPS_CHUNKS_H
#define ERT_OPS_CHUNKS_H

#include "ops/op.h"

/* Elements whose work pays for waking a thread. */
#define ERT_CHUNK_SIMPLE 32768 /* a few instructions each: copies, tables, additions */
#define ERT_CHUNK_COSTLY 4096  /* exponentials and the like */

typedef void (*ert_chunk_fn)(void *arg, size_t begin, size_t end);

typedef struct ert_chunk_job {
  size_t n, chunk;
  ert_chunk_fn fn;
  void *arg;
} ert_chunk_job;

static inline void ert_chunk_task(void *job_arg, size_t i) {
  const ert_chunk_job *job = job_arg;
  const size_t begin = i * job->chunk;
  job->fn(job->arg, begin, ert_min_size(begin + job->chunk, job->n));
}

/* Calls fn(arg, begin, end) for every chunk of n elements. */
static inline void ert_run_chunks(ert_pool *pool, size_t n, size_t chunk, ert_chunk_fn fn, void *arg) {
  ert_chunk_job job = {n, chunk, fn, arg};
  ert_pool_run(pool, n / chunk + (n % chunk != 0), ert_chunk_task, &job);
}

#endif
