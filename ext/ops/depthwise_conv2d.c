/* depthwise_conv2d: x[N,H,W,C] with w[KH,KW,C*multiplier].
 *
 * The kernels compute a run of pixels of one output row from a pointer for every kernel row. Without padding on the
 * left and right those point into the input, and also when the kernel knows borders. Otherwise each task keeps the rows under its window in a ring, where
 * every input row is copied once with its padding around it. Rows above and below the input are one row of padding.
 * A multiplier above 1 repeats the channels first; with one input channel the operator is an ordinary convolution and
 * runs as one.
 */
#include <string.h>

#include "ops/conv_direct.h"
#include "ops/conv_i16.h"
#include "ops/packing.h"

/* Multiplications below which another thread costs more than it saves; a float takes as long as four int8. */
#define WORK_PER_TASK ((size_t)1 << 15)
#define FLOATS_PER_TASK (WORK_PER_TASK / 4)

typedef struct depthwise {
  ert_conv_direct *dense; /* set when the operator runs as an ordinary convolution */
  ert_window window;      /* channels: those of the output */
  ert_output_rule rule;
  const ert_qdw_kernel *qdw;
  const ert_fdw_kernel *fdw;
  const void *packed;
  size_t multiplier, element;
  size_t out_rows;       /* that the kernel computes at once: 1 or 2 */
  bool turned;           /* the kernel gets the rows of a 3x3 window in this order: */
  uint8_t row_order[3];
  bool in_place;         /* rows are read where they are */
  bool borders;          /* in place, with padding on the left and right that the kernel adds itself */
  size_t tasks;
  size_t row_bytes;      /* of a padded row */
  size_t ring_bytes;     /* a task's ring of padded rows */
  size_t task_bytes;     /* those, and then the row pointers of its windows */
  size_t expanded_bytes; /* the input with its channels repeated; 0 when multiplier is 1 */
} depthwise;

/* Of the padded input, under the windows that are computed at once. */
static size_t ring_rows(const depthwise *d) { return d->window.span_h + d->out_rows - 1; }

/* Scratch: [expanded input][row of padding][ring and row pointers of each task], each aligned. */
static ert_status plan_scratch(ert_prepare *p, depthwise *d) {
  const ert_window *w = &d->window;
  const size_t pixel = w->channels * d->element; /* no more than an output pixel */
  size_t total, rings, pointers;
  const bool inside = w->pad_left == 0 && w->needed_w <= w->in_w;
  /* Few channels with stride 1 do better with copied rows: their pixels then fill the vectors together. */
  const size_t few = d->qdw == NULL ? 0 : d->out_rows == 2 ? d->qdw->nr / 4 : d->qdw->nr - 1u;
  const bool together = w->channels <= few && w->stride_w == 1 && d->qdw->nr % w->channels == 0;
  d->borders = !inside && !together && d->qdw != NULL && d->qdw->borders;
  d->in_place = inside || d->borders;
  bool fits = ert_mul(w->needed_w, pixel, &d->row_bytes) && d->row_bytes <= PTRDIFF_MAX &&
              ert_mul(d->in_place ? 0 : ring_rows(d), d->row_bytes, &d->ring_bytes) && d->ring_bytes <= PTRDIFF_MAX &&
              ert_mul(w->kernel_h + d->out_rows - 1, sizeof(void *), &pointers) && pointers <= PTRDIFF_MAX;
  ERT_REQUIRE(p, fits, "an input of %zu by %zu by %zu is too large to pad", w->in_h, w->in_w, w->channels);
  d->ring_bytes = ert_round_up(d->ring_bytes, ERT_ALIGN);
  fits = ert_add(d->ring_bytes, ert_round_up(pointers, ERT_ALIGN), &d->task_bytes) &&
         ert_mul(d->task_bytes, d->tasks, &rings) && ert_add(rings, ert_round_up(d->row_bytes, ERT_ALIGN), &total);
  if (d->multiplier > 1) {
    fits = fits && ert_mul(w->batch * w->in_h * w->in_w, pixel, &d->expanded_bytes) && d->expanded_bytes <= PTRDIFF_MAX;
    d->expanded_bytes = ert_round_up(d->expanded_bytes, ERT_ALIGN);
  }
  ERT_REQUIRE(p, fits && ert_add(total, d->expanded_bytes, &total), "an input of %zu by %zu by %zu is too large to pad",
              w->in_h, w->in_w, w->channels);
  ert_prepare_scratch(p, total);
  return ERT_OK;
}

