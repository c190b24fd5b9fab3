/* Repeats axes of size 1, as numpy.broadcast_to does. */
#include "ops/move.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  const ert_fb_vector shape = ert_broadcast_to_attrs_shape(op->attrs);
  ERT_REQUIRE(p, shape.count >= in->rank && shape.count <= ERT_MAX_RANK, "shape has %u dimensions, needed %d to %d",
              (unsigned)shape.count, in->rank, ERT_MAX_RANK);
  const int rank = (int)shape.count, added = rank - in->rank;

  int32_t out_dims[ERT_MAX_RANK];
  size_t dims[ERT_MAX_RANK];
  ptrdiff_t in_strides[ERT_MAX_RANK], strides[ERT_MAX_RANK];
  ert_dense_strides(in, in_strides);
  for (int i = 0; i < rank; i++) {
    const int32_t dim = i < added ? 1 : in->dims[i - added];
    out_dims[i] = ert_fb_i32_at(shape, (uint32_t)i);
    ERT_REQUIRE(p, out_dims[i] >= 0 && (dim == 1 || dim == out_dims[i]),
                "shape[%d] is %d, which a dimension of %d cannot be repeated to", i, (int)out_dims[i], (int)dim);
    dims[i] = (size_t)out_dims[i];
    strides[i] = dim == 1 ? 0 : in_strides[i - added];
  }
  ERT_TRY(ert_prepare_shape(p, op->out[0], rank, out_dims));
  op->state = ert_prepare_alloc(p, sizeof(ert_strided_copy));
  if (op->state == NULL) return ERT_OUT_OF_MEMORY;
  ert_strided_copy_plan(op->state, rank, dims, strides, 0, ert_dtype_size(in->dtype));
  return ERT_OK;
}

const ert_op_def ert_op_broadcast_to = {"broadcast_to", 1, 1, 1, prepare, ert_strided_copy_invoke, 0};
