/* Choosing boxes: the best score first, without those that overlap one chosen before (non-maximum suppression). */
#ifndef ERT_OPS_BOXES_H
#define ERT_OPS_BOXES_H

#include "ops/op.h"

/* Corners with y1 <= y2 and x1 <= x2. */
typedef struct ert_box {
  float y1, x1, y2, x2;
} ert_box;

typedef struct ert_box_candidate {
  float score;
  int32_t index; /* of its box */
  int32_t seen;  /* chosen ones that it has been compared with */
} ert_box_candidate;

typedef struct ert_box_rule {
  float iou_threshold;
  float score_threshold; /* of a score that has fallen: it goes unless it is greater */
  float soft_sigma;      /* 0: scores do not fall */
  bool inclusive;        /* an IoU equal to the threshold is too much */
  /* Computes boxes[index] before it is first looked at, which few are; NULL: all are there. */
  void (*compute)(const ert_op *op, size_t index);
  const ert_op *op;
} ert_box_rule;

/* Intersection over union; 0 for a box without area. */
float ert_box_iou(const ert_box *a, const ert_box *b);

/* Chooses at most `most` of n candidates, in falling order of their scores, the lower index first among equals. Writes
 * the chosen to the front of `chosen` (room for `most`) and returns how many there are. Uses up the candidates. */
size_t ert_boxes_choose(const ert_box_rule *rule, const ert_box *boxes, ert_box_candidate *candidates, size_t n,
                        ert_box_candidate *chosen, size_t most);

#endif
