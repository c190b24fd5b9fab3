#include "ops/conv_i16.h"

#include <string.h>

#include "ops/weighted.h"

/* Products of an int16 and an int8 number are at most 2^22 large: so many of them sum up within int32. */
enum { PART = 256, TOGETHER = 4 };
#define WORK_PER_TASK ((size_t)1 << 16) /* multiplications */

typedef struct conv_i16 {
  ert_window window;
  ert_rule_i16 rule;
  const int16_t *weights; /* widened: products of int16 pairs are what processors add up fastest */
  size_t groups, group_channels, group_outputs;
  size_t terms;           /* of a sum: taps times channels of a group */
  size_t tasks, row_bytes;
  bool in_place;          /* an output pixel reads one input pixel, where it lies */
} conv_i16;

ert_status ert_conv_i16_prepare(ert_prepare *p, ert_op *op, const ert_window *window, size_t groups,
                                size_t out_channels, int activation, ert_rescaling rescaling) {
  const ert_tensor *w = op->in[1];
  ERT_REQUIRE(p, w->elements > 0, "weights are empty");
  conv_i16 *c = ert_prepare_alloc(p, sizeof *c);
  if (c == NULL) return ERT_OUT_OF_MEMORY;
  *c = (conv_i16){.window = *window, .groups = groups, .terms = w->elements / out_channels};
  c->group_channels = window->channels / groups;
  c->group_outputs = out_channels / groups;
  ERT_TRY(ert_rule_i16_init(p, op, out_channels, 0, c->terms, activation, rescaling, &c->rule));
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(w->elements, sizeof(int16_t), &bytes), "%zu weights are too many", w->elements);
  int16_t *wide = ert_prepare_alloc(p, bytes);
  if (wide == NULL) return ERT_OUT_OF_MEMORY;
  const int8_t *narrow = w->data;
  for (size_t i = 0; i < w->elements; i++) wide[i] = narrow[i];
  c->weights = wide;
  c->in_place = groups == 1 && window->kernel_h == 1 && window->kernel_w == 1 && !window->padded;
  const size_t pixels = window->batch * window->out_h * window->out_w;
  const size_t work = op->out[0]->elements > SIZE_MAX / c->terms ? SIZE_MAX : op->out[0]->elements * c->terms;
  c->tasks = ert_min_size((size_t)ert_prepare_threads(p), work / WORK_PER_TASK);
  c->tasks = ert_max_size(1, ert_min_size(c->tasks, pixels));
  c->row_bytes = ert_round_up(c->terms * sizeof(int16_t), ERT_ALIGN);
  ERT_REQUIRE(p, ert_mul(c->row_bytes, c->tasks, &bytes), "windows of %zu elements are too large", c->terms);
  ert_prepare_scratch(p, c->in_place ? 0 : bytes);
  op->state = c;
  op->unread = ERT_WEIGHTS; /* a bias of int64 is read where it lies */
  return ERT_OK;
}

/* What the window of one output pixel sees of one group, tap after tap; 0 outside the image. */
static void gather(const conv_i16 *c, const int16_t *image, size_t y, size_t x, size_t group, int16_t *row) {
  const ert_window *w = &c->window;
  const size_t n = c->group_channels, pixel = n * sizeof(int16_t);
  for (size_t ky = 0; ky < w->kernel_h; ky++) {
    size_t in_y, in_x;
    if (!ert_tap_at(y, w->stride_h, ky, w->dilation_h, w->pad_top, w->in_h, &in_y)) {
      memset(row, 0, w->kernel_w * pixel);
      row += w->kernel_w * n;
      continue;
    }
    for (size_t kx = 0; kx < w->kernel_w; kx++, row += n) {
      if (ert_tap_at(x, w->stride_w, kx, w->dilation_w, w->pad_left, w->in_w, &in_x)) {
        memcpy(row, image + (in_y * w->in_w + in_x) * w->channels + group * n, pixel);
      } else {
        memset(row, 0, pixel);
      }
    }
  }
}

static int64_t dot(size_t n, const int16_t *x, const int16_t *w) {
  int64_t sum = 0;
  for (size_t begin = 0; begin < n; begin += PART) {
    const size_t end = ert_min_size(begin + PART, n);
    int32_t part = 0;
    for (size_t i = begin; i < end; i++) part += x[i] * w[i];
    sum += part;
  }
  return sum;
}

/* One row of x with TOGETHER rows of weights, so that it is loaded once for all of them. */
static void dots(size_t n, const int16_t *x, const int16_t *w, int64_t *sums) {
  const int16_t *w1 = w + n, *w2 = w1 + n, *w3 = w2 + n;
  for (int i = 0; i < TOGETHER; i++) sums[i] = 0;
  for (size_t begin = 0; begin < n; begin += PART) {
    const size_t end = ert_min_size(begin + PART, n);
    int32_t part0 = 0, part1 = 0, part2 = 0, part3 = 0;
    for (size_t i = begin; i < end; i++) {
      part0 += x[i] * w[i];
      part1 += x[i] * w1[i];
      part2 += x[i] * w2[i];
      part3 += x[i] * w3[i];
    }
    sums[0] += part0;
    sums[1] += part1;
    sums[2] += part2;
    sums[3] += part3;
  }
}

static void run_row(const conv_i16 *c, const int16_t *row, size_t first, int16_t *y) {
  const int16_t *w = c->weights + first * c->terms;
  size_t o = 0;
  for (; o + TOGETHER <= c->group_outputs; o += TOGETHER) {
    int64_t sums[TOGETHER];
    dots(c->terms, row, w + o * c->terms, sums);
    for (size_t i = 0; i < TOGETHER; i++) y[o + i] = ert_rule_i16_apply(&c->rule, first + o + i, sums[i]);
  }
  for (; o < c->group_outputs; o++)
    y[o] = ert_rule_i16_apply(&c->rule, first + o, dot(c->terms, row, w + o * c->terms));
}

static void run_task(void *arg, size_t task) {
  const ert_op *op = arg;
  const conv_i16 *c = op->state;
  const ert_window *w = &c->window;
  int16_t *row = c->in_place ? NULL : (int16_t *)(void *)((uint8_t *)op->scratch + task * c->row_bytes);
  size_t begin, end;
  ert_split(w->batch * w->out_h * w->out_w, 1, c->tasks, task, &begin, &end);
  for (size_t pixel = begin; pixel < end; pixel++) {
    const size_t x = pixel % w->out_w, line = pixel / w->out_w, y = line % w->out_h;
    const int16_t *image = (const int16_t *)op->in[0]->data + line / w->out_h * w->in_h * w->in_w * w->channels;
    int16_t *out = (int16_t *)op->out[0]->data + pixel * c->groups * c->group_outputs;
    if (c->in_place) {
      run_row(c, image + (y * w->stride_h * w->in_w + x * w->stride_w) * w->channels, 0, out);
      continue;
    }
    for (size_t group = 0; group < c->groups; group++) {
      gather(c, image, y, x, group, row);
      run_row(c, row, group * c->group_outputs, out + group * c->group_outputs);
    }
  }
}

ert_status ert_conv_i16_invoke(ert_op *op) {
  ert_pool_run(op->pool, ((const conv_i16 *)op->state)->tasks, run_task, op);
  return ERT_OK;
}
