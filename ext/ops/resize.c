/* Scales x[N,H,W,C] to y[N,out_h,out_w,C]. resize_axis.c maps the coordinates; here is what is done at each pixel. */
#include "ops/move.h"
#include "ops/resize_axis.h"

typedef struct resize_state {
  bool bilinear;
  size_t c;
  int32_t h, w;
  ert_resize_tap *rows, *columns; /* out_h and out_w of them */
  size_t out_w, out_h, items;     /* items: output rows of all images */
  size_t parts;
} resize_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  ERT_TRY(ert_check_rank(p, in, "input", 4));
  const ert_fb_table a = op->attrs;
  const int mode = ert_resize_attrs_mode(a);
  ERT_REQUIRE(p, mode < ERT_RESIZE_MODE_COUNT, "mode is %d, needed less than %d", mode, ERT_RESIZE_MODE_COUNT);
  const bool bilinear = mode == ERT_RESIZE_MODE_BILINEAR;
  const bool known = in->dtype == ERT_DTYPE_FLOAT32 || in->dtype == ERT_DTYPE_INT8 || in->dtype == ERT_DTYPE_INT16;
  ERT_REQUIRE(p, !bilinear || known, "bilinear on %s, needed float32, int8 or int16",
              ert_dtype_name(in->dtype));
  const int32_t dims[] = {in->dims[0], ert_resize_attrs_out_h(a), ert_resize_attrs_out_w(a), in->dims[3]};
  ERT_REQUIRE(p, dims[1] >= 1 && dims[2] >= 1 && in->dims[1] >= 1 && in->dims[2] >= 1,
              "resizes %dx%d to %dx%d, needed at least 1x1", (int)in->dims[1], (int)in->dims[2], (int)dims[1],
              (int)dims[2]);
  ERT_TRY(ert_prepare_shape(p, op->out[0], 4, dims));

  resize_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->bilinear = bilinear;
  state->c = (size_t)in->dims[3];
  state->h = in->dims[1];
  state->w = in->dims[2];
  state->out_h = (size_t)dims[1];
  state->out_w = (size_t)dims[2];
  op->state = state;
  if (op->out[0]->elements == 0) return ERT_OK; /* items stays 0 */
  state->items = (size_t)dims[0] * state->out_h;

  ert_resize_axis axis = {.coordinates = ert_resize_attrs_coordinates(a), .nearest = ert_resize_attrs_nearest(a)};
  axis.integers = bilinear && in->dtype == ERT_DTYPE_INT16;
  axis.in = in->dims[1];
  axis.out = dims[1];
  axis.scale = ert_resize_attrs_scale_h(a);
  ERT_TRY(ert_resize_axis_prepare(p, &axis, bilinear, &state->rows));
  axis.in = in->dims[2];
  axis.out = dims[2];
  axis.scale = ert_resize_attrs_scale_w(a);
  return ert_resize_axis_prepare(p, &axis, bilinear, &state->columns);
}

static void nearest_row(const resize_state *state, const uint8_t *in, uint8_t *out, const ert_resize_tap *row,
                        size_t element_bytes) {
  const size_t pixel = state->c * element_bytes;
  const uint8_t *from = in + (size_t)row->lower * (size_t)state->w * pixel;
  for (size_t x = 0; x < state->out_w; x++) {
    ert_copy_run(out + x * pixel, from + (size_t)state->columns[x].lower * pixel, pixel);
  }
}

static void bilinear_row_f32(const resize_state *state, const float *in, float *out, const ert_resize_tap *row) {
  const size_t c = state->c, in_row = (size_t)state->w * c;
  const float *top = in + (size_t)row->lower * in_row, *bottom = in + (size_t)row->upper * in_row;
  const float fy = row->fraction;
  for (size_t x = 0; x < state->out_w; x++, out += c) {
    const ert_resize_tap *column = &state->columns[x];
    const size_t left = (size_t)column->lower * c, right = (size_t)column->upper * c;
    const float fx = column->fraction;
    for (size_t k = 0; k < c; k++) {
      const float a = top[left + k] + (top[right + k] - top[left + k]) * fx;
      const float b = bottom[left + k] + (bottom[right + k] - bottom[left + k]) * fx;
      out[k] = a + (b - a) * fy;
    }
  }
}

