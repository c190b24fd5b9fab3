#include "ops/conv_direct.h"

#include "ops/packing.h"

typedef struct conv_run {
  const ert_conv_direct *conv;
  const uint8_t *x; /* as addressed: padded, or the input itself */
  uint8_t *y;       /* of the first pixel */
} conv_run;

/* It pays to stop at the end of an output row when it has as many pixels as a tile has rows, about, and the weights, which
 * are read again for every output row then, stay in the first-level cache. */
enum { ROW_BY_ROW = 12, FEW_WEIGHTS = 16 * 1024 };

/* Dilation 1 and one group: the taps of a kernel row lie side by side, and so one tap holds them all. */
static bool taps_are_rows(const ert_window *w, size_t groups) {
  return groups == 1 && (w->dilation_w == 1 || w->kernel_w == 1);
}

static ert_status make_tap_offsets(ert_prepare *p, ert_conv_direct *conv, size_t taps, ptrdiff_t **offsets) {
  const ert_window *w = &conv->window;
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(taps, sizeof **offsets, &bytes), "a window of %zu taps is too large", taps);
  if ((*offsets = ert_prepare_alloc(p, bytes)) == NULL) return ERT_OUT_OF_MEMORY;
  const size_t per_row = taps / w->kernel_h;
  for (size_t t = 0; t < taps; t++) {
    const size_t i = t / per_row, j = t % per_row;
    (*offsets)[t] = (ptrdiff_t)(i * w->dilation_h * conv->row_stride + j * w->dilation_w * w->channels);
  }
  return ERT_OK;
}

typedef struct constants {
  const ert_conv_direct *conv;
  const uint8_t *w;
  const void *bias;
} constants;

static ert_status pack_groups(const void *context, void *packed) {
  const constants *from = context;
  const ert_dense *dense = &from->conv->dense;
  const size_t group_bytes = dense->n * dense->taps * dense->k * ert_dense_element(dense);
  for (size_t g = 0; g < from->conv->groups; g++) {
    ert_dense_pack(dense, g * dense->n, dense->n, from->w + g * group_bytes, from->bias,
                   (uint8_t *)packed + g * dense->packed_bytes);
  }
  return ERT_OK;
}

ert_status ert_conv_direct_prepare(ert_prepare *p, ert_op *op, const ert_window *window, const ert_output_rule *rule,
                                   size_t groups, size_t out_channels, const void *weights, const void *bias) {
  ert_conv_direct *conv = ert_prepare_alloc(p, sizeof *conv);
  if (conv == NULL) return ERT_OUT_OF_MEMORY;
  const size_t element = rule->is_int8 ? 1 : sizeof(float);
  conv->window = *window;
  conv->groups = groups;
  conv->rows = window->batch * window->out_h * window->out_w; /* no more than the output's elements */
  conv->row_stride = (window->padded ? window->needed_w : window->in_w) * window->channels;
  if (window->padded) {
    const size_t scratch = ert_window_padded_bytes(window, element);
    ERT_REQUIRE(p, scratch != 0, "the padded input of %zu by %zu is too large", window->needed_h, window->needed_w);
    ert_prepare_scratch(p, scratch);
  }

  const size_t group_channels = window->channels / groups, group_outputs = out_channels / groups;
  const bool rows = taps_are_rows(window, groups);
  const size_t taps = rows ? window->kernel_h : window->kernel_h * window->kernel_w;
  const size_t k = rows ? window->kernel_w * group_channels : group_channels;
  ptrdiff_t *offsets = NULL;
  ERT_TRY(make_tap_offsets(p, conv, taps, &offsets));
  ERT_TRY(ert_dense_init(p, &conv->dense, rule, conv->rows, group_outputs, taps, k, offsets));
  /* Kernels do more rows at once when they are a constant step apart: all are where pixel follows pixel, and those of an
   * output row always. */
  const bool all = window->stride_h == 1 && window->stride_w == 1 && window->out_w == window->in_w && !window->padded &&
                   window->out_h == window->in_h;
  conv->row_by_row = !all && rule->is_int8 && window->out_w >= ROW_BY_ROW && conv->dense.packed_bytes <= FEW_WEIGHTS &&
                     !conv->dense.qgemm->many_rows;
  if (all || conv->row_by_row) conv->dense.row_step = window->stride_w * window->channels;

  size_t packed_bytes;
  ERT_REQUIRE(p, ert_mul(conv->dense.packed_bytes, groups, &packed_bytes), "weights of %zu groups are too large", groups);
  const constants from = {conv, weights, bias};
  ert_packing packing = ert_dense_packing(&conv->dense, groups, out_channels, packed_bytes);
  packing.pack = pack_groups;
  packing.context = &from;
  const void *packed;
  ERT_TRY(ert_prepare_packed(p, &packing, &packed));
  conv->packed = packed;
  ERT_TRY(ert_dense_use(p, &conv->dense, groups, packed));
  conv->split = ert_dense_choose_split(&conv->dense, conv->rows, ert_prepare_threads(p));
  op->state = conv;
  op->unread = ERT_WEIGHTS_AND_BIAS;
  op->kernel = ert_dense_kernel_name(&conv->dense);
  return ERT_OK;
}

