/* A small pool of threads that wait for work by spinning briefly and then sleeping. */
#ifndef ERT_BASE_POOL_H
#define ERT_BASE_POOL_H

#include <stddef.h>

#include "edgert.h"

typedef struct ert_pool ert_pool;

#define ERT_POOL_MAX_THREADS 32

/* `threads`, 1 to ERT_POOL_MAX_THREADS, counts the caller: 1 makes no thread at all. */
ert_status ert_pool_create(int threads, ert_pool **pool);
void ert_pool_destroy(ert_pool *pool); /* NULL is fine */
int ert_pool_threads(const ert_pool *pool); /* 1 for NULL */

/* Runs fn(arg, i) for every i < tasks and returns when all are done. The caller takes part. Tasks must write
 * disjoint memory and must not depend on which thread runs them. pool may be NULL (all on the caller). */
typedef void (*ert_task_fn)(void *arg, size_t index);
void ert_pool_run(ert_pool *pool, size_t tasks, ert_task_fn fn, void *arg);

#endif
