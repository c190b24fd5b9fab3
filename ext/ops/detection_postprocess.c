/* The boxes of a single-shot detector: encodings and anchors become boxes, of which the best are chosen. It does what
 * TFLite_Detection_PostProcess does, and among equal scores takes the lower class and the lower box first.
 *
 * regular: every class chooses boxes for itself, at most detections_per_class, and the best of all are reported. Else
 * boxes are chosen once, by the score of their best class, and each is reported with max_classes_per_detection of them. */
#include <math.h>
#include <string.h>

#include "ops/boxes.h"

typedef struct encoding {
  float y, x, h, w;
} encoding;

typedef struct detection {
  float score;
  int32_t box, label;
} detection;

typedef struct postprocess_state {
  size_t boxes, coordinates; /* encodings, numbers of each (key points come behind the box) */
  size_t columns, classes;   /* scores of a box, of which the first is the background's when there are more */
  size_t most, labels, rows; /* detections, classes of each, rows of the outputs */
  size_t per_class;
  float score_threshold;
  encoding scale;
  ert_box_rule rule;
} postprocess_state;

/* Scratch: the boxes, candidates, those chosen of them, and the best detections of all classes. */
static ert_box *boxes_of(const ert_op *op) { return op->scratch; }
static ert_box_candidate *candidates_of(const ert_op *op) {
  return (ert_box_candidate *)(boxes_of(op) + ((const postprocess_state *)op->state)->boxes);
}

static ert_status read_attrs(ert_prepare *p, const ert_op *op, postprocess_state *s) {
  const ert_fb_table attrs = op->attrs;
  const int32_t most = ert_detection_postprocess_attrs_max_detections(attrs);
  const int32_t labels = ert_detection_postprocess_attrs_max_classes_per_detection(attrs);
  const int32_t per_class = ert_detection_postprocess_attrs_detections_per_class(attrs);
  const int32_t classes = ert_detection_postprocess_attrs_classes(attrs), columns = op->in[1]->dims[2];
  ERT_REQUIRE(p, most > 0 && labels > 0 && per_class > 0 && (int64_t)most * labels <= INT32_MAX / 4,
              "max_detections is %d, max_classes_per_detection %d, detections_per_class %d, needed positive numbers",
              (int)most, (int)labels, (int)per_class);
  ERT_REQUIRE(p, classes > 0 && (columns == classes || columns - 1 == classes),
              "%d classes and %d scores of a box, needed as many or one more", (int)classes, (int)columns);
  s->columns = (size_t)columns;
  s->classes = (size_t)classes;
  s->most = (size_t)most;
  s->labels = (size_t)labels;
  s->rows = (size_t)most * (size_t)labels;
  s->per_class = ert_min_size((size_t)per_class, s->boxes);
  s->score_threshold = ert_detection_postprocess_attrs_score_threshold(attrs);
  s->rule.iou_threshold = ert_detection_postprocess_attrs_iou_threshold(attrs);
  s->scale = (encoding){ert_detection_postprocess_attrs_scale_y(attrs), ert_detection_postprocess_attrs_scale_x(attrs),
                        ert_detection_postprocess_attrs_scale_h(attrs), ert_detection_postprocess_attrs_scale_w(attrs)};
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *encodings = op->in[0], *scores = op->in[1], *anchors = op->in[2];
  static const char *const names[] = {"encodings", "scores", "anchors"};
  for (int i = 0; i < 3; i++) {
    ERT_TRY(ert_check_dtype(p, op->in[i], names[i], ERT_DTYPE_FLOAT32));
    ERT_TRY(ert_check_rank(p, op->in[i], names[i], i < 2 ? 3 : 2));
  }
  const int32_t boxes = encodings->dims[1], coordinates = encodings->dims[2];
  ERT_REQUIRE(p, encodings->dims[0] == 1 && scores->dims[0] == 1, "batches of %d and %d, needed 1",
              (int)encodings->dims[0], (int)scores->dims[0]);
  ERT_REQUIRE(p, boxes > 0 && coordinates >= 4 && scores->dims[1] == boxes && anchors->dims[0] == boxes &&
                     anchors->dims[1] == 4,
              "%d encodings of %d numbers, scores of %d boxes, %d anchors of %d numbers, needed as many, and 4",
              (int)boxes, (int)coordinates, (int)scores->dims[1], (int)anchors->dims[0], (int)anchors->dims[1]);
  for (int i = 0; i < 4; i++) ERT_TRY(ert_check_dtype(p, op->out[i], "an output", ERT_DTYPE_FLOAT32));
  postprocess_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  s->boxes = (size_t)boxes;
  s->coordinates = (size_t)coordinates;
  ERT_TRY(read_attrs(p, op, s));
  op->state = s;
  size_t held, chosen, best, bytes;
  const bool fits = ert_mul(s->boxes, sizeof(ert_box) + sizeof(ert_box_candidate), &held) &&
                    ert_mul(ert_max_size(s->most, s->per_class), sizeof(ert_box_candidate), &chosen) &&
                    ert_mul(s->most, sizeof(detection), &best) && ert_add(held, chosen, &bytes) &&
                    ert_add(bytes, best, &bytes);
  ERT_REQUIRE(p, fits, "there are too many boxes");
  ert_prepare_scratch(p, bytes);
  const int32_t rows = (int32_t)s->rows, corners[3] = {1, rows, 4}, one = 1;
  ERT_TRY(ert_prepare_shape(p, op->out[0], 3, corners));
  ERT_TRY(ert_prepare_shape(p, op->out[1], 2, corners));
  ERT_TRY(ert_prepare_shape(p, op->out[2], 2, corners));
  return ert_prepare_shape(p, op->out[3], 1, &one);
}

