/* x, indices, updates -> x with y[indices[i][j]][j] written or joined by updates[i][j] along axis 0, and so on, in the
 * updates' order (ONNX ScatterElements). */
#include "ops/scatter.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *indices = op->in[1];
  ERT_TRY(ert_scatter_check(p, op, ert_scatter_elements_attrs_reduction(op->attrs)));
  ert_elements *elements = ert_prepare_alloc(p, sizeof *elements);
  if (elements == NULL) return ERT_OUT_OF_MEMORY;
  ERT_TRY(ert_elements_prepare(p, x, indices, ert_scatter_elements_attrs_axis(op->attrs), elements));
  ERT_REQUIRE(p, ert_same_shape(indices, op->in[2]), "indices and updates differ in shape, needed the same");
  op->state = elements;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static ert_status invoke(ert_op *op) {
  const ert_elements *e = op->state;
  const int reduction = ert_scatter_elements_attrs_reduction(op->attrs);
  if (op->out[0]->elements == 0) return op->in[1]->elements == 0 ? ERT_OK : ERT_RUNTIME_ERROR;
  memcpy(op->out[0]->data, op->in[0]->data, op->in[0]->bytes);
  const bool plain_sum = reduction == ERT_SCATTER_REDUCTION_ADD && op->in[0]->dtype == ERT_DTYPE_FLOAT32;
  float *y = op->out[0]->data;
  const float *updates = op->in[2]->data;
  for (size_t row = 0; row < e->rows && e->row > 0; row++) {
    const size_t base = ert_elements_base(e, row);
    for (size_t j = 0; j < e->row; j++) {
      size_t index;
      const size_t from = row * e->row + j;
      if (!ert_index_settle(ert_index_at(op->in[1], from), e->dim, &index)) return ERT_RUNTIME_ERROR;
      const size_t at = base + j * e->step + index * e->stride;
      if (plain_sum) y[at] += updates[from]; /* one by one, a call would cost more than the sum */
      else ert_scatter_join(op, reduction, at, from, 1);
    }
  }
  return ERT_OK;
}

const ert_op_def ert_op_scatter_elements = {"scatter_elements", 3, 3, 1, prepare, invoke, 0};
