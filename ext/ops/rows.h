/* Operators that work along one axis: the tensor as [outer][n][inner], one row of n elements for each outer and inner. */
#ifndef ERT_OPS_ROWS_H
#define ERT_OPS_ROWS_H

#include "ops/op.h"

typedef struct ert_rows {
  size_t n;     /* elements of a row */
  size_t inner; /* elements between two of a row */
  size_t count; /* rows */
} ert_rows;

/* Rows along `axis`, which ert_check_axis has accepted; the tensor's size is known not to overflow. */
static inline ert_rows ert_rows_of(const ert_tensor *t, int axis) {
  ert_rows rows = {(size_t)t->dims[axis], 1, 1};
  for (int i = 0; i < t->rank; i++) {
    if (i > axis) rows.inner *= (size_t)t->dims[i];
    if (i != axis) rows.count *= (size_t)t->dims[i];
  }
  return rows;
}

/* First element of a row. */
static inline size_t ert_row_start(const ert_rows *rows, size_t row) {
  return row / rows->inner * rows->inner * rows->n + row % rows->inner;
}

/* Rows that make a chunk of about `elements` elements. */
static inline size_t ert_rows_chunk(const ert_rows *rows, size_t elements) {
  return ert_max_size(1, elements / rows->n);
}

#endif