/* Pointers to the inputs of output pixels first .. first + count - 1: those of an output row are a constant step apart. */
static void make_rows(const conv_run *run, size_t first, size_t count, size_t group_offset, ert_dense_rows *rows) {
  const ert_conv_direct *conv = run->conv;
  const ert_window *w = &conv->window;
  const size_t image = (w->padded ? w->needed_h : w->in_h) * conv->row_stride, step = w->stride_w * w->channels;
  size_t ox = first % w->out_w, oy = first / w->out_w % w->out_h, n = first / (w->out_w * w->out_h);
  for (size_t i = 0; i < count;) {
    const size_t end = i + ert_min_size(count - i, w->out_w - ox);
    const size_t offset = n * image + oy * w->stride_h * conv->row_stride + ox * step + group_offset;
    if (conv->dense.rule.is_int8) {
      const int8_t *row = (const int8_t *)run->x + offset;
      for (; i < end; i++, row += step) rows->i8[i] = row;
    } else {
      const float *row = (const float *)(const void *)run->x + offset;
      for (; i < end; i++, row += step) rows->f32[i] = row;
    }
    ox = 0;
    if (++oy == w->out_h) oy = 0, n++;
  }
}

/* Output pixels [begin, end), to y, by `count` channels of a group, starting at channel `first` (a multiple of nr). */
static void run_part(const conv_run *run, size_t group, size_t begin, size_t end, size_t first, size_t count,
                     uint8_t *y) {
  const ert_conv_direct *conv = run->conv;
  const ert_dense *dense = &conv->dense;
  const size_t out_channels = dense->n * conv->groups, element = ert_dense_element(dense);
  const uint8_t *packed = conv->packed + group * dense->packed_bytes + first / dense->nr * dense->block_bytes;
  const size_t group_offset = group * (conv->window.channels / conv->groups);
  ert_dense_rows rows;
  for (size_t row = begin, m; row < end; row += m) {
    m = ert_min_size(dense->row_chunk, end - row);
    if (conv->row_by_row) m = ert_min_size(m, conv->window.out_w - row % conv->window.out_w);
    make_rows(run, row, m, group_offset, &rows);
    uint8_t *out = y + ((row - begin) * out_channels + group * dense->n + first) * element;
    ert_dense_run(dense, packed, count, m, &rows, out, out_channels);
  }
}

static void run_task(void *arg, size_t task) {
  const conv_run *run = arg;
  const ert_conv_direct *conv = run->conv;
  size_t begin = 0, end = conv->rows, first = 0, last = conv->dense.n;
  if (conv->split.by_rows) {
    ert_split(conv->rows, conv->dense.mr, conv->split.tasks, task, &begin, &end);
  } else {
    ert_split(conv->dense.n, conv->dense.nr, conv->split.tasks, task, &first, &last);
  }
  uint8_t *y = run->y + begin * conv->dense.n * conv->groups * ert_dense_element(&conv->dense);
  for (size_t g = 0; g < conv->groups && first < last; g++) run_part(run, g, begin, end, first, last - first, y);
}

typedef struct pad_run {
  const ert_conv_direct *conv;
  const void *x;
  void *padded;
  size_t tasks;
} pad_run;

static void pad_task(void *arg, size_t task) {
  const pad_run *run = arg;
  const ert_conv_direct *conv = run->conv;
  const ert_window *w = &conv->window;
  size_t begin, end;
  ert_split(w->batch * w->needed_h, 1, run->tasks, task, &begin, &end);
  for (size_t row = begin; row < end; row++) {
    ert_window_pad_row(w, ert_dense_element(&conv->dense), row, conv->dense.rule.zero_x, run->x, run->padded);
  }
}

static void pad_input(ert_op *op, const ert_conv_direct *conv) {
  if (!conv->window.padded) return;
  const size_t bytes = ert_window_padded_bytes(&conv->window, ert_dense_element(&conv->dense));
  const size_t tasks = bytes < ((size_t)1 << 16) ? 1 : conv->split.tasks; /* a copy this small is done at once */
  pad_run pad = {conv, op->in[0]->data, op->scratch, tasks};
  ert_pool_run(op->pool, tasks, pad_task, &pad);
}

static conv_run make_run(const ert_op *op, const ert_conv_direct *conv) {
  return (conv_run){conv, conv->window.padded ? op->scratch : op->in[0]->data, op->out[0]->data};
}

ert_status ert_conv_direct_invoke(ert_op *op, const ert_conv_direct *conv) {
  pad_input(op, conv);
  conv_run run = make_run(op, conv);
  ert_pool_run(op->pool, conv->split.tasks, run_task, &run);
  return ERT_OK;
}

/* --- by bands --- */

static void start_bands(ert_op *op) { pad_input(op, op->state); }

static void run_band(const ert_op *op, const ert_band *band) {
  const ert_conv_direct *conv = op->state;
  conv_run run = make_run(op, conv);
  size_t begin = band->begin, end = band->end;
  if (op->bands.kind == ERT_BAND_PIXELS) { /* pixel follows pixel: they may be counted from the band's first */
    run.x = band->x;
    begin = 0;
    end = band->end - band->begin;
  }
  for (size_t g = 0; g < conv->groups; g++) run_part(&run, g, begin, end, 0, conv->dense.n, band->y);
}

ert_bands ert_conv_direct_bands(const ert_conv_direct *conv) {
  const ert_window *w = &conv->window;
  if (conv->split.tasks > 1 && !conv->split.by_rows) return (ert_bands){.kind = ERT_BAND_NONE};
  const bool pixels = w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && !w->padded &&
                      w->out_h == w->in_h && w->out_w == w->in_w;
  ert_bands bands = {
      .kind = pixels ? ERT_BAND_PIXELS : ERT_BAND_WHOLE, .tasks = conv->split.tasks, .unit = conv->dense.mr,
      .chunk = conv->dense.row_chunk, .start = start_bands, .run = run_band,
  };
  if (conv->row_by_row) { /* whole rows, of which there are enough for every thread */
    if (w->batch * w->out_h >= 8 * bands.tasks) bands.unit = w->out_w;
    bands.chunk = (ERT_DENSE_USUAL_ROWS + w->out_w - 1) / w->out_w * w->out_w;
  }
  return bands;
}
