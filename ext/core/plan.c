/* The arena: an offset for every activation, so that those which live at the same time do not overlap.
 *
 *   ops        0    1    2
 *   input     [====]
 *   a              [====]          input and b may share memory, a with neither
 *   b                   [====
 *
 * Placement is greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference"
 * (arXiv:2001.03288), algorithm "Greedy by Size for Offset Calculation". */
#include <stdlib.h>

#include "core/internal.h"

static bool live_together(const ert_plan_item *a, const ert_plan_item *b) {
  return a->first_op <= b->last_op && b->first_op <= a->last_op;
}

static int larger_first(const void *pa, const void *pb) {
  const ert_plan_item *a = pa, *b = pb;
  if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
  return a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

static int lower_first(const void *pa, const void *pb) {
  const ert_plan_item *a = pa, *b = pb;
  if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
  return a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

ert_status ert_plan(ert_plan_item *items, size_t count, size_t *arena_bytes, ert_error *error) {
  *arena_bytes = 0;
  if (count == 0) return ERT_OK;
  uint32_t *by_offset = malloc(count * sizeof *by_offset); /* items placed so far, in rising order of offset */
  if (by_offset == NULL) return ert_report(error, ERT_OUT_OF_MEMORY, "no memory to plan %zu tensors", count);
  qsort(items, count, sizeof *items, larger_first);
  for (size_t i = 0; i < count; i++) {
    size_t offset = 0, end;
    for (size_t j = 0; j < i; j++) {
      const ert_plan_item *placed = &items[by_offset[j]];
      if (!live_together(placed, &items[i])) continue;
      if (placed->offset >= offset && placed->offset - offset >= items[i].bytes) break; /* fits into the gap before it */
      offset = ert_max_size(offset, ert_round_up(placed->offset + placed->bytes, ERT_ALIGN));
    }
    if (!ert_add(offset, items[i].bytes, &end) || end > PTRDIFF_MAX - ERT_ALIGN) {
      free(by_offset);
      return ert_report(error, ERT_OUT_OF_MEMORY, "the activations do not fit into the address space");
    }
    items[i].offset = offset;
    *arena_bytes = ert_max_size(*arena_bytes, ert_round_up(end, ERT_ALIGN));
    size_t at = i;
    for (; at > 0 && items[by_offset[at - 1]].offset > offset; at--) by_offset[at] = by_offset[at - 1];
    by_offset[at] = (uint32_t)i;
  }
  free(by_offset);
  return ERT_OK;
}

bool ert_plan_is_valid(ert_plan_item *items, size_t count) {
  qsort(items, count, sizeof *items, lower_first);
  for (size_t i = 0; i < count; i++)
    for (size_t j = i + 1; j < count && items[j].offset - items[i].offset < items[i].bytes; j++)
      if (live_together(&items[i], &items[j])) return false;
  return true;
}
