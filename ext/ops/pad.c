/* Puts elements before and after every axis: a constant, or the input mirrored or repeated at its edge.
 * A row of the output is one run of the input between its two margins; trailing axes that are not padded belong to
 * the run. */
#include <math.h>

#include "ops/move.h"

typedef struct pad_state {
  int mode;
  int rank; /* up to the last padded axis; at least 1 */
  size_t in_dims[ERT_MAX_RANK], out_dims[ERT_MAX_RANK], before[ERT_MAX_RANK];
  size_t rows;       /* product of out_dims but the last */
  size_t unit;       /* bytes of one element of the last padded axis */
  size_t value_size; /* bytes of one tensor element */
  uint8_t value[8];
  size_t parts;
} pad_state;

/* The constant in the tensor's own type: quantised as clamp(rne(value / scale) + zero_point). */
static ert_status encode_value(ert_prepare *p, const ert_tensor *t, float value, pad_state *state) {
  static const int64_t least[ERT_DTYPE_COUNT] = {[ERT_DTYPE_INT8] = INT8_MIN, [ERT_DTYPE_INT16] = INT16_MIN,
                                                 [ERT_DTYPE_INT32] = INT32_MIN, [ERT_DTYPE_INT64] = INT32_MIN};
  static const int64_t most[ERT_DTYPE_COUNT] = {[ERT_DTYPE_INT8] = INT8_MAX,   [ERT_DTYPE_UINT8] = UINT8_MAX,
                                                [ERT_DTYPE_INT16] = INT16_MAX, [ERT_DTYPE_INT32] = INT32_MAX,
                                                [ERT_DTYPE_INT64] = INT32_MAX, [ERT_DTYPE_BOOL] = 1};
  state->value_size = ert_dtype_size(t->dtype);
  if (t->dtype == ERT_DTYPE_FLOAT32) {
    memcpy(state->value, &value, sizeof value);
    return ERT_OK;
  }
  if (t->dtype == ERT_DTYPE_FLOAT16) {
    ERT_REQUIRE(p, value == 0.0f, "value is %g on float16, needed 0", (double)value);
    return ERT_OK; /* all bits zero, as ert_prepare_alloc left them */
  }
  ERT_REQUIRE(p, !isnan(value), "value is not a number");
  const double lo = (double)least[t->dtype], hi = (double)most[t->dtype];
  double q = value;
  if (t->quant_count == 1) {
    q = (double)rintf(value / t->scales[0]) + t->zero_points[0];
    q = q < lo ? lo : q > hi ? hi : q;
  }
  ERT_REQUIRE(p, q >= lo && q <= hi && q == floor(q), "value %g is no %s", (double)value, ert_dtype_name(t->dtype));
  const int64_t integer = (int64_t)q;
  memcpy(state->value, &integer, state->value_size); /* little endian: the low bytes come first (base/fb.h) */
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  int32_t before[ERT_MAX_RANK], after[ERT_MAX_RANK], dims[ERT_MAX_RANK];
  ERT_TRY(ert_read_ints(p, ert_pad_attrs_before(op->attrs), "before", in->rank, before));
  ERT_TRY(ert_read_ints(p, ert_pad_attrs_after(op->attrs), "after", in->rank, after));
  pad_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->mode = ert_pad_attrs_mode(op->attrs);
  ERT_REQUIRE(p, state->mode < ERT_PAD_MODE_COUNT, "mode is %d, needed less than %d", state->mode, ERT_PAD_MODE_COUNT);
  ERT_TRY(encode_value(p, in, ert_pad_attrs_value(op->attrs), state));

  int last = 0;
  for (int i = 0; i < in->rank; i++) {
    const int32_t dim = in->dims[i];
    int32_t limit = INT32_MAX; /* of a margin: what there is to mirror or to repeat */
    if (state->mode == ERT_PAD_MODE_REFLECT) limit = dim > 0 ? dim - 1 : 0;
    if (state->mode == ERT_PAD_MODE_SYMMETRIC) limit = dim;
    if (state->mode == ERT_PAD_MODE_EDGE && dim == 0) limit = 0;
    ERT_REQUIRE(p, before[i] >= 0 && before[i] <= limit && after[i] >= 0 && after[i] <= limit,
                "axis %d is padded by %d and %d, needed 0 to %d", i, (int)before[i], (int)after[i], (int)limit);
    const int64_t padded = (int64_t)dim + before[i] + after[i];
    ERT_REQUIRE(p, padded <= INT32_MAX, "axis %d would have %lld elements", i, (long long)padded);
    dims[i] = (int32_t)padded;
    if (padded != dim) last = i;
  }
  ERT_TRY(ert_prepare_shape(p, op->out[0], in->rank, dims));

  op->state = state;
  state->rank = last + 1;
  state->unit = state->value_size;
  state->rows = 1;
  state->in_dims[0] = state->out_dims[0] = 1; /* of a scalar */
  if (op->out[0]->elements == 0) return ERT_OK; /* invoke does nothing, and products may overflow */
  for (int i = 0; i < in->rank; i++) {
    if (i > last) {
      state->unit *= (size_t)dims[i];
      continue;
    }
    state->in_dims[i] = (size_t)in->dims[i];
    state->out_dims[i] = (size_t)dims[i];
    state->before[i] = (size_t)before[i];
    if (i < last) state->rows *= (size_t)dims[i];
  }
  return ERT_OK;
}

