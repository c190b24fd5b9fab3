#include "ops/indices.h"

ert_status ert_check_indices(ert_prepare *p, const ert_tensor *indices) {
  ERT_REQUIRE(p, indices->dtype == ERT_DTYPE_INT32 || indices->dtype == ERT_DTYPE_INT64,
              "indices are %s, needed int32 or int64", ert_dtype_name(indices->dtype));
  return ERT_OK;
}

/* Product of dimensions [begin, end). A tensor without elements may have others whose product overflows. */
static ert_status product(ert_prepare *p, const ert_tensor *t, int begin, int end, size_t *result) {
  *result = 1;
  for (int i = begin; i < end; i++) {
    ERT_REQUIRE(p, ert_mul(*result, (size_t)t->dims[i], result), "the dimensions are too large");
  }
  return ERT_OK;
}

ert_status ert_tuples_prepare(ert_prepare *p, const ert_tensor *x, const ert_tensor *indices, int batch_dims,
                              ert_tuples *tuples) {
  ERT_TRY(ert_check_indices(p, indices));
  const int last = indices->rank - 1;
  ERT_REQUIRE(p, last >= 0, "indices are a scalar, needed at least one dimension");
  ERT_REQUIRE(p, batch_dims >= 0 && batch_dims <= last && batch_dims <= x->rank,
              "batch_dims is %d for indices of %d and an input of %d dimensions", batch_dims, indices->rank, x->rank);
  for (int i = 0; i < batch_dims; i++) {
    ERT_REQUIRE(p, indices->dims[i] == x->dims[i], "dimension %d of the indices is %d, needed the input's %d", i,
                (int)indices->dims[i], (int)x->dims[i]);
  }
  const int32_t depth = indices->dims[last];
  ERT_REQUIRE(p, depth <= x->rank - batch_dims, "tuples have %d indices, needed at most %d", (int)depth,
              x->rank - batch_dims);
  ptrdiff_t strides[ERT_MAX_RANK];
  ert_dense_strides(x, strides);
  *tuples = (ert_tuples){.depth = (size_t)depth};
  ERT_TRY(product(p, indices, 0, last, &tuples->count));
  ERT_TRY(product(p, indices, batch_dims, last, &tuples->per_batch));
  ERT_TRY(product(p, x, batch_dims, x->rank, &tuples->batch_stride));
  ERT_TRY(product(p, x, batch_dims + depth, x->rank, &tuples->run));
  for (int i = 0; i < depth; i++) {
    tuples->dims[i] = (size_t)x->dims[batch_dims + i];
    tuples->strides[i] = (size_t)strides[batch_dims + i];
  }
  return ERT_OK;
}

bool ert_tuple_start(const ert_tuples *tuples, const ert_tensor *indices, size_t i, size_t *start) {
  size_t at = i / tuples->per_batch * tuples->batch_stride;
  for (size_t k = 0; k < tuples->depth; k++) {
    size_t index;
    if (!ert_index_settle(ert_index_at(indices, i * tuples->depth + k), tuples->dims[k], &index)) return false;
    at += index * tuples->strides[k];
  }
  *start = at;
  return true;
}

ert_status ert_elements_prepare(ert_prepare *p, const ert_tensor *x, const ert_tensor *indices, int axis,
                                ert_elements *elements) {
  int along;
  ERT_TRY(ert_check_indices(p, indices));
  ERT_TRY(ert_check_axis(p, axis, x->rank, &along));
  ERT_TRY(ert_check_rank(p, indices, "indices", x->rank));
  ptrdiff_t strides[ERT_MAX_RANK];
  ert_dense_strides(x, strides);
  const int last = x->rank - 1;
  *elements = (ert_elements){.dim = (size_t)x->dims[along], .stride = (size_t)strides[along],
                             .row = (size_t)indices->dims[last], .step = along != last, .outer = last};
  for (int i = 0; i <= last; i++) {
    ERT_REQUIRE(p, i == along || indices->dims[i] <= x->dims[i], "dimension %d of the indices is %d, needed at most %d",
                i, (int)indices->dims[i], (int)x->dims[i]);
    elements->dims[i] = (size_t)indices->dims[i];
    elements->strides[i] = i == along ? 0 : (size_t)strides[i];
  }
  return product(p, indices, 0, last, &elements->rows);
}

size_t ert_elements_base(const ert_elements *elements, size_t row) {
  size_t at = 0;
  for (int i = elements->outer - 1; i >= 0; i--) {
    at += row % elements->dims[i] * elements->strides[i];
    row /= elements->dims[i];
  }
  return at;
}
