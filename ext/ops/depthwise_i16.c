#include "ops/conv_i16.h"

enum { CHANNELS = 64, PART = 256 }; /* channels that a task sums up at once; taps whose sum fits into int32 */
#define WORK_PER_TASK ((size_t)1 << 15)

typedef struct depthwise_i16 {
  ert_window window; /* channels: those of the input */
  ert_rule_i16 rule;
  size_t multiplier, tasks;
} depthwise_i16;

ert_status ert_depthwise_i16_prepare(ert_prepare *p, ert_op *op, const ert_window *window, size_t multiplier,
                                     int activation) {
  const ert_tensor *w = op->in[1];
  ERT_REQUIRE(p, w->elements > 0, "weights are empty");
  depthwise_i16 *d = ert_prepare_alloc(p, sizeof *d);
  if (d == NULL) return ERT_OUT_OF_MEMORY;
  *d = (depthwise_i16){.window = *window, .multiplier = multiplier};
  const size_t outputs = (size_t)w->dims[2], taps = w->elements / outputs;
  ERT_TRY(ert_rule_i16_init(p, op, outputs, 2, taps, activation, ERT_RESCALE_64, &d->rule));
  const size_t work = op->out[0]->elements > SIZE_MAX / taps ? SIZE_MAX : op->out[0]->elements * taps;
  d->tasks = ert_min_size((size_t)ert_prepare_threads(p), work / WORK_PER_TASK);
  d->tasks = ert_max_size(1, ert_min_size(d->tasks, window->batch * window->out_h * window->out_w));
  op->state = d;
  return ERT_OK;
}

static void add_tap(const depthwise_i16 *d, size_t first, size_t n, const int16_t *x, const int8_t *w, int32_t *part) {
  if (d->multiplier == 1) {
    for (size_t c = 0; c < n; c++) part[c] += x[first + c] * w[c];
  } else {
    for (size_t c = 0; c < n; c++) part[c] += x[(first + c) / d->multiplier] * w[c];
  }
}

/* Output channels first .. first + n - 1 of one pixel. */
static void run_pixel(const depthwise_i16 *d, const int16_t *image, const int8_t *weights, size_t y, size_t x,
                      size_t first, size_t n, int16_t *out) {
  const ert_window *w = &d->window;
  const size_t outputs = w->channels * d->multiplier;
  int64_t sums[CHANNELS] = {0};
  int32_t part[CHANNELS] = {0};
  size_t done = 0;
  for (size_t tap = 0; tap < w->kernel_h * w->kernel_w; tap++) {
    size_t in_y, in_x;
    if (!ert_tap_at(y, w->stride_h, tap / w->kernel_w, w->dilation_h, w->pad_top, w->in_h, &in_y) ||
        !ert_tap_at(x, w->stride_w, tap % w->kernel_w, w->dilation_w, w->pad_left, w->in_w, &in_x))
      continue;
    add_tap(d, first, n, image + (in_y * w->in_w + in_x) * w->channels, weights + tap * outputs + first, part);
    if (++done % PART == 0) {
      for (size_t c = 0; c < n; c++) {
        sums[c] += part[c];
        part[c] = 0;
      }
    }
  }
  for (size_t c = 0; c < n; c++) out[first + c] = ert_rule_i16_apply(&d->rule, first + c, sums[c] + part[c]);
}

static void run_task(void *arg, size_t task) {
  const ert_op *op = arg;
  const depthwise_i16 *d = op->state;
  const ert_window *w = &d->window;
  const size_t outputs = w->channels * d->multiplier;
  size_t begin, end;
  ert_split(w->batch * w->out_h * w->out_w, 1, d->tasks, task, &begin, &end);
  for (size_t pixel = begin; pixel < end; pixel++) {
    const size_t line = pixel / w->out_w;
    const int16_t *image = (const int16_t *)op->in[0]->data + line / w->out_h * w->in_h * w->in_w * w->channels;
    for (size_t first = 0; first < outputs; first += CHANNELS) {
      run_pixel(d, image, op->in[1]->data, line % w->out_h, pixel % w->out_w, first,
                ert_min_size(CHANNELS, outputs - first), (int16_t *)op->out[0]->data + pixel * outputs);
    }
  }
}

ert_status ert_depthwise_i16_invoke(ert_op *op) {
  ert_pool_run(op->pool, ((const depthwise_i16 *)op->state)->tasks, run_task, op);
  return ERT_OK;
}
