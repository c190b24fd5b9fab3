#include "ops/pool2d.h"

#include "ops/move.h"
#include "ops/rule_i16.h"

/* Bounds every product below: coordinates stay far inside int32, and a sum of int8 taps inside int32. */
enum { MAX_TAPS = 1 << 22, MAX_IMAGE = 1 << 24 };

typedef struct axis_spec {
  const char *name;
  int32_t in, kernel, stride, dilation, before, after;
} axis_spec;

static ert_status output_size(ert_prepare *p, const axis_spec *a, int32_t *out) {
  ERT_REQUIRE(p, a->in >= 1 && a->in <= MAX_IMAGE, "input %s is %d, needed 1 to %d", a->name, (int)a->in, MAX_IMAGE);
  ERT_REQUIRE(p, a->kernel >= 1 && a->kernel <= MAX_TAPS, "kernel %s is %d, needed 1 to %d", a->name, (int)a->kernel,
              MAX_TAPS);
  ERT_REQUIRE(p, a->stride >= 1 && a->stride <= MAX_IMAGE, "stride %s is %d, needed 1 to %d", a->name, (int)a->stride,
              MAX_IMAGE);
  ERT_REQUIRE(p, a->dilation >= 1 && a->dilation <= MAX_IMAGE, "dilation %s is %d, needed 1 to %d", a->name,
              (int)a->dilation, MAX_IMAGE);
  const int64_t reach = (int64_t)(a->kernel - 1) * a->dilation + 1;
  ERT_REQUIRE(p, reach <= MAX_IMAGE, "the window's %s is %lld, needed at most %d", a->name, (long long)reach, MAX_IMAGE);
  ERT_REQUIRE(p, a->before >= 0 && a->before < reach && a->after >= 0 && a->after < reach,
              "padding of %s is %d and %d, needed 0 to %d, less than the window", a->name, (int)a->before,
              (int)a->after, (int)(reach - 1));
  const int32_t padded = a->in + a->before + a->after;
  ERT_REQUIRE(p, padded >= reach, "the window's %s of %d exceeds the padded input's %d", a->name, (int)reach,
              (int)padded);
  *out = (padded - (int32_t)reach) / a->stride + 1;
  return ERT_OK;
}

ert_status ert_pool2d_prepare(ert_prepare *p, const ert_op *op, ert_pool2d *pool) {
  const ert_tensor *in = op->in[0];
  ert_tensor *out = op->out[0];
  ERT_REQUIRE(p, in->dtype == ERT_DTYPE_FLOAT32 || in->dtype == ERT_DTYPE_INT8 || in->dtype == ERT_DTYPE_INT16,
              "input is %s, needed float32, int8 or int16", ert_dtype_name(in->dtype));
  ERT_TRY(ert_check_rank(p, in, "input", 4));
  if (in->dtype == ERT_DTYPE_INT8) ERT_TRY(ert_check_per_tensor(p, in, "input"));
  if (in->dtype == ERT_DTYPE_INT16) ERT_TRY(ert_check_symmetric(p, in, "input"));
  ERT_TRY(ert_check_move(p, in, out));
  const axis_spec height = {"height", in->dims[1], pool->kernel_h, pool->stride_h, pool->dilation_h, pool->pad_top,
                            pool->pad_bottom};
  const axis_spec width = {"width", in->dims[2], pool->kernel_w, pool->stride_w, pool->dilation_w, pool->pad_left,
                           pool->pad_right};
  ERT_TRY(output_size(p, &height, &pool->out_h));
  ERT_TRY(output_size(p, &width, &pool->out_w));
  ERT_REQUIRE(p, pool->activation < ERT_ACTIVATION_COUNT, "activation is %d, needed less than %d", pool->activation,
              ERT_ACTIVATION_COUNT);
  const int64_t taps = (int64_t)pool->kernel_h * pool->kernel_w;
  ERT_REQUIRE(p, taps <= MAX_TAPS, "the window has %lld taps, needed at most %d", (long long)taps, MAX_TAPS);
  pool->n = in->dims[0];
  pool->h = in->dims[1];
  pool->w = in->dims[2];
  pool->c = in->dims[3];
  const int32_t dims[] = {pool->n, pool->out_h, pool->out_w, pool->c};
  ERT_TRY(ert_prepare_shape(p, out, 4, dims));
  pool->channel_blocks = ((size_t)pool->c + ERT_POOL2D_CHANNELS - 1) / ERT_POOL2D_CHANNELS;
  pool->items = out->elements == 0 ? 0 : out->elements / (size_t)pool->c * pool->channel_blocks;
  ert_activation_range_f32(pool->activation, &pool->lo, &pool->hi);
  if (in->dtype == ERT_DTYPE_INT8) {
    ert_activation_range_i8(pool->activation, out->scales[0], out->zero_points[0], &pool->lo_i8, &pool->hi_i8);
  }
  if (in->dtype == ERT_DTYPE_INT16)
    ert_activation_range_i16(pool->activation, out->scales[0], &pool->lo_i16, &pool->hi_i16);
  return ERT_OK;
}

