#include "ops/boxes.h"

#include <math.h>

static float larger(float a, float b) { return a > b ? a : b; }
static float smaller(float a, float b) { return a < b ? a : b; }

float ert_box_iou(const ert_box *a, const ert_box *b) {
  const float height = smaller(a->y2, b->y2) - larger(a->y1, b->y1);
  const float width = smaller(a->x2, b->x2) - larger(a->x1, b->x1);
  if (!(height > 0 && width > 0)) return 0; /* most pairs */
  const float area_a = (a->y2 - a->y1) * (a->x2 - a->x1), area_b = (b->y2 - b->y1) * (b->x2 - b->x1);
  const float shared = height * width;
  return area_a > 0 && area_b > 0 ? shared / (area_a + area_b - shared) : 0;
}

static bool before(ert_box_candidate a, ert_box_candidate b) {
  return a.score > b.score || (a.score == b.score && a.index < b.index);
}

/* A heap with the best candidate at its root: `moved` sinks from `at`. */
static void sink(ert_box_candidate *heap, size_t n, size_t at, ert_box_candidate moved) {
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && before(heap[child + 1], heap[child])) child++;
    if (!before(heap[child], moved)) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

/* Compares with those chosen since the last time, the latest first: overlapping boxes have similar scores. */
static bool suppressed(const ert_box_rule *rule, const ert_box *boxes, ert_box_candidate *candidate,
                       const ert_box_candidate *chosen, size_t count) {
  const float fall = rule->soft_sigma > 0 ? -0.5f / rule->soft_sigma : 0;
  for (size_t i = count; i-- > (size_t)candidate->seen;) {
    const float iou = ert_box_iou(&boxes[candidate->index], &boxes[chosen[i].index]);
    if (iou > rule->iou_threshold || (rule->inclusive && iou == rule->iou_threshold)) return true;
    if (fall != 0) {
      candidate->score *= expf(fall * iou * iou);
      if (!(candidate->score > rule->score_threshold)) return true;
    }
  }
  candidate->seen = (int32_t)count;
  return false;
}

size_t ert_boxes_choose(const ert_box_rule *rule, const ert_box *boxes, ert_box_candidate *candidates, size_t n,
                        ert_box_candidate *chosen, size_t most) {
  size_t count = 0;
  for (size_t at = n / 2; at-- > 0;) sink(candidates, n, at, candidates[at]);
  while (n > 0 && count < most) {
    ert_box_candidate best = candidates[0];
    const float score = best.score;
    if (rule->compute != NULL && best.seen == 0) rule->compute(rule->op, (size_t)best.index);
    if (suppressed(rule, boxes, &best, chosen, count)) {
      n--;
      sink(candidates, n, 0, candidates[n]);
    } else if (best.score == score) {
      chosen[count++] = best;
      n--;
      sink(candidates, n, 0, candidates[n]);
    } else {
      sink(candidates, n, 0, best); /* its score has fallen: others may be better now */
    }
  }
  return count;
}
