/* x, indices[..., I], updates -> x in which every tuple's element, or all that lies behind it, is written or joined by
 * the update, in the tuples' order (ONNX ScatterND). */
#include "ops/scatter.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *indices = op->in[1], *updates = op->in[2];
  ERT_TRY(ert_scatter_check(p, op, ert_scatter_nd_attrs_reduction(op->attrs)));
  ert_tuples *tuples = ert_prepare_alloc(p, sizeof *tuples);
  if (tuples == NULL) return ERT_OUT_OF_MEMORY;
  ERT_TRY(ert_tuples_prepare(p, x, indices, 0, tuples));
  const int lead = indices->rank - 1, depth = (int)tuples->depth, rank = lead + x->rank - depth;
  bool fits = updates->rank == rank;
  for (int i = 0; fits && i < rank; i++) {
    fits = updates->dims[i] == (i < lead ? indices->dims[i] : x->dims[depth + i - lead]);
  }
  ERT_REQUIRE(p, fits, "the shape of the updates does not fit: needed indices.shape[:-1] + x.shape[%d:]", depth);
  op->state = tuples;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static ert_status invoke(ert_op *op) {
  const ert_tuples *tuples = op->state;
  const int reduction = ert_scatter_nd_attrs_reduction(op->attrs);
  if (op->out[0]->elements == 0) return tuples->count == 0 || tuples->run == 0 ? ERT_OK : ERT_RUNTIME_ERROR;
  memcpy(op->out[0]->data, op->in[0]->data, op->in[0]->bytes);
  for (size_t i = 0; i < tuples->count; i++) {
    size_t start;
    if (!ert_tuple_start(tuples, op->in[1], i, &start)) return ERT_RUNTIME_ERROR;
    ert_scatter_join(op, reduction, start, i * tuples->run, tuples->run);
  }
  return ERT_OK;
}

const ert_op_def ert_op_scatter_nd = {"scatter_nd", 3, 3, 1, prepare, invoke, 0};
