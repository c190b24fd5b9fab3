/* Batches of matrix products y = a * b: fully_connected and matmul. Constant b is packed when the model is bound;
 * computed b block by block during invoke, by the task that uses it. */
#ifndef ERT_OPS_PRODUCT_H
#define ERT_OPS_PRODUCT_H

#include "ops/dense.h"

typedef struct ert_product_shape {
  size_t m, n, k;
  int batch_rank; /* leading dimensions of y */
  size_t batch_dims[ERT_MAX_RANK];
  size_t a_strides[ERT_MAX_RANK], b_strides[ERT_MAX_RANK]; /* in matrices; 0 where the operand is broadcast */
  bool transpose_a; /* a is [k, m] */
  bool transpose_b; /* b is [n, k], as the weights of fully_connected; otherwise [k, n] */
} ert_product_shape;

typedef struct ert_product {
  ert_product_shape shape;
  ert_dense dense;
  size_t batches, blocks; /* blocks: of dense.nr channels */
  const void *bias;
  const uint8_t *packed;  /* of constant b: a matrix after the other; NULL when b is computed */
  size_t tasks;
  bool by_rows;           /* tasks share out rows; otherwise batches and blocks */
  size_t turned_a_bytes;  /* scratch: a with its matrices transposed, when transpose_a */
  size_t task_bytes;      /* scratch of a task: one packed block, and b's channels turned */
  size_t turned_b_offset;
} ert_product;

/* op->in[0] is a and op->in[1] is b, both checked; bias may be NULL. Sets op->state and op->kernel, asks for scratch. */
ert_status ert_product_prepare(ert_prepare *p, ert_op *op, const ert_product_shape *shape, const ert_output_rule *rule,
                               const void *bias);
ert_status ert_product_invoke(ert_op *op);

#endif