/* The row of a 3x3 window whose weights alone leave int8 when the zero point is taken off, as in legacy models the one
 * weight that sets the range of all; 3: there is no such row. */
static size_t row_beyond_int8(const depthwise *d, const int8_t *w) {
  const size_t row_weights = 3 * d->window.channels;
  size_t row = 2;
  bool found = false;
  for (size_t i = 0; i < 3 * row_weights; i++) {
    const int32_t value = w[i] - d->rule.zero_w;
    if (value >= INT8_MIN && value <= INT8_MAX) continue;
    if (value > 2 * INT8_MAX || (found && row != i / row_weights)) return 3;
    row = i / row_weights;
    found = true;
  }
  return row;
}

/* Weights with a zero point for a kernel that multiplies bytes: it gets the window's rows in d->row_order then, the one
 * that needs the spare slots last. False where that is not possible. */
static bool choose_row_order(depthwise *d, ert_isa_set isa, const int8_t *w) {
  const ert_window *window = &d->window;
  if (window->kernel_h != 3 || window->kernel_w != 3) return false;
  const ert_qdw_kernel *kernel = ert_qdw_select(isa, window->channels, 3, 3, true, false);
  const size_t last = row_beyond_int8(d, w);
  if (!kernel->int8_weights || !kernel->spare || last == 3) return false;
  d->qdw = kernel;
  d->row_order[0] = last == 0;
  d->row_order[1] = last == 2 ? 1 : 2;
  d->row_order[2] = (uint8_t)last;
  return true;
}

typedef struct constants {
  const depthwise *d;
  const void *w, *bias;
} constants;

static ert_status pack_int8(const void *context, void *packed) {
  const constants *from = context;
  const depthwise *d = from->d;
  const size_t channels = d->window.channels, taps = d->window.kernel_h * d->window.kernel_w, row = taps * channels / 3;
  const int8_t *w = from->w;
  int32_t *w_zero = NULL;
  int8_t *turned = NULL;
  ert_status status = ERT_OUT_OF_MEMORY;
  if (d->rule.zero_w != 0) {
    size_t bytes; /* the weights are as many as taps * channels */
    if (ert_mul(channels, sizeof *w_zero, &bytes)) w_zero = ert_aligned_alloc(bytes);
    if (w_zero == NULL) goto cleanup;
    for (size_t c = 0; c < channels; c++) w_zero[c] = d->rule.zero_w;
  }
  if (d->turned) {
    if ((turned = ert_aligned_alloc(taps * channels)) == NULL) goto cleanup;
    for (size_t i = 0; i < 3; i++) memcpy(turned + i * row, w + d->row_order[i] * row, row);
    w = turned;
  }
  ert_qdw_pack(d->qdw, channels, d->window.kernel_h, d->window.kernel_w, w, w_zero, from->bias, d->rule.multipliers,
               d->rule.zero_x, packed);
  status = ERT_OK;
cleanup:
  ert_aligned_free(w_zero);
  ert_aligned_free(turned);
  return status;
}

static ert_status pack_float(const void *context, void *packed) {
  const constants *from = context;
  const ert_window *window = &from->d->window;
  ert_fdw_pack(from->d->fdw, window->channels, window->kernel_h * window->kernel_w, from->w, from->bias, packed);
  return ERT_OK;
}

static bool is_dense(const ert_window *w) {
  return w->stride_h == 1 && w->stride_w == 1 && w->dilation_h == 1 && w->dilation_w == 1;
}

