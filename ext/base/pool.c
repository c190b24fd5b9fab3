#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Turns of the waiting loop before a thread sleeps: some tens of microseconds, longer than the gap between two
 * operators of a small network and far shorter than a frame. */
enum { ERT_SPIN_TURNS = 4000 };

struct ert_pool {
  int threads; /* the caller's included */
  int spin_turns;
  unsigned forks; /* of this process's ancestors and itself when the pool was made */
  pthread_t *workers;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  int sleeping;              /* under mutex */
  atomic_uint generation;    /* rises with every job */
  atomic_int running;        /* workers that have not finished the job */
  bool stop;                 /* written before generation rises */
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

/* Thread t runs tasks t, t + threads, ...: a fixed split, nothing to contend for. */
static void run_share(ert_pool *pool, int number) {
  for (size_t i = (size_t)number; i < pool->tasks; i += (size_t)pool->threads) pool->fn(pool->arg, i);
}

static void wait_for_job(ert_pool *pool, unsigned seen) {
  for (int turn = 0; turn < pool->spin_turns; turn++) {
    if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) return;
    pause_briefly();
  }
  pthread_mutex_lock(&pool->mutex);
  pool->sleeping++;
  while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
    pthread_cond_wait(&pool->wake, &pool->mutex);
  pool->sleeping--;
  pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *start_arg) {
  ert_worker_start start = *(ert_worker_start *)start_arg;
  free(start_arg);
  ert_pool *pool = start.pool;
  for (unsigned seen = 0;; seen++) { /* a job is not given before all have finished the one before */
    wait_for_job(pool, seen);
    if (pool->stop) return NULL;
    run_share(pool, start.number);
    atomic_fetch_sub_explicit(&pool->running, 1, memory_order_release);
  }
}

static void announce(ert_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
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
    pool->stop = true;
    announce(pool);
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
  atomic_store_explicit(&pool->running, pool->threads - 1, memory_order_relaxed);
  announce(pool);
  run_share(pool, 0);
  for (int turn = 0; atomic_load_explicit(&pool->running, memory_order_acquire) != 0; turn++) {
    if (turn < pool->spin_turns)
      pause_briefly();
    else
      sched_yield();
  }
}
