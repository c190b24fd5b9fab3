/* The same elements in another shape: a copy, or nothing where the planner lets both share their memory. */
#include "ops/move.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *in = op->in[0];
  ERT_TRY(ert_check_move(p, in, op->out[0]));
  const ert_fb_vector shape = ert_reshape_attrs_shape(op->attrs);
  ERT_REQUIRE(p, shape.count <= ERT_MAX_RANK, "shape has %u dimensions, needed at most %d", (unsigned)shape.count,
              ERT_MAX_RANK);
  const int rank = (int)shape.count;
  int32_t dims[ERT_MAX_RANK];
  int inferred = -1;
  size_t known = 1;
  for (int i = 0; i < rank; i++) {
    dims[i] = ert_fb_i32_at(shape, (uint32_t)i);
    if (dims[i] == -1) {
      ERT_REQUIRE(p, inferred < 0, "shape has more than one -1");
      inferred = i;
      continue;
    }
    ERT_REQUIRE(p, dims[i] >= 0, "shape[%d] is %d, needed -1 or more", i, (int)dims[i]);
    if (dims[i] == 0) {
      ERT_REQUIRE(p, i < in->rank, "shape[%d] is 0, but the input has only %d dimensions", i, in->rank);
      dims[i] = in->dims[i];
    }
    ERT_REQUIRE(p, ert_mul(known, (size_t)dims[i], &known), "shape is too large");
  }
  if (inferred >= 0) {
    ERT_REQUIRE(p, known > 0 && in->elements % known == 0 && in->elements / known <= INT32_MAX,
                "%zu elements cannot be divided by the %zu of the given dimensions", in->elements, known);
    dims[inferred] = (int32_t)(in->elements / known);
  } else {
    ERT_REQUIRE(p, known == in->elements, "shape holds %zu elements, needed the input's %zu", known, in->elements);
  }
  return ert_prepare_shape(p, op->out[0], rank, dims);
}

static ert_status invoke(ert_op *op) {
  const ert_tensor *in = op->in[0];
  if (in->bytes > 0 && in->data != op->out[0]->data) memcpy(op->out[0]->data, in->data, in->bytes);
  return ERT_OK;
}

const ert_op_def ert_op_reshape = {"reshape", 1, 1, 1, prepare, invoke, ERT_TRAIT_EXPANDS};
