#include "ops/scatter.h"

ert_status ert_scatter_check(ert_prepare *p, const ert_op *op, int reduction) {
  const ert_tensor *x = op->in[0], *updates = op->in[2];
  ERT_TRY(ert_check_move(p, x, op->out[0]));
  ERT_TRY(ert_check_dtype(p, updates, "updates", x->dtype));
  ERT_REQUIRE(p, (x->quant_count == 0 && updates->quant_count == 0) || ert_same_quant(x, updates),
              "input and updates differ in quantisation, needed the same");
  ERT_REQUIRE(p, reduction < ERT_SCATTER_REDUCTION_COUNT, "reduction is %d, needed less than %d", reduction,
              ERT_SCATTER_REDUCTION_COUNT);
  const bool arithmetic = reduction == ERT_SCATTER_REDUCTION_ADD || reduction == ERT_SCATTER_REDUCTION_MUL;
  ERT_REQUIRE(p, !arithmetic || x->quant_count == 0, "a sum or product of quantised numbers, needed plain ones");
  ERT_REQUIRE(p, reduction == ERT_SCATTER_REDUCTION_NONE || x->dtype != ERT_DTYPE_FLOAT16,
              "a reduction of float16, needed float32 or integers");
  return ERT_OK;
}

static float join_float(int reduction, float old, float update) {
  switch (reduction) {
    case ERT_SCATTER_REDUCTION_MUL: return old * update;
    case ERT_SCATTER_REDUCTION_MIN: return update < old || update != update ? update : old; /* NaN stays */
    default: return update > old || update != update ? update : old;
  }
}

/* Sums and products wrap. */
static int64_t join_integer(int reduction, int64_t old, int64_t update) {
  switch (reduction) {
    case ERT_SCATTER_REDUCTION_ADD: return (int64_t)((uint64_t)old + (uint64_t)update);
    case ERT_SCATTER_REDUCTION_MUL: return (int64_t)((uint64_t)old * (uint64_t)update);
    case ERT_SCATTER_REDUCTION_MIN: return update < old ? update : old;
    default: return update > old ? update : old;
  }
}

static int64_t integer_at(int dtype, const void *data, size_t i) {
  switch (dtype) {
    case ERT_DTYPE_INT8: return ((const int8_t *)data)[i];
    case ERT_DTYPE_INT16: return ((const int16_t *)data)[i];
    case ERT_DTYPE_INT32: return ((const int32_t *)data)[i];
    case ERT_DTYPE_INT64: return ((const int64_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
  }
}

static void set_integer(int dtype, void *data, size_t i, int64_t value) {
  switch (dtype) {
    case ERT_DTYPE_INT16: ((int16_t *)data)[i] = (int16_t)value; break;
    case ERT_DTYPE_INT32: ((int32_t *)data)[i] = (int32_t)value; break;
    case ERT_DTYPE_INT64: ((int64_t *)data)[i] = value; break;
    case ERT_DTYPE_BOOL: ((uint8_t *)data)[i] = value != 0; break;
    default: ((uint8_t *)data)[i] = (uint8_t)value; break;
  }
}

void ert_scatter_join(const ert_op *op, int reduction, size_t at, size_t from, size_t n) {
  const ert_tensor *updates = op->in[2];
  const int dtype = updates->dtype;
  const size_t size = ert_dtype_size(dtype);
  void *y = op->out[0]->data;
  if (reduction == ERT_SCATTER_REDUCTION_NONE) {
    ert_copy_run((uint8_t *)y + at * size, (const uint8_t *)updates->data + from * size, n * size);
  } else if (dtype == ERT_DTYPE_FLOAT32) {
    float *restrict to = (float *)y + at;
    const float *restrict u = (const float *)updates->data + from;
    if (reduction == ERT_SCATTER_REDUCTION_ADD) {
      for (size_t i = 0; i < n; i++) to[i] += u[i];
    } else {
      for (size_t i = 0; i < n; i++) to[i] = join_float(reduction, to[i], u[i]);
    }
  } else {
    for (size_t i = 0; i < n; i++) {
      const int64_t joined =
          join_integer(reduction, integer_at(dtype, y, at + i), integer_at(dtype, updates->data, from + i));
      set_integer(dtype, y, at + i, joined);
    }
  }
}