static ert_status choose_kernel(ert_prepare *p, ert_op *op, depthwise *d, const void *w, const void *bias) {
  const size_t channels = d->window.channels, h = d->window.kernel_h, taps = h * d->window.kernel_w;
  const ert_isa_set isa = ert_prepare_isa(p);
  size_t bytes;
  if (d->rule.is_int8) {
    d->qdw = ert_qdw_select(isa, channels, h, d->window.kernel_w, d->rule.zero_w == 0, is_dense(&d->window));
    if (d->rule.zero_w != 0) {
      ERT_TRY(ert_prepare_constants(p));
      d->turned = choose_row_order(d, isa, w);
    }
    bytes = ert_qdw_packed_bytes(d->qdw, channels, h, d->window.kernel_w);
  } else {
    d->fdw = ert_fdw_select(isa, channels);
    bytes = ert_fdw_packed_bytes(d->fdw, channels, taps);
  }
  ERT_REQUIRE(p, bytes != 0, "weights of %zu channels by %zu taps are too large to pack", channels, taps);
  const constants from = {d, w, bias};
  const unsigned order = d->turned ? 1u + d->row_order[2] : 0;
  ert_packing packing =
      d->rule.is_int8 ? ert_qdw_packing(d->qdw, &d->rule, channels, h, d->window.kernel_w, order, bytes)
                      : ert_fdw_packing(d->fdw, channels, taps, bytes);
  packing.pack = d->rule.is_int8 ? pack_int8 : pack_float;
  packing.context = &from;
  d->out_rows = d->qdw != NULL && d->qdw->out_rows == 2 ? 2 : 1;
  op->kernel = packing.kernel_name;
  op->unread = ERT_WEIGHTS_AND_BIAS;
  return ert_prepare_packed(p, &packing, &d->packed);
}

/* One input channel: the weights [KH][KW][O] become [O][KH][KW], and conv_direct does the rest. */
static ert_status prepare_as_dense(ert_prepare *p, ert_op *op, depthwise *d, const ert_tensor *w, const void *bias) {
  const size_t outputs = (size_t)w->dims[2], taps = w->elements / outputs;
  ERT_TRY(ert_prepare_constants(p));
  uint8_t *turned = ert_aligned_alloc(w->bytes);
  if (turned == NULL) return ERT_OUT_OF_MEMORY;
  for (size_t t = 0; t < taps; t++) {
    for (size_t o = 0; o < outputs; o++) {
      memcpy(turned + (o * taps + t) * d->element, (const uint8_t *)w->data + (t * outputs + o) * d->element,
             d->element);
    }
  }
  const ert_status status = ert_conv_direct_prepare(p, op, &d->window, &d->rule, 1, outputs, turned, bias);
  ert_aligned_free(turned);
  d->dense = op->state;
  op->state = d;
  return status;
}

static void swap(size_t *a, size_t *b) {
  const size_t first = *a;
  *a = *b;
  *b = first;
}

/* A column of pixels, as convolutions over time make of their input, lies in memory like a row, and kernels take a run of
 * pixels of a row at a time. */
static void lie_down(ert_window *w) {
  if (w->in_w != 1 || w->out_w != 1 || w->kernel_w != 1 || w->pad_left != 0) return;
  swap(&w->in_h, &w->in_w);
  swap(&w->out_h, &w->out_w);
  swap(&w->kernel_h, &w->kernel_w);
  swap(&w->stride_h, &w->stride_w);
  swap(&w->dilation_h, &w->dilation_w);
  swap(&w->pad_top, &w->pad_left);
  swap(&w->span_h, &w->span_w);
  swap(&w->needed_h, &w->needed_w);
}

static void start_bands(ert_op *op);
static void run_band(const ert_op *op, const ert_band *band);

