/* x, indices[..., I] -> indices.shape[:-1] + x.shape[batch_dims + I:]: each tuple of I indices picks an element, or all
 * that lies behind it (ONNX GatherND). Any element type, by its size. */
#include <stdatomic.h>

#include "ops/indices.h"

typedef struct gather_nd_state {
  ert_tuples tuples;
  size_t run_bytes;
  size_t parts;
  atomic_bool failed; /* an index outside x */
} gather_nd_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *indices = op->in[1];
  ERT_TRY(ert_check_move(p, x, op->out[0]));
  gather_nd_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  const int batch_dims = ert_gather_nd_attrs_batch_dims(op->attrs);
  ERT_TRY(ert_tuples_prepare(p, x, indices, batch_dims, &state->tuples));
  ERT_REQUIRE(p, ert_mul(state->tuples.run, ert_dtype_size(x->dtype), &state->run_bytes), "the input is too large");
  const int first = batch_dims + (int)state->tuples.depth, rank = indices->rank - 1 + x->rank - first;
  ERT_REQUIRE(p, rank <= ERT_MAX_RANK, "output has %d dimensions, needed at most %d", rank, ERT_MAX_RANK);
  int32_t dims[ERT_MAX_RANK];
  for (int i = 0; i < indices->rank - 1; i++) dims[i] = indices->dims[i];
  for (int i = first; i < x->rank; i++) dims[indices->rank - 1 + i - first] = x->dims[i];
  atomic_init(&state->failed, false);
  op->state = state;
  return ert_prepare_shape(p, op->out[0], rank, dims);
}

static void pick(void *arg, size_t part) {
  const ert_op *op = arg;
  gather_nd_state *state = op->state;
  const size_t run = state->run_bytes, element = ert_dtype_size(op->in[0]->dtype);
  const uint8_t *in = op->in[0]->data;
  uint8_t *out = op->out[0]->data;
  size_t begin, end;
  ert_split(state->tuples.count, 1, state->parts, part, &begin, &end);
  for (size_t i = begin; i < end; i++) {
    size_t start;
    if (!ert_tuple_start(&state->tuples, op->in[1], i, &start)) {
      atomic_store_explicit(&state->failed, true, memory_order_relaxed);
      return;
    }
    ert_copy_run(out + i * run, in + start * element, run);
  }
}

static ert_status invoke(ert_op *op) {
  gather_nd_state *state = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  atomic_store_explicit(&state->failed, false, memory_order_relaxed);
  state->parts = ert_move_parts(op->pool, state->tuples.count, op->out[0]->bytes);
  ert_pool_run(op->pool, state->parts, pick, op);
  return atomic_load_explicit(&state->failed, memory_order_relaxed) ? ERT_RUNTIME_ERROR : ERT_OK;
}

const ert_op_def ert_op_gather_nd = {"gather_nd", 2, 2, 1, prepare, invoke, 0};
