/* x[N,H*b,W*b,C] -> y[N,H,W,b*b*C]: every b x b block of pixels becomes one, its channels in the order [b][b][C]. */
#include "ops/move.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  ERT_TRY(ert_check_rank(p, in, "input", 4));
  const int32_t block = ert_space_to_depth_attrs_block(op->attrs);
  ERT_REQUIRE(p, block >= 1 && block <= 1024, "block is %d, needed 1 to 1024", (int)block);
  const int32_t n = in->dims[0], h = in->dims[1], w = in->dims[2], c = in->dims[3];
  ERT_REQUIRE(p, h % block == 0 && w % block == 0, "input is %dx%d, needed multiples of %d", (int)h, (int)w, (int)block);
  ERT_REQUIRE(p, c <= INT32_MAX / (block * block), "%d channels cannot grow by %d", (int)c, (int)(block * block));
  const int32_t out_dims[] = {n, h / block, w / block, c * block * block};
  ERT_TRY(ert_prepare_shape(p, op->out[0], 4, out_dims));

  const size_t b = (size_t)block;
  ptrdiff_t in_strides[4];
  ert_dense_strides(in, in_strides);
  const size_t dims[] = {(size_t)n, (size_t)(h / block), (size_t)(w / block), b, b, (size_t)c};
  const ptrdiff_t strides[] = {in_strides[0], block * in_strides[1], block * in_strides[2],
                               in_strides[1], in_strides[2], 1};
  op->state = ert_prepare_alloc(p, sizeof(ert_strided_copy));
  if (op->state == NULL) return ERT_OUT_OF_MEMORY;
  ert_strided_copy_plan(op->state, 6, dims, strides, 0, ert_dtype_size(in->dtype));
  return ERT_OK;
}

const ert_op_def ert_op_space_to_depth = {"space_to_depth", 1, 1, 1, prepare, ert_strided_copy_invoke, 0};
