/* Whether it pays to hand values from operator to operator in a ring of rows instead of whole tensors.
 *
 * It does where the tensors between the operators do not stay in the last cache before memory: then a writer sends them
 * there, and the reader has to fetch them back. A cache that replaces the least recently used line has lost the beginning
 * of a tensor, when its reader comes for it, if the tensor and its writer's input together are larger than what weights
 * and the rest leave of the cache. From a third-level cache tensors come back as fast as they are read: on a core with
 * one, bands cost 1 to 2 % and gain nothing. The price are more and smaller calls, rows that two tasks compute both, and
 * shares of whole rows, which are more uneven than those of pixels.
 *
 * For MobileNetV2 1.0 224 on four threads, cachegrind with the caches of a Cortex-A53 (32 KiB, 512 KiB) counts 97
 * thousand lines missed instead of 215, with those of an A72 (32 KiB, 1 MiB) 86 instead of 130; 54 of them are the
 * weights, once. */
#include "core/internal.h"

/* Of a small board: memory moves so many bytes in a cycle, for all cores together; a core multiplies and adds so often. */
enum { BYTES_PER_CYCLE = 2, MACS_PER_CYCLE = 16 };
static const double CALLS = 0.02; /* of the work: what smaller calls cost */

bool ert_group_fits(const ert_group *group, const ert_cache *level2) {
  return group->task_bytes <= level2->bytes / 2 / ert_min_size(group->tasks, (size_t)level2->cores);
}

/* Multiply-adds of an operator, about. */
static double work(const ert_op *op) {
  const ert_tensor *y = op->out[0];
  const bool elements = op->bands.kind == ERT_BAND_ELEMENTS;
  return (double)y->elements * (elements ? 1 : (double)op->in[1]->elements / (double)y->dims[y->rank - 1]);
}

bool ert_group_pays(const ert_group *group, const ert_cache *last) {
  const size_t caches = (group->tasks + (size_t)last->cores - 1) / (size_t)last->cores;
  const double room = 0.75 * (double)last->bytes * (double)caches;
  double saved_bytes = 0, all_work = 0, head_work = 0;
  for (uint32_t i = 0; i < group->count; i++) {
    const ert_op *op = group->members[i].op;
    const ert_place *y = &group->members[i].y;
    all_work += work(op);
    if (i < group->head) head_work += work(op);
    if (y->kind != ERT_PLACE_TENSOR && y->tensor == op->out[0] && /* the last of those that work in place */
        (double)op->in[0]->bytes + (double)op->out[0]->bytes > room)
      saved_bytes += 2.0 * (double)op->out[0]->bytes;
  }
  const ert_band_window *w = &group->window;
  const double tasks = (double)group->tasks, rows = (double)group->units;
  double extra_work = CALLS * all_work / tasks;
  extra_work += all_work / tasks * ((double)((group->units + group->tasks - 1) / group->tasks) * tasks / rows - 1);
  if (group->head != 0 && group->tasks > 1 && w->span > w->stride)
    extra_work += head_work / rows * (double)(w->span - w->stride) / (double)w->stride;
  return saved_bytes / BYTES_PER_CYCLE > extra_work / MACS_PER_CYCLE;
}