static ert_bands make_bands(const depthwise *d) {
  const ert_window *w = &d->window;
  if (d->multiplier > 1) return (ert_bands){.kind = ERT_BAND_NONE}; /* it repeats the whole input first */
  return (ert_bands){
      .kind = ERT_BAND_ROWS, .tasks = d->tasks, .unit = d->out_rows, .chunk = d->out_rows,
      .window = {w->in_h, w->out_h, w->stride_h, w->span_h, w->pad_top}, .start = start_bands, .run = run_band,
  };
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *w = op->in[1];
  ERT_TRY(ert_check_rank(p, x, "input", 4));
  ERT_TRY(ert_check_rank(p, w, "weights", 3));
  ERT_TRY(ert_check_constant(p, w, "weights"));
  const int32_t multiplier = ert_depthwise_conv2d_attrs_multiplier(op->attrs);
  ERT_REQUIRE(p, multiplier >= 1 && (int64_t)x->dims[3] * multiplier == w->dims[2],
              "weights have %d channels, needed %lld (%d input channels, multiplier %d)", (int)w->dims[2],
              (long long)x->dims[3] * multiplier, (int)x->dims[3], (int)multiplier);
  const ert_window_attrs attrs = {
      .stride_h = ert_depthwise_conv2d_attrs_stride_h(op->attrs),
      .stride_w = ert_depthwise_conv2d_attrs_stride_w(op->attrs),
      .dilation_h = ert_depthwise_conv2d_attrs_dilation_h(op->attrs),
      .dilation_w = ert_depthwise_conv2d_attrs_dilation_w(op->attrs),
      .pad_top = ert_depthwise_conv2d_attrs_pad_top(op->attrs),
      .pad_left = ert_depthwise_conv2d_attrs_pad_left(op->attrs),
      .pad_bottom = ert_depthwise_conv2d_attrs_pad_bottom(op->attrs),
      .pad_right = ert_depthwise_conv2d_attrs_pad_right(op->attrs),
  };
  if (x->dtype == ERT_DTYPE_INT16) {
    ert_window window;
    ERT_TRY(ert_window_init(p, x, (size_t)w->dims[0], (size_t)w->dims[1], &attrs, w->dims[2], op->out[0], &window));
    return ert_depthwise_i16_prepare(p, op, &window, (size_t)multiplier,
                                     ert_depthwise_conv2d_attrs_activation(op->attrs));
  }
  depthwise *d = ert_prepare_alloc(p, sizeof *d);
  if (d == NULL) return ERT_OUT_OF_MEMORY;
  *d = (depthwise){.multiplier = (size_t)multiplier};
  ERT_TRY(ert_window_init(p, x, (size_t)w->dims[0], (size_t)w->dims[1], &attrs, w->dims[2], op->out[0], &d->window));
  ERT_TRY(ert_output_rule_init(p, x, w, op->out[0], (size_t)w->dims[2], 2,
                               ert_depthwise_conv2d_attrs_activation(op->attrs), &d->rule));
  d->element = d->rule.is_int8 ? 1 : sizeof(float);
  const void *bias;
  ERT_TRY(ert_check_bias(p, op, d->rule.is_int8, (size_t)w->dims[2], &bias));
  if (x->dims[3] == 1 && multiplier > 1) return prepare_as_dense(p, op, d, w, bias);

  d->window.channels = (size_t)w->dims[2];
  lie_down(&d->window);
  ERT_TRY(choose_kernel(p, op, d, w->data, bias));
  size_t work;
  if (!ert_mul(op->out[0]->elements, d->window.kernel_h * d->window.kernel_w, &work)) work = SIZE_MAX;
  d->tasks = ert_min_size((size_t)ert_prepare_threads(p), d->window.batch * d->window.out_h);
  d->tasks = ert_max_size(1, ert_min_size(d->tasks, work / (d->rule.is_int8 ? WORK_PER_TASK : FLOATS_PER_TASK)));
  op->state = d;
  ERT_TRY(plan_scratch(p, d));
  op->bands = make_bands(d);
  return ERT_OK;
}

