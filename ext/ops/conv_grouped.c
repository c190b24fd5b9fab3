#include "ops/conv_grouped.h"

/* Multiplications below which another thread costs more than it saves. */
#define WORK_PER_TASK ((size_t)1 << 17)
enum { MAX_KERNEL_H = 32 }; /* rows of a window: their pointers lie on the stack */

ert_status ert_conv_grouped_prepare(ert_prepare *p, ert_op *op, const ert_window *window, const ert_output_rule *rule,
                                    size_t groups, size_t out_channels, const void *weights, const void *bias,
                                    ert_conv_grouped **made) {
  *made = NULL;
  const size_t group = window->channels / groups;
  if (!rule->is_int8 || rule->zero_w != 0 || out_channels != window->channels || window->kernel_h > MAX_KERNEL_H)
    return ERT_OK;
  const ert_qgroup_kernel *kernel = ert_qgroup_select(ert_prepare_isa(p), window->channels, group);
  if (kernel == NULL) return ERT_OK;

  const size_t taps = window->kernel_h * window->kernel_w; /* no more than the weights have */
  const size_t padded = ert_window_padded_bytes(window, 1), packed = ert_qgroup_packed_bytes(out_channels, group, taps);
  ERT_REQUIRE(p, padded != 0 && packed != 0, "the padded input of %zu by %zu, or the weights, are too large",
              window->needed_h, window->needed_w);
  ert_conv_grouped *conv = ert_prepare_alloc(p, sizeof *conv);
  ERT_TRY(ert_prepare_constants(p));
  uint8_t *to = ert_prepare_alloc(p, packed);
  if (conv == NULL || to == NULL) return ERT_OUT_OF_MEMORY;
  ert_qgroup_pack(out_channels, group, taps, weights, bias, rule->multipliers, rule->zero_x, to);
  ert_prepare_scratch(p, padded);
  const size_t rows = window->batch * window->out_h; /* no more than the output's elements, as the next product */
  size_t work;
  if (!ert_mul(rows * window->out_w * out_channels, taps * group, &work)) work = SIZE_MAX;
  const size_t wanted = ert_min_size((size_t)ert_prepare_threads(p), work / WORK_PER_TASK);
  *conv = (ert_conv_grouped){
      .window = *window, .rule = *rule, .kernel = kernel, .row_bytes = window->needed_w * window->channels,
      .tasks = ert_max_size(1, ert_min_size(wanted, rows)),
      .args = {.channels = out_channels, .group = group, .kernel_h = window->kernel_h, .kernel_w = window->kernel_w,
               .tap_stride = window->dilation_w * window->channels, .pixel_stride = window->stride_w * window->channels,
               .weights = to, .out_zero = rule->zero_y, .out_min = rule->lo_i8, .out_max = rule->hi_i8,
               .wide = rule->wide},
  };
  op->unread = ERT_WEIGHTS_AND_BIAS;
  op->kernel = kernel->name;
  *made = conv;
  return ERT_OK;
}

typedef struct grouped_run {
  const ert_conv_grouped *conv;
  const void *x;
  uint8_t *padded;
  int8_t *y;
} grouped_run;

/* Rows of the input with padding around them, as unsigned bytes. */
static void pad_task(void *arg, size_t task) {
  const grouped_run *run = arg;
  const ert_conv_grouped *conv = run->conv;
  const size_t row_bytes = conv->row_bytes; /* stores of bytes cannot change it: the loop becomes vectors */
  size_t begin, end;
  ert_split(conv->window.batch * conv->window.needed_h, 1, conv->tasks, task, &begin, &end);
  for (size_t y = begin; y < end; y++) {
    ert_window_pad_row(&conv->window, 1, y, conv->rule.zero_x, run->x, run->padded);
    uint8_t *row = run->padded + y * row_bytes;
    for (size_t i = 0; i < row_bytes; i++) row[i] ^= 0x80;
  }
}

static void run_task(void *arg, size_t task) {
  const grouped_run *run = arg;
  const ert_conv_grouped *conv = run->conv;
  const ert_window *w = &conv->window;
  size_t begin, end;
  ert_split(w->batch * w->out_h, 1, conv->tasks, task, &begin, &end);
  for (size_t y = begin; y < end; y++) {
    const size_t top = y / w->out_h * w->needed_h + y % w->out_h * w->stride_h;
    const uint8_t *rows[MAX_KERNEL_H];
    for (size_t i = 0; i < w->kernel_h; i++) rows[i] = run->padded + (top + i * w->dilation_h) * conv->row_bytes;
    conv->kernel->run(&conv->args, w->out_w, rows, run->y + y * w->out_w * w->channels);
  }
}

ert_status ert_conv_grouped_invoke(ert_op *op, const ert_conv_grouped *conv) {
  grouped_run run = {conv, op->in[0]->data, op->scratch, op->out[0]->data};
  ert_pool_run(op->pool, conv->tasks, pad_task, &run);
  ert_pool_run(op->pool, conv->tasks, run_task, &run);
  return ERT_OK;
}