/* LiteRT's default integers (XNNPACK's s8 bilinear interpolation): weights in units of 2^-11 on each axis, the sum in
 * units of 2^-22 rounded half up. The four weights sum to 2^22, so that the sum stays below 2^30. */
static void bilinear_row_i8(const resize_state *state, const int8_t *in, int8_t *out, const ert_resize_tap *row) {
  const size_t c = state->c, in_row = (size_t)state->w * c;
  const int8_t *top = in + (size_t)row->lower * in_row, *bottom = in + (size_t)row->upper * in_row;
  const int32_t fy = row->fraction_11, gy = 2048 - fy;
  for (size_t x = 0; x < state->out_w; x++, out += c) {
    const ert_resize_tap *column = &state->columns[x];
    const size_t left = (size_t)column->lower * c, right = (size_t)column->upper * c;
    const int32_t fx = column->fraction_11, gx = 2048 - fx;
    const int32_t w00 = gy * gx, w01 = gy * fx, w10 = fy * gx, w11 = fy * fx;
    for (size_t k = 0; k < c; k++) {
      const int32_t sum = top[left + k] * w00 + top[right + k] * w01 + bottom[left + k] * w10 + bottom[right + k] * w11;
      out[k] = (int8_t)((sum + (1 << 21)) >> 22);
    }
  }
}

/* Weights in units of 2^-10 on each axis, the sum in units of 2^-20 rounded half away from 0. */
static void bilinear_row_i16(const resize_state *state, const int16_t *in, int16_t *out, const ert_resize_tap *row) {
  const size_t c = state->c, in_row = (size_t)state->w * c;
  const int16_t *top = in + (size_t)row->lower * in_row, *bottom = in + (size_t)row->upper * in_row;
  const int64_t fy = row->fraction_10, gy = 1024 - fy;
  for (size_t x = 0; x < state->out_w; x++, out += c) {
    const ert_resize_tap *column = &state->columns[x];
    const size_t left = (size_t)column->lower * c, right = (size_t)column->upper * c;
    const int64_t fx = column->fraction_10, gx = 1024 - fx;
    for (size_t k = 0; k < c; k++) {
      const int64_t above = gx * top[left + k] + fx * top[right + k];
      const int64_t sum = gy * above + fy * (gx * bottom[left + k] + fx * bottom[right + k]);
      out[k] = (int16_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
    }
  }
}

static void resize_rows(void *arg, size_t part) {
  const ert_op *op = arg;
  const resize_state *state = op->state;
  const size_t element_bytes = ert_dtype_size(op->in[0]->dtype);
  const size_t image_bytes = (size_t)state->h * (size_t)state->w * state->c * element_bytes;
  const size_t row_bytes = state->out_w * state->c * element_bytes;
  size_t begin, end;
  ert_split(state->items, 1, state->parts, part, &begin, &end);
  for (size_t i = begin; i < end; i++) {
    const uint8_t *in = (const uint8_t *)op->in[0]->data + i / state->out_h * image_bytes;
    uint8_t *out = (uint8_t *)op->out[0]->data + i * row_bytes;
    const ert_resize_tap *row = &state->rows[i % state->out_h];
    if (!state->bilinear) nearest_row(state, in, out, row, element_bytes);
    else if (op->in[0]->dtype == ERT_DTYPE_INT16) bilinear_row_i16(state, (const int16_t *)in, (int16_t *)out, row);
    else if (op->in[0]->dtype == ERT_DTYPE_FLOAT32) bilinear_row_f32(state, (const float *)in, (float *)out, row);
    else bilinear_row_i8(state, (const int8_t *)in, (int8_t *)out, row);
  }
}

static ert_status invoke(ert_op *op) {
  resize_state *state = op->state;
  if (state->items == 0) return ERT_OK;
  state->parts = ert_move_parts(op->pool, state->items, op->out[0]->bytes);
  ert_pool_run(op->pool, state->parts, resize_rows, op);
  return ERT_OK;
}

const ert_op_def ert_op_resize = {"resize", 1, 1, 1, prepare, invoke, 0};
