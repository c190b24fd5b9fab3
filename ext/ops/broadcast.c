#include "ops/broadcast.h"

#define PIECE 16384 /* elements: work enough to pay for waking a thread */

/* Dimension of a tensor along an axis of the output, whose leading axes it may lack. */
static int32_t dim_of(const ert_tensor *t, int axis, int rank) {
  const int own = axis - (rank - t->rank);
  return own < 0 ? 1 : t->dims[own];
}

static ert_status broadcast_shape(ert_prepare *p, int count, ert_tensor *const *operands, int *rank, int32_t *dims) {
  *rank = 0;
  for (int k = 0; k < count; k++) {
    if (operands[k]->rank > *rank) *rank = operands[k]->rank;
  }
  for (int axis = 0; axis < *rank; axis++) {
    dims[axis] = 1;
    for (int k = 0; k < count; k++) {
      const int32_t dim = dim_of(operands[k], axis, *rank);
      ERT_REQUIRE(p, dim == dims[axis] || dim == 1 || dims[axis] == 1,
                  "dimension %d of input %d is %d, which does not broadcast to %d", axis - (*rank - operands[k]->rank),
                  k, (int)dim, (int)dims[axis]);
      if (dim != 1) dims[axis] = dim;
    }
  }
  return ERT_OK;
}

/* Drops axes of length 1 and merges neighbours that every operand walks in one stride. The innermost axis that is left
 * becomes the run: the shapes see to it that each operand's stride there is 0 or 1. */
static void merge_axes(ert_broadcast *plan) {
  int last = -1;
  for (int axis = 0; axis < plan->rank; axis++) {
    if (plan->dims[axis] == 1) continue;
    bool merged = last >= 0;
    for (int k = 0; merged && k < plan->operands; k++)
      merged = plan->strides[k][last] == plan->strides[k][axis] * plan->dims[axis];
    if (merged) plan->dims[last] *= plan->dims[axis];
    else plan->dims[++last] = plan->dims[axis];
    for (int k = 0; k < plan->operands; k++) plan->strides[k][last] = plan->strides[k][axis];
  }
  plan->rank = last < 0 ? 0 : last;
  plan->run = last < 0 ? 1 : plan->dims[last];
  for (int k = 0; k < plan->operands; k++) plan->step[k] = last >= 0 && plan->strides[k][last] != 0;
}

ert_status ert_broadcast_prepare(ert_prepare *p, int count, ert_tensor *const *operands, ert_tensor *out,
                                 ert_broadcast *plan) {
  int rank;
  int32_t dims[ERT_MAX_RANK];
  ERT_TRY(broadcast_shape(p, count, operands, &rank, dims));
  ERT_TRY(ert_prepare_shape(p, out, rank, dims));
  *plan = (ert_broadcast){.operands = count, .rank = rank, .elements = out->elements, .run = 1};
  if (out->elements == 0) return ERT_OK;
  for (int axis = 0; axis < rank; axis++) plan->dims[axis] = (size_t)dims[axis];
  for (int k = 0; k < count; k++) {
    size_t stride = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
      const size_t dim = (size_t)dim_of(operands[k], axis, rank);
      plan->strides[k][axis] = dim == 1 ? 0 : stride;
      stride *= dim;
    }
  }
  merge_axes(plan);
  return ERT_OK;
}

typedef struct broadcast_job {
  const ert_broadcast *plan;
  ert_broadcast_fn fn;
  void *arg;
} broadcast_job;

static void run_piece(void *job_arg, size_t piece) {
  const broadcast_job *job = job_arg;
  const ert_broadcast *plan = job->plan;
  size_t at = piece * PIECE;
  const size_t end = ert_min_size(at + PIECE, plan->elements);
  size_t index[ERT_MAX_RANK] = {0}, base[ERT_BROADCAST_OPERANDS] = {0};
  size_t outer = at / plan->run, inside = at % plan->run;
  for (int axis = plan->rank - 1; axis >= 0; axis--) {
    index[axis] = outer % plan->dims[axis];
    outer /= plan->dims[axis];
    for (int k = 0; k < plan->operands; k++) base[k] += index[axis] * plan->strides[k][axis];
  }
  while (at < end) {
    const size_t n = ert_min_size(plan->run - inside, end - at);
    size_t from[ERT_BROADCAST_OPERANDS];
    for (int k = 0; k < plan->operands; k++) from[k] = base[k] + inside * plan->step[k];
    job->fn(job->arg, plan, n, from, at);
    at += n;
    inside = 0;
    for (int axis = plan->rank - 1; axis >= 0; axis--) {
      const bool wraps = ++index[axis] == plan->dims[axis];
      if (wraps) index[axis] = 0;
      for (int k = 0; k < plan->operands; k++) {
        const size_t stride = plan->strides[k][axis];
        if (wraps) base[k] -= (plan->dims[axis] - 1) * stride;
        else base[k] += stride;
      }
      if (!wraps) break;
    }
  }
}

void ert_broadcast_run(const ert_broadcast *plan, ert_pool *pool, ert_broadcast_fn fn, void *arg) {
  broadcast_job job = {plan, fn, arg};
  ert_pool_run(pool, plan->elements / PIECE + (plan->elements % PIECE != 0), run_piece, &job);
}
