/* matmul: a[...,M,K] with b[...,K,N]; leading dimensions broadcast as in NumPy. */
#include "ops/matmul_i16.h"

/* Dimension i of y's leading ones, as an operand has it: 1 where its rank is smaller. */
static int32_t leading(const ert_tensor *t, int batch_rank, int i) {
  const int own = i - (batch_rank - (t->rank - 2));
  return own < 0 ? 1 : t->dims[own];
}

/* Fills the leading dimensions of y and both operands' strides over them, counted in matrices. */
static ert_status broadcast_batches(ert_prepare *p, const ert_tensor *a, const ert_tensor *b, ert_product_shape *shape,
                                    int32_t *dims) {
  size_t a_stride = 1, b_stride = 1;
  for (int i = shape->batch_rank - 1; i >= 0; i--) {
    const int32_t a_dim = leading(a, shape->batch_rank, i), b_dim = leading(b, shape->batch_rank, i);
    ERT_REQUIRE(p, a_dim == b_dim || a_dim == 1 || b_dim == 1,
                "leading dimension %d is %d and %d, needed equal ones or a 1", i, (int)a_dim, (int)b_dim);
    dims[i] = a_dim == 1 ? b_dim : a_dim;
    shape->batch_dims[i] = (size_t)dims[i];
    shape->a_strides[i] = a_dim == 1 ? 0 : a_stride;
    shape->b_strides[i] = b_dim == 1 ? 0 : b_stride;
    a_stride *= (size_t)a_dim;
    b_stride *= (size_t)b_dim;
  }
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *a = op->in[0], *b = op->in[1];
  ERT_REQUIRE(p, a->rank >= 2 && b->rank >= 2, "inputs have %d and %d dimensions, needed at least 2", a->rank, b->rank);
  ert_product_shape shape = {
      .batch_rank = (a->rank > b->rank ? a->rank : b->rank) - 2,
      .transpose_a = ert_matmul_attrs_transpose_a(op->attrs),
      .transpose_b = ert_matmul_attrs_transpose_b(op->attrs),
  };
  const int32_t *a_matrix = a->dims + a->rank - 2, *b_matrix = b->dims + b->rank - 2;
  const int32_t m = a_matrix[shape.transpose_a ? 1 : 0], k = a_matrix[shape.transpose_a ? 0 : 1];
  const int32_t n = b_matrix[shape.transpose_b ? 0 : 1], b_k = b_matrix[shape.transpose_b ? 1 : 0];
  ERT_REQUIRE(p, k == b_k, "the inner dimensions are %d and %d, needed equal ones", (int)k, (int)b_k);
  shape.m = (size_t)m;
  shape.n = (size_t)n;
  shape.k = (size_t)k;

  int32_t dims[ERT_MAX_RANK];
  ERT_TRY(broadcast_batches(p, a, b, &shape, dims));
  dims[shape.batch_rank] = m;
  dims[shape.batch_rank + 1] = n;
  ERT_TRY(ert_prepare_shape(p, op->out[0], shape.batch_rank + 2, dims));
  ERT_TRY(ert_check_dtype(p, b, "second input", a->dtype));
  if (b->dtype == ERT_DTYPE_INT16) return ert_matmul_i16_prepare(p, op, &shape);
  if (b->dtype == ERT_DTYPE_INT8) ERT_TRY(ert_check_per_tensor(p, b, "second input"));
  ert_output_rule rule;
  ERT_TRY(ert_output_rule_init(p, a, b, op->out[0], shape.n, -1, ERT_ACTIVATION_NONE, &rule));
  return ert_product_prepare(p, op, &shape, &rule, NULL);
}

static ert_status invoke(ert_op *op) {
  return op->in[0]->dtype == ERT_DTYPE_INT16 ? ert_matmul_i16_invoke(op) : ert_product_invoke(op);
}

const ert_op_def ert_op_matmul = {"matmul", 2, 2, 1, prepare, invoke, ERT_TRAIT_PACKS};
