/* Checks and small tables that operators share; op.h documents each. */
#include <math.h>

#include "ops/op.h"

static const struct {
  const char *name;
  size_t size;
} dtypes[ERT_DTYPE_COUNT] = {
    [ERT_DTYPE_FLOAT32] = {"float32", 4}, [ERT_DTYPE_INT8] = {"int8", 1},       [ERT_DTYPE_UINT8] = {"uint8", 1},
    [ERT_DTYPE_INT16] = {"int16", 2},     [ERT_DTYPE_INT32] = {"int32", 4},     [ERT_DTYPE_INT64] = {"int64", 8},
    [ERT_DTYPE_BOOL] = {"bool", 1},       [ERT_DTYPE_FLOAT16] = {"float16", 2},
};

const char *ert_dtype_name(int dtype) {
  return dtype >= 0 && dtype < ERT_DTYPE_COUNT ? dtypes[dtype].name : "an unknown type";
}

size_t ert_dtype_size(int dtype) { return dtype >= 0 && dtype < ERT_DTYPE_COUNT ? dtypes[dtype].size : 0; }

ert_status ert_check_dtype(ert_prepare *p, const ert_tensor *t, const char *what, int dtype) {
  ERT_REQUIRE(p, t->dtype == dtype, "%s is %s, needed %s", what, ert_dtype_name(t->dtype), ert_dtype_name(dtype));
  return ERT_OK;
}

ert_status ert_check_rank(ert_prepare *p, const ert_tensor *t, const char *what, int rank) {
  ERT_REQUIRE(p, t->rank == rank, "%s has %d dimensions, needed %d", what, t->rank, rank);
  return ERT_OK;
}

ert_status ert_check_per_tensor(ert_prepare *p, const ert_tensor *t, const char *what) {
  ERT_REQUIRE(p, t->quant_count == 1, "%s has %u scales, needed 1", what, (unsigned)t->quant_count);
  return ERT_OK;
}

ert_status ert_check_constant(ert_prepare *p, const ert_tensor *t, const char *what) {
  ERT_REQUIRE(p, t->kind == ERT_TENSOR_KIND_CONSTANT && t->data != NULL, "%s is computed, needed a constant", what);
  return ERT_OK;
}

bool ert_same_shape(const ert_tensor *a, const ert_tensor *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != b->dims[i]) return false;
  }
  return true;
}

bool ert_same_quant(const ert_tensor *a, const ert_tensor *b) {
  return a->quant_count == 1 && b->quant_count == 1 && a->scales[0] == b->scales[0] &&
         a->zero_points[0] == b->zero_points[0];
}

ert_status ert_check_axis(ert_prepare *p, int axis, int rank, int *normalised) {
  ERT_REQUIRE(p, axis >= -rank && axis < rank, "axis is %d, needed one of %d to %d", axis, -rank, rank - 1);
  *normalised = axis < 0 ? axis + rank : axis;
  return ERT_OK;
}

void ert_activation_range_f32(int activation, float *lo, float *hi) {
  *lo = -INFINITY;
  *hi = INFINITY;
  if (activation == ERT_ACTIVATION_RELU || activation == ERT_ACTIVATION_RELU6) *lo = 0.0f;
  if (activation == ERT_ACTIVATION_RELU_N1_TO_1) *lo = -1.0f;
  if (activation == ERT_ACTIVATION_RELU6) *hi = 6.0f;
  if (activation == ERT_ACTIVATION_RELU_N1_TO_1) *hi = 1.0f;
}

/* Clamped before it is rounded: infinities and quotients beyond int32 stay harmless, and the result is the same. */
static int8_t quantize_bound(float bound, float scale, int32_t zero_point) {
  const float lo = (float)(-128 - zero_point), hi = (float)(127 - zero_point);
  float q = bound / scale;
  q = q < lo ? lo : q;
  q = q > hi ? hi : q;
  return (int8_t)((int32_t)rintf(q) + zero_point);
}

void ert_activation_range_i8(int activation, float scale, int32_t zero_point, int8_t *lo, int8_t *hi) {
  float real_lo, real_hi;
  ert_activation_range_f32(activation, &real_lo, &real_hi);
  *lo = quantize_bound(real_lo, scale, zero_point);
  *hi = quantize_bound(real_hi, scale, zero_point);
}