typedef struct depthwise_run {
  const depthwise *d;
  const uint8_t *x; /* [N,H,W,output channels], its row r at r % x_rows */
  size_t x_rows;
  uint8_t *padding_row, *rings;
} depthwise_run;

/* The kernel on `pixels` pixels of out_rows output rows; rows_at holds pointers to the first column of the first one. */
static void run_pixels(const depthwise *d, size_t pixels, size_t out_rows, const void *rows_at, uint8_t *out) {
  const ert_window *w = &d->window;
  const size_t tap_stride = w->dilation_w * w->channels, pixel_stride = w->stride_w * w->channels;
  if (d->rule.is_int8) {
    const ert_qdw_args args = {
        .channels = w->channels, .kernel_h = w->kernel_h, .kernel_w = w->kernel_w, .tap_stride = tap_stride,
        .pixel_stride = pixel_stride, .row_bytes = d->borders ? w->in_w * w->channels : 0,
        .first = d->borders ? -(ptrdiff_t)(w->pad_left * w->channels) : 0, .padding = (int8_t)d->rule.zero_x,
        .out_rows = out_rows, .out_row_bytes = w->out_w * w->channels,
        .weights = d->packed, .out_zero = d->rule.zero_y, .out_min = d->rule.lo_i8,
        .out_max = d->rule.hi_i8, .wide = d->rule.wide,
    };
    d->qdw->run(&args, pixels, rows_at, (int8_t *)out);
  } else {
    const ert_fdw_args args = {
        .channels = w->channels, .kernel_h = w->kernel_h, .kernel_w = w->kernel_w, .tap_stride = tap_stride,
        .pixel_stride = pixel_stride, .weights = d->packed, .out_min = d->rule.lo_f32, .out_max = d->rule.hi_f32,
    };
    d->fdw->run(&args, pixels, rows_at, (float *)(void *)out);
  }
}

static void set_row(const depthwise *d, void *rows_at, size_t i, const uint8_t *row) {
  if (d->rule.is_int8) {
    ((const int8_t **)rows_at)[i] = (const int8_t *)row;
  } else {
    ((const float **)rows_at)[i] = (const float *)(const void *)row;
  }
}

/* Row y of the padded input lies in the input itself. */
static bool is_inside(const ert_window *w, size_t y) { return y >= w->pad_top && y - w->pad_top < w->in_h; }

static const uint8_t *input_row(const depthwise_run *run, size_t n, size_t y) {
  const ert_window *w = &run->d->window;
  return run->x + (n * w->in_h + y - w->pad_top) % run->x_rows * w->in_w * w->channels * run->d->element;
}

/* Copies a row of the input into the ring, with padding on both sides. */
static void fill_slot(const depthwise_run *run, size_t n, size_t y, uint8_t *slot) {
  const depthwise *d = run->d;
  const ert_window *w = &d->window;
  const size_t pixel = w->channels * d->element;
  const size_t left = ert_min_size(w->pad_left, w->needed_w), inside = ert_min_size(w->in_w, w->needed_w - left);
  memset(slot, d->rule.zero_x, left * pixel);
  memcpy(slot + left * pixel, input_row(run, n, y), inside * pixel);
  memset(slot + (left + inside) * pixel, d->rule.zero_x, (w->needed_w - left - inside) * pixel);
}

/* Output rows [begin, end) of all images' rows, to out; the ring keeps row y of the padded input in slot
 * y mod ring_rows. */