/* Taps of a window from `start` that lie in [0, size). */
static void valid_taps(int32_t start, int32_t size, int32_t kernel, int32_t dilation, int32_t *begin, int32_t *end) {
  *begin = start < 0 ? (-start + dilation - 1) / dilation : 0;
  const int32_t fit = start < size ? (size - start + dilation - 1) / dilation : 0;
  *end = fit < kernel ? fit : kernel;
  if (*end < *begin) *end = *begin; /* a dilated window may straddle the image and touch none of it */
}

void ert_pool2d_window_at(const ert_pool2d *pool, size_t item, ert_pool2d_window *window) {
  const size_t block = item % pool->channel_blocks, pixel = item / pool->channel_blocks;
  const int32_t out_x = (int32_t)(pixel % (size_t)pool->out_w);
  const size_t row = pixel / (size_t)pool->out_w;
  const int32_t out_y = (int32_t)(row % (size_t)pool->out_h);
  const size_t image = row / (size_t)pool->out_h;
  const size_t channel = block * ERT_POOL2D_CHANNELS;
  window->y = out_y * pool->stride_h - pool->pad_top;
  window->x = out_x * pool->stride_w - pool->pad_left;
  valid_taps(window->y, pool->h, pool->kernel_h, pool->dilation_h, &window->ky_begin, &window->ky_end);
  valid_taps(window->x, pool->w, pool->kernel_w, pool->dilation_w, &window->kx_begin, &window->kx_end);
  window->in_image = image * (size_t)pool->h * (size_t)pool->w * (size_t)pool->c + channel;
  window->out = pixel * (size_t)pool->c + channel;
  window->channels = (int32_t)ert_min_size(ERT_POOL2D_CHANNELS, (size_t)pool->c - channel);
}

typedef struct pool_job {
  const ert_op *op;
  size_t items, parts;
  ert_pool2d_fn fn;
} pool_job;

static void run_part(void *arg, size_t part) {
  const pool_job *job = arg;
  size_t begin, end;
  ert_split(job->items, 1, job->parts, part, &begin, &end);
  job->fn(job->op, begin, end);
}

void ert_pool2d_run(const ert_op *op, const ert_pool2d *pool, ert_pool2d_fn fn) {
  if (pool->items == 0) return;
  const size_t taps = (size_t)pool->kernel_h * (size_t)pool->kernel_w;
  const size_t work = op->out[0]->bytes <= SIZE_MAX / taps ? op->out[0]->bytes * taps : SIZE_MAX;
  pool_job job = {op, pool->items, ert_move_parts(op->pool, pool->items, work), fn};
  ert_pool_run(op->pool, job.parts, run_part, &job);
}
