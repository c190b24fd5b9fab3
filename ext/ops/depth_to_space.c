/* x[N,H,W,C*b*b] -> y[N,H*b,W*b,C]. A pixel's channels hold a b x b block: [b][b][C], or [C][b][b] with
 * column_row_depth (the modes DCR and CRD of ONNX DepthToSpace). */
#include "ops/move.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  ERT_TRY(ert_check_rank(p, in, "input", 4));
  const int32_t block = ert_depth_to_space_attrs_block(op->attrs);
  ERT_REQUIRE(p, block >= 1 && block <= 1024, "block is %d, needed 1 to 1024", (int)block);
  const int32_t n = in->dims[0], h = in->dims[1], w = in->dims[2], c = in->dims[3];
  ERT_REQUIRE(p, c % (block * block) == 0, "input has %d channels, needed a multiple of %d", (int)c,
              (int)(block * block));
  ERT_REQUIRE(p, h <= INT32_MAX / block && w <= INT32_MAX / block, "a %dx%d image cannot grow by %d", (int)h, (int)w,
              (int)block);
  const int32_t depth = c / (block * block);
  const int32_t out_dims[] = {n, h * block, w * block, depth};
  ERT_TRY(ert_prepare_shape(p, op->out[0], 4, out_dims));

  const bool crd = ert_depth_to_space_attrs_column_row_depth(op->attrs);
  const size_t b = (size_t)block;
  ptrdiff_t in_strides[4];
  ert_dense_strides(in, in_strides);
  const size_t dims[] = {(size_t)n, (size_t)h, b, (size_t)w, b, (size_t)depth};
  const ptrdiff_t strides[] = {in_strides[0], in_strides[1], crd ? block : (ptrdiff_t)block * depth,
                               in_strides[2], crd ? 1 : depth, crd ? (ptrdiff_t)block * block : 1};
  op->state = ert_prepare_alloc(p, sizeof(ert_strided_copy));
  if (op->state == NULL) return ERT_OUT_OF_MEMORY;
  ert_strided_copy_plan(op->state, 6, dims, strides, 0, ert_dtype_size(in->dtype));
  return ERT_OK;
}

const ert_op_def ert_op_depth_to_space = {"depth_to_space", 1, 1, 1, prepare, ert_strided_copy_invoke, 0};
