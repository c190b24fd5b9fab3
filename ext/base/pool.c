#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Turns of the waiting loop before a thread sleeps: some tens of microseconds, longer than the gap between two
 * operators of a small network and far shorter than a frame. */
enum { ERT_SPIN_TURNS = 4000 };

/* A job is shared out in `threads` parts, fixed beforehand; part t is thread t's, but whoever is free takes a part that
 * its thread has not begun: a thread that the system lets wait, or that is still waking up, holds nobody up. Which parts
 * are taken stands in one word together with the job's number, so that a thread that comes late cannot touch the next
 * job, and the job's own fields are read only between taking a part and reporting it done. */
struct ert_pool {
  int threads; /* the caller's included */
  int spin_turns;
  unsigned forks; /* of this process's ancestors and itself when the pool was made */
  pthread_t *workers;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  int sleeping;           /* under mutex */
  _Atomic uint64_t taken; /* upper half: number of the job; lower half: a bit for every part that is taken */
  atomic_int unfinished;  /* parts */
  atomic_bool stop;
  size_t tasks;
  ert_task_fn fn;
  void *arg;
};

/* A fork copies the pool without its threads, and its mutex as it happened to be. The copy runs its tasks alone. */
static unsigned forks;
static void count_fork(void) { forks++; }
static void watch_forks(void) { pthread_atfork(NULL, NULL, count_fork); }
static bool has_threads(const ert_pool *pool) { return pool->threads > 1 && pool->forks == forks; }

typedef struct ert_worker_start {
  ert_pool *pool;
  int number;
} ert_worker_start;

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static uint32_t job_of(uint64_t taken) { return (uint32_t)(taken >> 32); }

/* Takes a part of the job, if it is still to be had. */
static bool take(ert_pool *pool, uint32_t job, int part) {
  const uint64_t bit = UINT64_C(1) << part;
  uint64_t taken = atomic_load_explicit(&pool->taken, memory_order_acquire);
  do {
    if (job_of(taken) != job || (taken & bit) != 0) return false;
  } while (!atomic_compare_exchange_weak_explicit(&pool->taken, &taken, taken | bit, memory_order_acq_rel,
                                                  memory_order_acquire));
  return true;
}

/* Part t has tasks t, t + threads, ...: its own first, then what the others have not begun. */
static void run_parts(ert_pool *pool, uint32_t job, int own) {
  for (int i = 0; i < pool->threads; i++) {
    const int part = (own + i) % pool->threads;
    if (!take(pool, job, part)) continue;
    for (size_t task = (size_t)part; task < pool->tasks; task += (size_t)pool->threads) pool->fn(pool->arg, task);
    atomic_fetch_sub_explicit(&pool->unfinished, 1, memory_order_release);
  }
}

static bool idle(ert_pool *pool, uint32_t seen) {
  return job_of(atomic_load_explicit(&pool->taken, memory_order_acquire)) == seen &&
         !atomic_load_explicit(&pool->stop, memory_order_acquire);
}

static void wait_for_job(ert_pool *pool, uint32_t seen) {
  for (int turn = 0; turn < pool->spin_turns; turn++) {
    if (!idle(pool, seen)) return;
    pause_briefly();
  }
  pthread_mutex_lock(&pool->mutex);
  pool->sleeping++;
  while (idle(pool, seen)) pthread_cond_wait(&pool->wake, &pool->mutex);
  pool->sleeping--;
  pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *start_arg) {
  ert_worker_start start = *(ert_worker_start *)start_arg;
  free(start_arg);
  ert_pool *pool = start.pool;
  for (uint32_t seen = 0;;) {
    wait_for_job(pool, seen);
    if (atomic_load_explicit(&pool->stop, memory_order_acquire)) return NULL;
    seen = job_of(atomic_load_explicit(&pool->taken, memory_order_acquire));
    run_parts(pool, seen, start.number);
  }
}

static void wake_sleepers(ert_pool *pool) {
  if (pool->sleeping > 0) pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}

ert_status ert_pool_create(int threads, ert_pool **out) {
  *out = NULL;
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  ert_pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return ERT_OUT_OF_MEMORY;
  pool->threads = 1;
  pool->forks = forks;
  /* With more threads than processors a spinning thread only keeps the others from working. */
  pool->spin_turns = threads <= sysconf(_SC_NPROCESSORS_ONLN) ? ERT_SPIN_TURNS : 0;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pool->workers = calloc((size_t)threads, sizeof *pool->workers);
  if (pool->workers == NULL) goto failed;
  while (pool->threads < threads) {
    ert_worker_start *start = malloc(sizeof *start);
    if (start == NULL) goto failed;
    *start = (ert_worker_start){pool, pool->threads};
    if (pthread_create(&pool->workers[pool->threads - 1], NULL, work, start) != 0) {
      free(start);
      goto failed;
    }
    pool->threads++;
  }
  *out = pool;
  return ERT_OK;
failed:
  ert_pool_destroy(pool);
  return ERT_OUT_OF_MEMORY;
}

void ert_pool_destroy(ert_pool *pool) {
  if (pool == NULL) return;
  if (pool->forks == forks) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    wake_sleepers(pool);
    for (int i = 0; i + 1 < pool->threads; i++) pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
  }
  free(pool->workers);
  free(pool);
}

int ert_pool_threads(const ert_pool *pool) { return pool ? pool->threads : 1; }

void ert_pool_run(ert_pool *pool, size_t tasks, ert_task_fn fn, void *arg) {
  if (pool == NULL || tasks <= 1 || !has_threads(pool)) {
    for (size_t i = 0; i < tasks; i++) fn(arg, i);
    return;
  }
  pool->tasks = tasks;
  pool->fn = fn;
  pool->arg = arg;
  atomic_store_explicit(&pool->unfinished, pool->threads, memory_order_relaxed);
  const uint32_t job = job_of(atomic_load_explicit(&pool->taken, memory_order_relaxed)) + 1;
  pthread_mutex_lock(&pool->mutex);
  atomic_store_explicit(&pool->taken, (uint64_t)job << 32, memory_order_release);
  wake_sleepers(pool);
  run_parts(pool, job, 0);
  for (int turn = 0; atomic_load_explicit(&pool->unfinished, memory_order_acquire) != 0; turn++) {
    if (turn < pool->spin_turns)
      pause_briefly();
    else
      sched_yield();
  }
}
