/* NumPy's x[begin:end:stride] on every axis; bounds are normalised (schemas/ert.fbs). */
#include "ops/move.h"

/* Elements from begin towards end in steps of stride. */
static int64_t slice_length(int64_t begin, int64_t end, int64_t stride) {
  const int64_t span = stride > 0 ? end - begin : begin - end;
  const int64_t step = stride > 0 ? stride : -stride;
  return span <= 0 ? 0 : (span + step - 1) / step;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  int32_t begin[ERT_MAX_RANK], end[ERT_MAX_RANK], step[ERT_MAX_RANK];
  ERT_TRY(ert_read_ints(p, ert_slice_attrs_begin(op->attrs), "begin", in->rank, begin));
  ERT_TRY(ert_read_ints(p, ert_slice_attrs_end(op->attrs), "end", in->rank, end));
  ERT_TRY(ert_read_ints(p, ert_slice_attrs_strides(op->attrs), "strides", in->rank, step));

  int32_t out_dims[ERT_MAX_RANK];
  size_t dims[ERT_MAX_RANK];
  ptrdiff_t in_strides[ERT_MAX_RANK], strides[ERT_MAX_RANK], offset = 0;
  ert_dense_strides(in, in_strides);
  for (int i = 0; i < in->rank; i++) {
    const int32_t dim = in->dims[i];
    ERT_REQUIRE(p, step[i] != 0, "strides[%d] is 0", i);
    const int32_t least = step[i] > 0 ? 0 : -1, most = step[i] > 0 ? dim : dim - 1;
    ERT_REQUIRE(p, begin[i] >= 0 && begin[i] <= most, "begin[%d] is %d, needed 0 to %d", i, (int)begin[i], (int)most);
    ERT_REQUIRE(p, end[i] >= least && end[i] <= dim, "end[%d] is %d, needed %d to %d", i, (int)end[i], (int)least,
                (int)dim);
    out_dims[i] = (int32_t)slice_length(begin[i], end[i], step[i]);
    dims[i] = (size_t)out_dims[i];
    /* A step is used only where there are two elements, which bounds it by the dimension. */
    strides[i] = out_dims[i] > 1 ? step[i] * in_strides[i] : 0;
  }
  ERT_TRY(ert_prepare_shape(p, op->out[0], in->rank, out_dims)); /* not empty: every begin is an element */
  for (int i = 0; i < in->rank; i++) offset += begin[i] * in_strides[i];
  op->state = ert_prepare_alloc(p, sizeof(ert_strided_copy));
  if (op->state == NULL) return ERT_OUT_OF_MEMORY;
  ert_strided_copy_plan(op->state, in->rank, dims, strides, offset, ert_dtype_size(in->dtype));
  return ERT_OK;
}

const ert_op_def ert_op_slice = {"slice", 1, 1, 1, prepare, ert_strided_copy_invoke, 0};
