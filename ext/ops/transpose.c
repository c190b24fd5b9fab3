/* Reorders axes: output axis i is input axis perm[i]. */
#include "ops/move.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  int32_t perm[ERT_MAX_RANK];
  ERT_TRY(ert_read_ints(p, ert_transpose_attrs_perm(op->attrs), "perm", in->rank, perm));

  ptrdiff_t in_strides[ERT_MAX_RANK];
  ert_dense_strides(in, in_strides);
  unsigned seen = 0;
  int32_t out_dims[ERT_MAX_RANK];
  size_t dims[ERT_MAX_RANK];
  ptrdiff_t strides[ERT_MAX_RANK];
  for (int i = 0; i < in->rank; i++) {
    ERT_REQUIRE(p, perm[i] >= 0 && perm[i] < in->rank && !(seen >> perm[i] & 1u),
                "perm[%d] is %d, needed every axis from 0 to %d once", i, (int)perm[i], in->rank - 1);
    seen |= 1u << perm[i];
    out_dims[i] = in->dims[perm[i]];
    dims[i] = (size_t)out_dims[i];
    strides[i] = in_strides[perm[i]];
  }
  ERT_TRY(ert_prepare_shape(p, op->out[0], in->rank, out_dims));
  op->state = ert_prepare_alloc(p, sizeof(ert_strided_copy));
  if (op->state == NULL) return ERT_OUT_OF_MEMORY;
  ert_strided_copy_plan(op->state, in->rank, dims, strides, 0, ert_dtype_size(in->dtype));
  return ERT_OK;
}

const ert_op_def ert_op_transpose = {"transpose", 1, 1, 1, prepare, ert_strided_copy_invoke, 0};
