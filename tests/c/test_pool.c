/* The thread pool: every task runs exactly once, results are there when ert_pool_run returns, whether the workers
 * were spinning or asleep. */
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TASKS = 37 };

typedef struct job {
  int runs[TASKS]; /* written by the task alone */
} job;

static void count(void *arg, size_t i) { ((job *)arg)->runs[i]++; }

int main(void) {
  int cases = 0;
  for (int threads = 1; threads <= 5; threads++) {
    ert_pool *pool;
    if (ert_pool_create(threads, &pool) != ERT_OK || ert_pool_threads(pool) != threads) {
      printf("test_pool: a pool of %d threads could not be made\n", threads);
      return 1;
    }
    for (size_t tasks = 0; tasks <= TASKS; tasks += 1 + tasks / 3) {
      job done = {{0}};
      for (int round = 1; round <= 200; round++) {
        ert_pool_run(pool, tasks, count, &done);
        for (size_t i = 0; i < TASKS; i++) {
          if (done.runs[i] != (i < tasks ? round : 0)) {
            printf("test_pool: %d threads, %zu tasks: task %zu ran %d times in %d rounds\n", threads, tasks, i,
                   done.runs[i], round);
            return 1;
          }
        }
        cases++;
      }
      usleep(3000); /* long enough for the workers to fall asleep */
    }
    ert_pool_destroy(pool);
  }
  ert_pool_run(NULL, 0, count, NULL);
  ert_pool_destroy(NULL);
  printf("test_pool: %d cases passed\n", cases);
  return 0;
}
