/* x, indices -> x.shape[:axis] + indices.shape + x.shape[axis+1:]; a negative index counts from the end (ONNX Gather). */
#include "ops/indices.h"

typedef struct gather_state {
  size_t outer;     /* product of the dimensions before the axis */
  size_t count;     /* indices */
  size_t dim;       /* of the axis */
  size_t run_bytes; /* one index's piece of x */
  size_t parts;
  uint32_t *settled; /* constant indices of bytes, counted from the start; else NULL */
} gather_state;

/* A channel shuffle picks byte by byte: a test a byte would take most of its time. Indices beyond the axis, and others
 * than constants, remain for invoke. */
static ert_status settle_indices(ert_prepare *p, const ert_op *op, gather_state *state) {
  const ert_tensor *indices = op->in[1];
  if (indices->kind != ERT_TENSOR_KIND_CONSTANT || state->run_bytes != 1) return ERT_OK;
  const int64_t dim = (int64_t)state->dim;
  for (size_t i = 0; i < state->count; i++) {
    const int64_t index = ert_index_at(indices, i);
    if (index < -dim || index >= dim || dim > UINT32_MAX) return ERT_OK;
  }
  size_t bytes;
  if (!ert_mul(state->count, sizeof *state->settled, &bytes) || bytes == 0) return ERT_OK;
  if ((state->settled = ert_prepare_alloc(p, bytes)) == NULL) return ERT_OUT_OF_MEMORY;
  for (size_t i = 0; i < state->count; i++) {
    const int64_t index = ert_index_at(indices, i);
    state->settled[i] = (uint32_t)(index < 0 ? index + dim : index);
  }
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0], *indices = op->in[1];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  ERT_TRY(ert_check_indices(p, indices));
  int axis;
  ERT_TRY(ert_check_axis(p, ert_gather_attrs_axis(op->attrs), in->rank, &axis));
  const int rank = in->rank - 1 + indices->rank;
  ERT_REQUIRE(p, rank <= ERT_MAX_RANK, "output has %d dimensions, needed at most %d", rank, ERT_MAX_RANK);

  int32_t dims[ERT_MAX_RANK];
  int n = 0;
  size_t outer = 1, run = ert_dtype_size(in->dtype);
  for (int i = 0; i < axis; i++) {
    dims[n++] = in->dims[i];
    ERT_REQUIRE(p, ert_mul(outer, (size_t)in->dims[i], &outer), "input is too large");
  }
  for (int i = 0; i < indices->rank; i++) dims[n++] = indices->dims[i];
  for (int i = axis + 1; i < in->rank; i++) {
    dims[n++] = in->dims[i];
    ERT_REQUIRE(p, ert_mul(run, (size_t)in->dims[i], &run), "input is too large");
  }
  ERT_TRY(ert_prepare_shape(p, op->out[0], rank, dims));

  gather_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  *state = (gather_state){outer, indices->elements, (size_t)in->dims[axis], run, 1, NULL};
  op->state = state;
  return settle_indices(p, op, state);
}

/* Pieces [from, to) of one outer row; inlined with a constant run, each piece is one load and one store. */
static inline __attribute__((always_inline)) void pick_row(const ert_tensor *indices, size_t from, size_t to,
                                                           const uint8_t *in, size_t dim, uint8_t *out, size_t run) {
  for (size_t i = from; i < to; i++) {
    const int64_t index = ert_index_at(indices, i);
    const size_t row = (size_t)(index < 0 ? index + (int64_t)dim : index);
    memcpy(out + (i - from) * run, in + row * run, run);
  }
}

static void pick_settled(const uint32_t *settled, size_t count, const uint8_t *in, uint8_t *out) {
  for (size_t i = 0; i < count; i++) out[i] = in[settled[i]];
}

/* A part is a range of (outer, index) pairs. */
static void pick(void *arg, size_t part) {
  const ert_op *op = arg;
  const gather_state *state = op->state;
  size_t begin, end;
  ert_split(state->outer * state->count, 1, state->parts, part, &begin, &end);
  const ert_tensor *indices = op->in[1];
  const size_t run = state->run_bytes, dim = state->dim;
  const uint8_t *in = (const uint8_t *)op->in[0]->data + begin / state->count * dim * run;
  uint8_t *out = op->out[0]->data;
  size_t from = begin % state->count;
  while (begin < end) {
    const size_t to = ert_min_size(state->count, from + (end - begin));
    uint8_t *row = out + begin * run;
    switch (run) {
      case 1:
        if (state->settled != NULL) pick_settled(state->settled + from, to - from, in, row);
        else pick_row(indices, from, to, in, dim, row, 1);
        break;
      case 4: pick_row(indices, from, to, in, dim, row, 4); break;
      default: pick_row(indices, from, to, in, dim, row, run);
    }
    begin += to - from;
    from = 0;
    in += dim * run;
  }
}

static ert_status invoke(ert_op *op) {
  gather_state *state = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  const int64_t dim = (int64_t)state->dim;
  for (size_t i = 0; state->settled == NULL && i < state->count; i++) {
    const int64_t index = ert_index_at(op->in[1], i);
    if (index < -dim || index >= dim) return ERT_RUNTIME_ERROR;
  }
  state->parts = ert_move_parts(op->pool, state->outer * state->count, op->out[0]->bytes);
  ert_pool_run(op->pool, state->parts, pick, op);
  return ERT_OK;
}

const ert_op_def ert_op_gather = {"gather", 2, 2, 1, prepare, invoke, 0};
