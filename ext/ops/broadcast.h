/* Operators on several operands that broadcast as in NumPy, as runs that are contiguous in the output.
 *
 *     ERT_TRY(ert_broadcast_prepare(p, 2, op->in, op->out[0], &state->plan));
 *     ...
 *     static void add_run(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {
 *       for (size_t i = 0; i < n; i++) out[to + i] = a[from[0] + i * plan->step[0]] + b[from[1] + i * plan->step[1]];
 *     }
 *     ert_broadcast_run(&state->plan, op->pool, add_run, op);
 */
#ifndef ERT_OPS_BROADCAST_H
#define ERT_OPS_BROADCAST_H

#include "ops/op.h"

#define ERT_BROADCAST_OPERANDS 3

typedef struct ert_broadcast {
  int operands;
  int rank;                     /* axes outside the run, outermost first */
  size_t dims[ERT_MAX_RANK];
  size_t strides[ERT_BROADCAST_OPERANDS][ERT_MAX_RANK]; /* in elements; 0 along an axis that is broadcast */
  size_t run;                   /* elements of a run */
  size_t elements;              /* of the output */
  uint8_t step[ERT_BROADCAST_OPERANDS]; /* within a run: 1, or 0 where the operand is one element */
} ert_broadcast;

/* Checks that the operands' shapes broadcast, states the output's shape and fills the plan. Absent operands are not
 * allowed; types are the caller's affair. */
ert_status ert_broadcast_prepare(ert_prepare *p, int count, ert_tensor *const *operands, ert_tensor *out,
                                 ert_broadcast *plan);

/* n elements from operand k's element from[k] (in steps of plan->step[k]) to the output's element `to`. */
typedef void (*ert_broadcast_fn)(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to);

/* Calls fn for every run, in pieces of about 16384 elements on the threads of the pool (NULL is fine). */
void ert_broadcast_run(const ert_broadcast *plan, ert_pool *pool, ert_broadcast_fn fn, void *arg);

#endif
