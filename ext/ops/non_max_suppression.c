/* Boxes chosen class by class: schemas/ert.fbs says how, and what the outputs hold (ONNX and TFLite NonMaxSuppression). */
#include <string.h>

#include "ops/boxes.h"

typedef struct nms_state {
  size_t batch, classes, boxes;
  size_t most;  /* of a class */
  size_t parts;
  ert_box_rule rule;
} nms_state;

/* Scratch: all boxes as corners in order, the count of every class, then for every part its candidates and choices. */
static ert_box *corners_of(const ert_op *op) { return op->scratch; }
static int32_t *counts_of(const ert_op *op) {
  const nms_state *s = op->state;
  return (int32_t *)(corners_of(op) + s->batch * s->boxes);
}
static ert_box_candidate *candidates_of(const ert_op *op, size_t part) {
  const nms_state *s = op->state;
  return (ert_box_candidate *)(counts_of(op) + s->batch * s->classes) + part * (s->boxes + s->most);
}

static ert_status check_threshold(ert_prepare *p, const ert_op *op, uint32_t input) {
  if (input >= op->in_count || op->in[input] == NULL) return ERT_OK;
  ERT_TRY(ert_check_dtype(p, op->in[input], "a threshold", ERT_DTYPE_FLOAT32));
  ERT_REQUIRE(p, op->in[input]->elements == 1, "a threshold has %zu elements, needed 1", op->in[input]->elements);
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *boxes = op->in[0], *scores = op->in[1];
  ERT_TRY(ert_check_dtype(p, boxes, "boxes", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_dtype(p, scores, "scores", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_rank(p, boxes, "boxes", 3));
  ERT_TRY(ert_check_rank(p, scores, "scores", 3));
  ERT_REQUIRE(p, boxes->dims[2] == 4 && boxes->dims[0] == scores->dims[0] && boxes->dims[1] == scores->dims[2],
              "boxes [%d,%d,%d] and scores [%d,%d,%d], needed [B,N,4] and [B,C,N]", (int)boxes->dims[0],
              (int)boxes->dims[1], (int)boxes->dims[2], (int)scores->dims[0], (int)scores->dims[1],
              (int)scores->dims[2]);
  ERT_TRY(check_threshold(p, op, 2));
  ERT_TRY(check_threshold(p, op, 3));
  ERT_TRY(ert_check_dtype(p, op->out[0], "the output of indices", ERT_DTYPE_INT32));
  ERT_TRY(ert_check_dtype(p, op->out[1], "the output of scores", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_dtype(p, op->out[2], "the output of the count", ERT_DTYPE_INT32));
  const int32_t most = ert_non_max_suppression_attrs_max_output(op->attrs);
  ERT_REQUIRE(p, most >= 0, "max_output is %d, needed 0 or more", (int)most);
  nms_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  s->batch = (size_t)scores->dims[0];
  s->classes = (size_t)scores->dims[1];
  s->boxes = (size_t)scores->dims[2];
  s->most = ert_min_size((size_t)most, s->boxes);
  s->rule.soft_sigma = ert_non_max_suppression_attrs_soft_sigma(op->attrs);
  s->rule.inclusive = ert_non_max_suppression_attrs_inclusive(op->attrs);
  op->state = s;
  size_t lists, rows, corners, counts, candidates, bytes;
  ERT_REQUIRE(p, ert_mul(s->batch, s->classes, &lists) && ert_mul(lists, s->most, &rows) && rows <= INT32_MAX,
              "%zu boxes of each of %zu classes are too many", s->most, s->classes);
  s->parts = ert_max_size(1, ert_min_size((size_t)ert_prepare_threads(p), lists));
  const bool fits = ert_mul(s->batch * s->boxes, sizeof(ert_box), &corners) &&
                    ert_mul(lists, sizeof(int32_t), &counts) &&
                    ert_mul(s->boxes + s->most, s->parts * sizeof(ert_box_candidate), &candidates) &&
                    ert_add(corners, counts, &bytes) && ert_add(bytes, candidates, &bytes);
  ERT_REQUIRE(p, fits, "there are too many boxes");
  ert_prepare_scratch(p, bytes);
  const int32_t selected[2] = {(int32_t)rows, 3}, one = 1;
  ERT_TRY(ert_prepare_shape(p, op->out[0], 2, selected));
  ERT_TRY(ert_prepare_shape(p, op->out[1], 1, selected));
  return ert_prepare_shape(p, op->out[2], 1, &one);
}

static void order_corners(const float *from, size_t n, bool center, ert_box *to) {
  for (size_t i = 0; i < n; i++, from += 4) {
    ert_box box = {from[0], from[1], from[2], from[3]};
    if (center) {
      const float half_width = from[2] / 2, half_height = from[3] / 2;
      box = (ert_box){from[1] - half_height, from[0] - half_width, from[1] + half_height, from[0] + half_width};
    } else {
      if (from[0] > from[2]) box.y1 = from[2], box.y2 = from[0];
      if (from[1] > from[3]) box.x1 = from[3], box.x2 = from[1];
    }
    to[i] = box;
  }
}

/* Every class writes where its rows would stand if every class chose as many as it may. */
static void choose(void *arg, size_t part) {
  const ert_op *op = arg;
  const nms_state *s = op->state;
  ert_box_candidate *candidates = candidates_of(op, part), *chosen = candidates + s->boxes;
  size_t begin, end;
  ert_split(s->batch * s->classes, 1, s->parts, part, &begin, &end);
  for (size_t list = begin; list < end; list++) {
    const float *scores = (const float *)op->in[1]->data + list * s->boxes;
    const size_t image = list / s->classes;
    size_t n = 0;
    for (size_t i = 0; i < s->boxes; i++) {
      if (scores[i] > s->rule.score_threshold) candidates[n++] = (ert_box_candidate){scores[i], (int32_t)i, 0};
    }
    const size_t count =
        ert_boxes_choose(&s->rule, corners_of(op) + image * s->boxes, candidates, n, chosen, s->most);
    counts_of(op)[list] = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
      const size_t row = list * s->most + i;
      int32_t *to = (int32_t *)op->out[0]->data + 3 * row;
      to[0] = (int32_t)image;
      to[1] = (int32_t)(list % s->classes);
      to[2] = chosen[i].index;
      ((float *)op->out[1]->data)[row] = chosen[i].score;
    }
  }
}

static float threshold(const ert_op *op, uint32_t input, float stated) {
  return input < op->in_count && op->in[input] != NULL ? *(const float *)op->in[input]->data : stated;
}

static ert_status invoke(ert_op *op) {
  nms_state *s = op->state;
  int32_t *selected = op->out[0]->data;
  float *scores = op->out[1]->data;
  const size_t rows = op->out[1]->elements;
  size_t used = 0;
  if (rows > 0) {
    s->rule.iou_threshold = threshold(op, 2, ert_non_max_suppression_attrs_iou_threshold(op->attrs));
    s->rule.score_threshold = threshold(op, 3, ert_non_max_suppression_attrs_score_threshold(op->attrs));
    order_corners(op->in[0]->data, s->batch * s->boxes, ert_non_max_suppression_attrs_center(op->attrs),
                  corners_of(op));
    ert_pool_run(op->pool, s->parts, choose, op);
    for (size_t list = 0; list < s->batch * s->classes; list++) {
      const size_t count = (size_t)counts_of(op)[list], from = list * s->most;
      memmove(selected + 3 * used, selected + 3 * from, 3 * count * sizeof *selected);
      memmove(scores + used, scores + from, count * sizeof *scores);
      used += count;
    }
    memset(selected + 3 * used, 0xff, 3 * (rows - used) * sizeof *selected); /* -1 */
    memset(scores + used, 0, (rows - used) * sizeof *scores);
  }
  *(int32_t *)op->out[2]->data = (int32_t)used;
  return ERT_OK;
}

const ert_op_def ert_op_non_max_suppression = {"non_max_suppression", 2, 4, 3, prepare, invoke, 0};