/* In float64 and rounded where TFLite rounds, so that boxes are the same to the bit. */
static ert_box decode(const postprocess_state *s, const float *code, const float *anchor) {
  const float y = (float)((double)code[0] / s->scale.y * anchor[2] + anchor[0]);
  const float x = (float)((double)code[1] / s->scale.x * anchor[3] + anchor[1]);
  const float half_h = (float)(0.5 * exp((double)code[2] / s->scale.h) * anchor[2]);
  const float half_w = (float)(0.5 * exp((double)code[3] / s->scale.w) * anchor[3]);
  return (ert_box){y - half_h, x - half_w, y + half_h, x + half_w};
}

static void decode_box(const ert_op *op, size_t i) {
  const postprocess_state *s = op->state;
  boxes_of(op)[i] = decode(s, (const float *)op->in[0]->data + i * s->coordinates,
                           (const float *)op->in[2]->data + 4 * i);
}

/* The scores of a box without the background's. */
static const float *scores_of(const ert_op *op, size_t box) {
  const postprocess_state *s = op->state;
  return (const float *)op->in[1]->data + box * s->columns + (s->columns - s->classes);
}

static void report(ert_op *op, size_t row, detection found) {
  ((ert_box *)op->out[0]->data)[row] = boxes_of(op)[found.box];
  ((float *)op->out[1]->data)[row] = (float)found.label;
  ((float *)op->out[2]->data)[row] = found.score;
}

enum { LANES = 16 };

static float greatest(const float *x, size_t n) {
  float most = -INFINITY, lanes[LANES];
  size_t i = 0;
  for (int j = 0; j < LANES; j++) lanes[j] = most;
  for (; i + LANES <= n; i += LANES) {
    for (int j = 0; j < LANES; j++) lanes[j] = x[i + (size_t)j] > lanes[j] ? x[i + (size_t)j] : lanes[j];
  }
  for (int j = 0; j < LANES; j++) most = lanes[j] > most ? lanes[j] : most;
  for (; i < n; i++) most = x[i] > most ? x[i] : most;
  return most;
}

/* The class that comes next after `last` in falling order of scores, the lower class first among equals; -1: none. */
static int32_t next_label(const float *scores, size_t n, int32_t last) {
  int32_t found = -1;
  for (size_t i = 0; i < n; i++) {
    const bool follows = last < 0 || scores[i] < scores[last] || (scores[i] == scores[last] && (int32_t)i > last);
    if (follows && (found < 0 || scores[i] > scores[found])) found = (int32_t)i;
  }
  return found;
}

static size_t choose_once(ert_op *op) {
  const postprocess_state *s = op->state;
  ert_box_candidate *candidates = candidates_of(op), *chosen = candidates + s->boxes;
  size_t n = 0;
  for (size_t i = 0; i < s->boxes; i++) {
    const float score = greatest(scores_of(op, i), s->classes);
    if (!(score >= s->score_threshold)) continue;
    candidates[n++] = (ert_box_candidate){score, (int32_t)i, 0};
  }
  ert_box_rule rule = s->rule;
  rule.compute = decode_box;
  rule.op = op;
  const size_t count = ert_boxes_choose(&rule, boxes_of(op), candidates, n, chosen, s->most);
  for (size_t i = 0; i < count; i++) {
    const float *scores = scores_of(op, (size_t)chosen[i].index);
    int32_t label = -1;
    for (size_t k = 0; k < s->labels && (label = next_label(scores, s->classes, label)) >= 0; k++) {
      report(op, i * s->labels + k, (detection){scores[label], chosen[i].index, label});
    }
  }
  return count;
}

static size_t choose_by_class(ert_op *op) {
  const postprocess_state *s = op->state;
  ert_box_candidate *candidates = candidates_of(op), *chosen = candidates + s->boxes;
  detection *best = (detection *)(chosen + ert_max_size(s->most, s->per_class));
  size_t count = 0;
  for (size_t i = 0; i < s->boxes; i++) decode_box(op, i);
  for (size_t label = 0; label < s->classes; label++) {
    size_t n = 0;
    for (size_t i = 0; i < s->boxes; i++) {
      const float score = scores_of(op, i)[label];
      if (score >= s->score_threshold) candidates[n++] = (ert_box_candidate){score, (int32_t)i, 0};
    }
    n = ert_boxes_choose(&s->rule, boxes_of(op), candidates, n, chosen, s->per_class);
    for (size_t i = 0; i < n; i++) { /* into the best of all classes so far, behind its equals */
      const detection found = {chosen[i].score, chosen[i].index, (int32_t)label};
      if (count == s->most && !(found.score > best[count - 1].score)) break;
      size_t at = count < s->most ? count++ : count - 1;
      for (; at > 0 && found.score > best[at - 1].score; at--) best[at] = best[at - 1];
      best[at] = found;
    }
  }
  for (size_t i = 0; i < count; i++) report(op, i, best[i]);
  return count;
}

static ert_status invoke(ert_op *op) {
  for (int i = 0; i < 3; i++) memset(op->out[i]->data, 0, op->out[i]->bytes);
  const bool regular = ert_detection_postprocess_attrs_regular(op->attrs);
  *(float *)op->out[3]->data = (float)(regular ? choose_by_class(op) : choose_once(op));
  return ERT_OK;
}

const ert_op_def ert_op_detection_postprocess = {"detection_postprocess", 3, 3, 4, prepare, invoke, 0};
