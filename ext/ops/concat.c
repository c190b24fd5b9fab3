/* Joins tensors along one axis. */
#include "ops/move.h"

typedef struct concat_state {
  size_t outer;      /* rows: product of the dimensions before the axis */
  size_t row_bytes;  /* of the output */
  int activation;
  float lo, hi;      /* float32 activation */
  int8_t lo_i8, hi_i8;
  size_t parts;
  size_t offsets[]; /* bytes at which each input's piece of a row starts; one more than there are inputs */
} concat_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *first = op->in[0];
  ert_tensor *out = op->out[0];
  int axis;
  ERT_TRY(ert_check_axis(p, ert_concat_attrs_axis(op->attrs), first->rank, &axis));
  int32_t dims[ERT_MAX_RANK];
  for (int i = 0; i < first->rank; i++) dims[i] = first->dims[i];
  dims[axis] = 0;
  size_t outer = 1, inner = ert_dtype_size(first->dtype);
  for (int i = 0; i < first->rank; i++) {
    size_t *product = i < axis ? &outer : &inner;
    if (i != axis) ERT_REQUIRE(p, ert_mul(*product, (size_t)dims[i], product), "input 0 is too large");
  }

  concat_state *state = ert_prepare_alloc(p, sizeof *state + (op->in_count + 1) * sizeof state->offsets[0]);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  for (uint32_t n = 0; n < op->in_count; n++) {
    const ert_tensor *in = op->in[n];
    ERT_REQUIRE(p, in != NULL, "input %u is absent", (unsigned)n);
    ERT_TRY(ert_check_move(p, in, out));
    ERT_REQUIRE(p, in->rank == first->rank, "input %u has %d dimensions, needed %d as input 0", (unsigned)n, in->rank,
                first->rank);
    for (int i = 0; i < first->rank; i++) {
      ERT_REQUIRE(p, i == axis || in->dims[i] == first->dims[i], "dimension %d of input %u is %d, needed %d as input 0",
                  i, (unsigned)n, (int)in->dims[i], (int)first->dims[i]);
    }
    ERT_REQUIRE(p, in->dims[axis] <= INT32_MAX - dims[axis], "the joined dimension is too large");
    dims[axis] += in->dims[axis];
    size_t bytes;
    ERT_REQUIRE(p, ert_mul((size_t)dims[axis], inner, &bytes), "a joined row is too large");
    state->offsets[n + 1] = bytes;
  }
  ERT_TRY(ert_prepare_shape(p, out, first->rank, dims));
  size_t pieces;
  ERT_REQUIRE(p, ert_mul(outer, op->in_count, &pieces), "input 0 is too large");
  state->outer = outer;
  state->row_bytes = state->offsets[op->in_count];

  state->activation = ert_concat_attrs_activation(op->attrs);
  ERT_REQUIRE(p, state->activation < ERT_ACTIVATION_COUNT, "activation is %d, needed less than %d", state->activation,
              ERT_ACTIVATION_COUNT);
  if (state->activation != ERT_ACTIVATION_NONE) {
    const bool float32 = out->dtype == ERT_DTYPE_FLOAT32;
    ERT_REQUIRE(p, float32 || (out->dtype == ERT_DTYPE_INT8 && out->quant_count == 1),
                "an activation on %s, needed float32 or quantised int8", ert_dtype_name(out->dtype));
    if (float32) ert_activation_range_f32(state->activation, &state->lo, &state->hi);
    else ert_activation_range_i8(state->activation, out->scales[0], out->zero_points[0], &state->lo_i8, &state->hi_i8);
  }
  op->state = state;
  return ERT_OK;
}

static void clamp_output(const concat_state *state, ert_tensor *out) {
  if (out->dtype == ERT_DTYPE_FLOAT32) {
    float *y = out->data;
    for (size_t i = 0; i < out->elements; i++) {
      const float above = y[i] < state->lo ? state->lo : y[i];
      y[i] = above > state->hi ? state->hi : above;
    }
  } else {
    int8_t *y = out->data;
    for (size_t i = 0; i < out->elements; i++) {
      const int8_t above = y[i] < state->lo_i8 ? state->lo_i8 : y[i];
      y[i] = above > state->hi_i8 ? state->hi_i8 : above;
    }
  }
}

/* A part is a range of (row, input) pairs, rows outermost. */
static void join(void *arg, size_t part) {
  const ert_op *op = arg;
  const concat_state *state = op->state;
  size_t begin, end;
  ert_split(state->outer * op->in_count, 1, state->parts, part, &begin, &end);
  uint8_t *out = op->out[0]->data;
  for (size_t i = begin; i < end; i++) {
    const size_t row = i / op->in_count, n = i % op->in_count;
    const size_t bytes = state->offsets[n + 1] - state->offsets[n];
    if (bytes == 0) continue;
    ert_copy_run(out + row * state->row_bytes + state->offsets[n], (const uint8_t *)op->in[n]->data + row * bytes, bytes);
  }
}

static ert_status invoke(ert_op *op) {
  concat_state *state = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  state->parts = ert_move_parts(op->pool, state->outer * op->in_count, op->out[0]->bytes);
  ert_pool_run(op->pool, state->parts, join, op);
  if (state->activation != ERT_ACTIVATION_NONE) clamp_output(state, op->out[0]);
  return ERT_OK;
}

const ert_op_def ert_op_concat = {"concat", 1, 255, 1, prepare, invoke, 0};
