/* What operators that pick or place elements by index have in common. Indices are int32 or int64; a negative one counts
 * from the end (ONNX). They come from data: whoever reads them in invoke checks each before it is used. */
#ifndef ERT_OPS_INDICES_H
#define ERT_OPS_INDICES_H

#include "ops/move.h"

ert_status ert_check_indices(ert_prepare *p, const ert_tensor *indices);

static inline int64_t ert_index_at(const ert_tensor *indices, size_t i) {
  return indices->dtype == ERT_DTYPE_INT32 ? ((const int32_t *)indices->data)[i] : ((const int64_t *)indices->data)[i];
}

/* Whether an index lies in [-dim, dim); it is counted from the start then. */
static inline bool ert_index_settle(int64_t index, size_t dim, size_t *settled) {
  const int64_t size = (int64_t)dim;
  if (index < -size || index >= size) return false;
  *settled = (size_t)(index < 0 ? index + size : index);
  return true;
}

/* Indices whose last dimension holds tuples: each names an element of x, or a run of them (gather_nd, scatter_nd). */
typedef struct ert_tuples {
  size_t count;        /* tuples */
  size_t per_batch;    /* of which so many share a position in the batch dimensions */
  size_t batch_stride; /* elements of x between two such positions */
  size_t depth;        /* indices of a tuple */
  size_t dims[ERT_MAX_RANK], strides[ERT_MAX_RANK]; /* of x, in elements, for each of them */
  size_t run;          /* elements that a tuple names */
} ert_tuples;

ert_status ert_tuples_prepare(ert_prepare *p, const ert_tensor *x, const ert_tensor *indices, int batch_dims,
                              ert_tuples *tuples);
/* The first element of x that tuple i names; false when an index lies outside. */
bool ert_tuple_start(const ert_tuples *tuples, const ert_tensor *indices, size_t i, size_t *start);

/* Indices of which each replaces one coordinate of its own position (gather_elements, scatter_elements), row by row
 * along their last dimension. */
typedef struct ert_elements {
  size_t dim, stride; /* of the axis in x */
  size_t rows, row;   /* rows of indices, elements of one */
  size_t step;        /* elements of x from one of a row to the next: 0 along the axis, else 1 */
  int outer;          /* dimensions before the last */
  size_t dims[ERT_MAX_RANK], strides[ERT_MAX_RANK]; /* of indices; of x, 0 along the axis */
} ert_elements;

ert_status ert_elements_prepare(ert_prepare *p, const ert_tensor *x, const ert_tensor *indices, int axis,
                                ert_elements *elements);
/* The element of x that the row's own position names, apart from the axis. */
size_t ert_elements_base(const ert_elements *elements, size_t row);

#endif
