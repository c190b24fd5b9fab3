/* x, indices -> y of the indices' shape: y[i][j] = x[indices[i][j]][j] along axis 0, and so on (ONNX GatherElements,
 * PyTorch gather). Any element type, by its size. */
#include <stdatomic.h>

#include "ops/indices.h"

typedef struct gather_elements_state {
  ert_elements elements;
  size_t parts;
  atomic_bool failed; /* an index outside x */
} gather_elements_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *indices = op->in[1];
  ERT_TRY(ert_check_move(p, x, op->out[0]));
  gather_elements_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  ERT_TRY(ert_elements_prepare(p, x, indices, ert_gather_elements_attrs_axis(op->attrs), &state->elements));
  atomic_init(&state->failed, false);
  op->state = state;
  return ert_prepare_shape(p, op->out[0], indices->rank, indices->dims);
}

/* One row; inlined with a constant element size. */
static inline __attribute__((always_inline)) bool pick_row(const ert_elements *e, const ert_tensor *indices, size_t row,
                                                           const uint8_t *in, uint8_t *out, size_t size) {
  const size_t base = ert_elements_base(e, row), first = row * e->row;
  for (size_t j = 0; j < e->row; j++) {
    size_t index;
    if (!ert_index_settle(ert_index_at(indices, first + j), e->dim, &index)) return false;
    memcpy(out + (first + j) * size, in + (base + j * e->step + index * e->stride) * size, size);
  }
  return true;
}

static void pick(void *arg, size_t part) {
  const ert_op *op = arg;
  gather_elements_state *state = op->state;
  const ert_elements *e = &state->elements;
  const uint8_t *in = op->in[0]->data;
  uint8_t *out = op->out[0]->data;
  size_t begin, end;
  ert_split(e->rows, 1, state->parts, part, &begin, &end);
  for (size_t row = begin; row < end; row++) {
    bool fine;
    switch (ert_dtype_size(op->in[0]->dtype)) {
      case 1: fine = pick_row(e, op->in[1], row, in, out, 1); break;
      case 2: fine = pick_row(e, op->in[1], row, in, out, 2); break;
      case 4: fine = pick_row(e, op->in[1], row, in, out, 4); break;
      default: fine = pick_row(e, op->in[1], row, in, out, 8); break;
    }
    if (!fine) {
      atomic_store_explicit(&state->failed, true, memory_order_relaxed);
      return;
    }
  }
}

static ert_status invoke(ert_op *op) {
  gather_elements_state *state = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  atomic_store_explicit(&state->failed, false, memory_order_relaxed);
  state->parts = ert_move_parts(op->pool, state->elements.rows, op->out[0]->bytes);
  ert_pool_run(op->pool, state->parts, pick, op);
  return atomic_load_explicit(&state->failed, memory_order_relaxed) ? ERT_RUNTIME_ERROR : ERT_OK;
}

const ert_op_def ert_op_gather_elements = {"gather_elements", 2, 2, 1, prepare, invoke, 0};