/* The input position that output position i of an axis shows; -1: the constant. */
static ptrdiff_t source(int mode, size_t i, size_t before, size_t dim) {
  const ptrdiff_t at = (ptrdiff_t)i - (ptrdiff_t)before, n = (ptrdiff_t)dim;
  if (at >= 0 && at < n) return at;
  switch (mode) {
    case ERT_PAD_MODE_REFLECT: return at < 0 ? -at : 2 * n - 2 - at;
    case ERT_PAD_MODE_SYMMETRIC: return at < 0 ? -at - 1 : 2 * n - 1 - at;
    case ERT_PAD_MODE_EDGE: return at < 0 ? 0 : n - 1;
    default: return -1;
  }
}

static void fill(uint8_t *out, size_t bytes, const pad_state *state) {
  if (state->value_size == 1) {
    memset(out, state->value[0], bytes);
    return;
  }
  for (size_t i = 0; i < bytes; i += state->value_size) ert_copy_run(out + i, state->value, state->value_size);
}

/* Positions [begin, end) of the last axis, all in a margin. */
static void pad_margin(const pad_state *state, const uint8_t *in_row, uint8_t *out_row, size_t begin, size_t end) {
  if (state->mode == ERT_PAD_MODE_CONSTANT) {
    fill(out_row + begin * state->unit, (end - begin) * state->unit, state);
    return;
  }
  const int last = state->rank - 1;
  for (size_t i = begin; i < end; i++) {
    const ptrdiff_t from = source(state->mode, i, state->before[last], state->in_dims[last]);
    ert_copy_run(out_row + i * state->unit, in_row + (size_t)from * state->unit, state->unit);
  }
}

static void pad_rows(void *arg, size_t part) {
  const ert_op *op = arg;
  const pad_state *state = op->state;
  const int last = state->rank - 1;
  const size_t width = state->out_dims[last], start = state->before[last], copied = state->in_dims[last];
  size_t begin, end;
  ert_split(state->rows, 1, state->parts, part, &begin, &end);
  for (size_t row = begin; row < end; row++) {
    uint8_t *out = (uint8_t *)op->out[0]->data + row * width * state->unit;
    size_t rest = row, in_row = 0, in_stride = 1;
    bool constant = false;
    for (int i = last - 1; i >= 0; i--) {
      const ptrdiff_t from = source(state->mode, rest % state->out_dims[i], state->before[i], state->in_dims[i]);
      rest /= state->out_dims[i];
      constant |= from < 0;
      in_row += (size_t)(from < 0 ? 0 : from) * in_stride;
      in_stride *= state->in_dims[i];
    }
    if (constant || copied == 0) {
      fill(out, width * state->unit, state);
      continue;
    }
    const uint8_t *in = (const uint8_t *)op->in[0]->data + in_row * copied * state->unit;
    pad_margin(state, in, out, 0, start);
    memcpy(out + start * state->unit, in, copied * state->unit);
    pad_margin(state, in, out, start + copied, width);
  }
}

static ert_status invoke(ert_op *op) {
  pad_state *state = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  state->parts = ert_move_parts(op->pool, state->rows, op->out[0]->bytes);
  ert_pool_run(op->pool, state->parts, pad_rows, op);
  return ERT_OK;
}

const ert_op_def ert_op_pad = {"pad", 1, 1, 1, prepare, invoke, 0};