static void run_rows(const depthwise_run *run, size_t begin, size_t end, uint8_t *ring, uint8_t *out) {
  const depthwise *d = run->d;
  const ert_window *w = &d->window;
  void *rows_at = ring + d->ring_bytes;
  size_t filled = 0; /* rows of the padded image before this one have been in the ring */
  for (size_t r = begin, rows; r < end; r += rows) {
    const size_t n = r / w->out_h, oy = r % w->out_h, top = oy * w->stride_h;
    if (r == begin || oy == 0 || filled < top) filled = top;
    rows = ert_min_size(d->out_rows, ert_min_size(end - r, w->out_h - oy));
    for (; !d->in_place && filled < top + w->span_h + rows - 1; filled++) {
      if (is_inside(w, filled)) fill_slot(run, n, filled, ring + filled % ring_rows(d) * d->row_bytes);
    }
    for (size_t i = 0; i < w->kernel_h + rows - 1; i++) {
      const size_t y = top + (d->turned ? d->row_order[i] : i) * w->dilation_h;
      const uint8_t *row = run->padding_row;
      if (is_inside(w, y)) row = d->in_place ? input_row(run, n, y) : ring + y % ring_rows(d) * d->row_bytes;
      set_row(d, rows_at, i, row);
    }
    run_pixels(d, w->out_w, rows, rows_at, out + (r - begin) * w->out_w * w->channels * d->element);
  }
}

typedef struct task_run {
  depthwise_run run;
  uint8_t *y;
} task_run;

static void run_task(void *arg, size_t task) {
  const task_run *all = arg;
  const depthwise *d = all->run.d;
  const ert_window *w = &d->window;
  size_t begin, end;
  ert_split(w->batch * w->out_h, d->out_rows, d->tasks, task, &begin, &end);
  run_rows(&all->run, begin, end, all->run.rings + task * d->task_bytes,
           all->y + begin * w->out_w * w->channels * d->element);
}

typedef struct expand_run {
  const depthwise *d;
  const uint8_t *x;
  uint8_t *expanded;
} expand_run;

/* Repeats every channel `multiplier` times, so that input and output channels agree. */
static void expand_task(void *arg, size_t task) {
  const expand_run *run = arg;
  const depthwise *d = run->d;
  const ert_window *w = &d->window;
  size_t begin, end;
  ert_split(w->batch * w->in_h * w->in_w * (w->channels / d->multiplier), 1, d->tasks, task, &begin, &end);
  for (size_t i = begin; i < end; i++) {
    for (size_t m = 0; m < d->multiplier; m++)
      memcpy(run->expanded + (i * d->multiplier + m) * d->element, run->x + i * d->element, d->element);
  }
}

static depthwise_run make_run(const ert_op *op, const void *x, size_t x_rows) {
  const depthwise *d = op->state;
  uint8_t *scratch = op->scratch;
  return (depthwise_run){
      .d = d,
      .x = x,
      .x_rows = x_rows,
      .padding_row = scratch + d->expanded_bytes,
      .rings = scratch + d->expanded_bytes + ert_round_up(d->row_bytes, ERT_ALIGN),
  };
}

static ert_status invoke(ert_op *op) {
  if (op->in[0]->dtype == ERT_DTYPE_INT16) return ert_depthwise_i16_invoke(op);
  const depthwise *d = op->state;
  if (d->dense != NULL) return ert_conv_direct_invoke(op, d->dense);
  const void *x = op->in[0]->data;
  if (d->multiplier > 1) {
    expand_run expand = {d, x, op->scratch};
    ert_pool_run(op->pool, d->tasks, expand_task, &expand);
    x = op->scratch;
  }
  task_run all = {make_run(op, x, d->window.batch * d->window.in_h), op->out[0]->data};
  memset(all.run.padding_row, d->rule.zero_x, d->row_bytes);
  ert_pool_run(op->pool, d->tasks, run_task, &all);
  return ERT_OK;
}

/* --- by bands --- */

static void start_bands(ert_op *op) {
  const depthwise *d = op->state;
  memset(make_run(op, NULL, 1).padding_row, d->rule.zero_x, d->row_bytes);
}

static void run_band(const ert_op *op, const ert_band *band) {
  const depthwise *d = op->state;
  const depthwise_run run = make_run(op, band->x, band->x_rows);
  run_rows(&run, band->begin, band->end, run.rings + band->task * d->task_bytes, band->y);
}

const ert_op_def ert_op_depthwise_conv2d = {"depthwise_conv2d", 2, 3, 1, prepare, invoke, ERT_TRAIT_PACKS};
