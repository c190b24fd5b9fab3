/* reduce: mean, sum, maximum, minimum or product over any axes.
 *
 * Floats are summed and multiplied in float64, in the order of the input; an innermost reduced axis goes to 8 lanes in
 * turn, which are put together at the end. The order depends on the shape alone, never on threads. int8 sums follow
 * XNNPACK, int16 sums TFLite: see edgert/ops/reduce.py for the rules and where they come from.
 */
#include <math.h>
#include <string.h>

#include "kernels/fvec/fvec.h"
#include "ops/rule_i16.h"
#include "ops/weighted.h"
#include "requant/requant.h"

#define COLUMNS 64 /* kept elements that a task folds at once */
#define LANES 8
#define WORK_PER_TASK ((size_t)1 << 15)
#define INT8_LIMIT ((size_t)1 << 23) /* elements of an int8 sum: it and N * zero_x stay within int32 */
#define INT16_LIMIT (((size_t)1 << 16) - 1)

/* Accumulators: float64 for floats, int64 for all else. Many of them are an array of either. */
typedef union accumulator {
  double f;
  int64_t i;
} accumulator;
_Static_assert(sizeof(accumulator) == sizeof(double), "accumulators lie as closely as their members");

typedef struct reduce {
  int function;
  const ert_fvec_kernel *fvec;
  /* Axes are merged where neighbours are both kept or both reduced. What is left of the input, outermost first: */
  int kept_rank, reduced_rank;
  size_t kept_dims[ERT_MAX_RANK], kept_strides[ERT_MAX_RANK];       /* without the columns */
  size_t reduced_dims[ERT_MAX_RANK], reduced_strides[ERT_MAX_RANK]; /* without the innermost one */
  size_t rows, row_stride; /* the innermost reduced axis */
  size_t columns;          /* the innermost axis when it is kept, else 1 */
  size_t count;            /* elements that become one */
  size_t pieces;           /* of COLUMNS columns */
  size_t units, tasks;     /* a unit is one piece of one kept index */
  float multiplier, offset; /* int8 */
  bool rescale;             /* int8 max and min: the output has another scale or zero point */
  int32_t zero_x, zero_y;
  ert_fixed fixed;          /* int16 */
} reduce;

static void merge_axes(reduce *r, const ert_tensor *x, const bool *is_reduced) {
  size_t dims[ERT_MAX_RANK], strides[ERT_MAX_RANK], stride = 1;
  bool reduced[ERT_MAX_RANK];
  int rank = 0; /* innermost first */
  for (int axis = x->rank - 1; axis >= 0; axis--) {
    const size_t dim = (size_t)x->dims[axis];
    if (dim == 1) continue;
    if (rank > 0 && reduced[rank - 1] == is_reduced[axis]) {
      dims[rank - 1] *= dim;
    } else {
      dims[rank] = dim;
      strides[rank] = stride;
      reduced[rank++] = is_reduced[axis];
    }
    stride *= dim;
  }
  r->columns = r->rows = r->count = 1;
  const int first = rank > 0 && !reduced[0] ? 1 : 0;
  if (first == 1) r->columns = dims[0];
  bool have_rows = false;
  for (int i = first; i < rank; i++) {
    if (!reduced[i]) {
      r->kept_dims[r->kept_rank] = dims[i];
      r->kept_strides[r->kept_rank++] = strides[i];
      continue;
    }
    r->count *= dims[i];
    if (!have_rows) {
      have_rows = true;
      r->rows = dims[i];
      r->row_stride = strides[i];
    } else {
      r->reduced_dims[r->reduced_rank] = dims[i];
      r->reduced_strides[r->reduced_rank++] = strides[i];
    }
  }
}

static ert_status read_axes(ert_prepare *p, const ert_op *op, bool *is_reduced) {
  const ert_fb_vector axes = ert_reduce_attrs_axes(op->attrs);
  for (uint32_t i = 0; i < axes.count; i++) {
    int axis;
    ERT_TRY(ert_check_axis(p, ert_fb_i32_at(axes, i), op->in[0]->rank, &axis));
    ERT_REQUIRE(p, !is_reduced[axis], "axis %d is given twice, needed at most once", axis);
    is_reduced[axis] = true;
  }
  return ERT_OK;
}

static ert_status check_types(ert_prepare *p, const ert_op *op, int function) {
  const ert_tensor *x = op->in[0];
  static const char *const names[] = {"mean", "sum", "max", "min", "prod"};
  ERT_REQUIRE(p, function <= ERT_REDUCE_FUNCTION_PROD, "function is %d, needed one of 0 to %d", function,
              ERT_REDUCE_FUNCTION_PROD);
  const bool is_integer = x->dtype == ERT_DTYPE_INT32 || x->dtype == ERT_DTYPE_INT64;
  const bool known = x->dtype == ERT_DTYPE_FLOAT32 ||
                     ((x->dtype == ERT_DTYPE_INT8 || x->dtype == ERT_DTYPE_INT16) && function != ERT_REDUCE_FUNCTION_PROD) ||
                     (is_integer && function != ERT_REDUCE_FUNCTION_MEAN);
  ERT_REQUIRE(p, known, "%s of %s, needed float32, int8 or int16 (not prod), int32 or int64 (not mean)", names[function],
              ert_dtype_name(x->dtype));
  return ert_check_dtype(p, op->out[0], "output", x->dtype);
}

static ert_status prepare_int8(ert_prepare *p, const ert_op *op, reduce *r) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_TRY(ert_check_per_tensor(p, x, "input"));
  ERT_TRY(ert_check_per_tensor(p, y, "output"));
  ERT_REQUIRE(p, r->count <= INT8_LIMIT, "reduces %zu int8 elements to one, needed at most %zu", r->count, INT8_LIMIT);
  r->zero_x = x->zero_points[0];
  r->zero_y = y->zero_points[0];
  r->rescale = !ert_same_quant(x, y);
  ERT_TRY(ert_combined_scale(p, x->scales[0], 1.0f, y->scales[0], &r->multiplier));
  if (r->function == ERT_REDUCE_FUNCTION_MEAN) r->multiplier = r->multiplier * (1.0f / (float)r->count);
  const float shift = (float)((int32_t)r->count * r->zero_x) * r->multiplier;
  r->offset = (float)r->zero_y - shift;
  ERT_REQUIRE(p, isfinite(r->offset), "the scales %g / %g overflow over %zu elements", (double)x->scales[0],
              (double)y->scales[0], r->count);
  return ERT_OK;
}

/* TFLite's: a mean's division is part of the multiplier. */
static ert_status prepare_int16(ert_prepare *p, const ert_op *op, reduce *r) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_TRY(ert_check_symmetric(p, x, "input"));
  ERT_TRY(ert_check_symmetric(p, y, "output"));
  ERT_REQUIRE(p, r->count <= INT16_LIMIT, "reduces %zu int16 elements to one, needed at most %zu", r->count, INT16_LIMIT);
  r->rescale = !ert_same_quant(x, y);
  const bool extreme = r->function == ERT_REDUCE_FUNCTION_MAX || r->function == ERT_REDUCE_FUNCTION_MIN;
  const float ratio = x->scales[0] / y->scales[0];
  const double exact = (double)x->scales[0] / (double)y->scales[0];
  ERT_REQUIRE(p, isfinite(ratio), "the scales %g / %g overflow", (double)x->scales[0], (double)y->scales[0]);
  ERT_TRY(ert_fixed_init(p, extreme ? exact : (double)ratio, ERT_FIXED_SHIFT_32, &r->fixed));
  if (r->function != ERT_REDUCE_FUNCTION_MEAN || r->count == 0) return ERT_OK;
  int more = 0;
  while (r->count >> (more + 1) != 0) more++;
  if (more > 31 + r->fixed.shift) more = 31 + r->fixed.shift;
  r->fixed.multiplier = (int32_t)(((int64_t)r->fixed.multiplier << more) / (int64_t)r->count);
  r->fixed.shift -= more;
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  const int function = ert_reduce_attrs_function(op->attrs);
  ERT_TRY(check_types(p, op, function));
  bool is_reduced[ERT_MAX_RANK] = {false};
  ERT_TRY(read_axes(p, op, is_reduced));
  const bool keep_dims = ert_reduce_attrs_keep_dims(op->attrs);
  int32_t dims[ERT_MAX_RANK];
  int rank = 0;
  for (int axis = 0; axis < x->rank; axis++) {
    if (!is_reduced[axis]) dims[rank++] = x->dims[axis];
    else if (keep_dims) dims[rank++] = 1;
  }
  ERT_TRY(ert_prepare_shape(p, op->out[0], rank, dims));

  reduce *r = ert_prepare_alloc(p, sizeof *r);
  if (r == NULL) return ERT_OUT_OF_MEMORY;
  *r = (reduce){.function = function, .fvec = ert_fvec_select(ert_prepare_isa(p))};
  merge_axes(r, x, is_reduced);
  if (x->dtype == ERT_DTYPE_INT8) ERT_TRY(prepare_int8(p, op, r));
  if (x->dtype == ERT_DTYPE_INT16) ERT_TRY(prepare_int16(p, op, r));
  r->pieces = (r->columns + COLUMNS - 1) / COLUMNS;
  r->units = r->pieces;
  for (int i = 0; i < r->kept_rank; i++) r->units *= r->kept_dims[i];
  r->tasks = ert_min_size((size_t)ert_prepare_threads(p), x->elements / WORK_PER_TASK);
  r->tasks = ert_max_size(1, ert_min_size(r->tasks, r->units));
  op->state = r;
  return ERT_OK;
}

/* Folds rows by n elements into n accumulators. */
#define FOLD(name, type, field, expression)                                                             \
  static void name(size_t rows, size_t n, size_t row_stride, const type *x, accumulator *acc) {         \
    for (size_t row = 0; row < rows; row++, x += row_stride) {                                          \
      for (size_t c = 0; c < n; c++) {                                                                  \
        __typeof__(acc->field) a = acc[c].field, v = (__typeof__(a))x[c];                               \
        acc[c].field = (expression);                                                                    \
      }                                                                                                 \
    }                                                                                                   \
  }
#define WRAP(operation) ((int64_t)((uint64_t)a operation(uint64_t) v))
#define FOLDS(type, suffix, field, sum, product)                      \
  FOLD(sum_##suffix, type, field, sum)                                \
  FOLD(prod_##suffix, type, field, product)                           \
  FOLD(max_##suffix, type, field, v > a || v != v ? v : a)            \
  FOLD(min_##suffix, type, field, v < a || v != v ? v : a)            \
  static void fold_##suffix(int function, size_t rows, size_t n, size_t row_stride, const type *x, accumulator *acc) { \
    switch (function) {                                               \
      case ERT_REDUCE_FUNCTION_MAX: max_##suffix(rows, n, row_stride, x, acc); break;   \
      case ERT_REDUCE_FUNCTION_MIN: min_##suffix(rows, n, row_stride, x, acc); break;   \
      case ERT_REDUCE_FUNCTION_PROD: prod_##suffix(rows, n, row_stride, x, acc); break; \
      default: sum_##suffix(rows, n, row_stride, x, acc); break;      \
    }                                                                 \
  }
FOLDS(float, f32, f, a + v, a *v)
FOLDS(double, f64, f, a + v, a *v)
FOLDS(int8_t, i8, i, WRAP(+), WRAP(*))
FOLDS(int16_t, i16, i, WRAP(+), WRAP(*))
FOLDS(int32_t, i32, i, WRAP(+), WRAP(*))
FOLDS(int64_t, i64, i, WRAP(+), WRAP(*))

static void fold_sum_i8(const reduce *r, size_t n, const int8_t *x, accumulator *acc) {
  int32_t sums[COLUMNS];
  r->fvec->column_sums_i8(r->rows, n, r->row_stride, x, sums);
  for (size_t c = 0; c < n; c++) acc[c].i += sums[c];
}

/* Folds the innermost reduced axis at element `at` into n accumulators. */
static void fold(const reduce *r, int dtype, const void *x, size_t at, size_t rows, size_t n, size_t row_stride,
                 accumulator *acc) {
  switch (dtype) {
    case ERT_DTYPE_FLOAT32: fold_f32(r->function, rows, n, row_stride, (const float *)x + at, acc); break;
    case ERT_DTYPE_INT8: fold_i8(r->function, rows, n, row_stride, (const int8_t *)x + at, acc); break;
    case ERT_DTYPE_INT16: fold_i16(r->function, rows, n, row_stride, (const int16_t *)x + at, acc); break;
    case ERT_DTYPE_INT32: fold_i32(r->function, rows, n, row_stride, (const int32_t *)x + at, acc); break;
    default: fold_i64(r->function, rows, n, row_stride, (const int64_t *)x + at, acc); break;
  }
}

static accumulator neutral(int function, bool is_float) {
  accumulator a;
  if (is_float) {
    a.f = function == ERT_REDUCE_FUNCTION_MAX   ? -INFINITY
          : function == ERT_REDUCE_FUNCTION_MIN ? INFINITY
                                                : (double)(function == ERT_REDUCE_FUNCTION_PROD);
  } else {
    a.i = function == ERT_REDUCE_FUNCTION_MAX   ? INT64_MIN
          : function == ERT_REDUCE_FUNCTION_MIN ? INT64_MAX
                                                : (int64_t)(function == ERT_REDUCE_FUNCTION_PROD);
  }
  return a;
}

/* A contiguous reduced axis: element i goes to lane i mod LANES. */
static void fold_contiguous(const reduce *r, int dtype, const void *x, size_t at, accumulator *lanes) {
  const size_t whole = r->rows / LANES, rest = r->rows % LANES;
  fold(r, dtype, x, at, whole, LANES, LANES, lanes);
  fold(r, dtype, x, at + whole * LANES, rest != 0 ? 1 : 0, rest, 0, lanes);
}

static void fold_one_axis(const reduce *r, int dtype, const void *x, size_t at, size_t n, accumulator *acc) {
  const bool sums = r->function == ERT_REDUCE_FUNCTION_SUM || r->function == ERT_REDUCE_FUNCTION_MEAN;
  const bool contiguous = r->row_stride == 1 && r->rows > 1;
  if (dtype == ERT_DTYPE_INT8 && sums && contiguous) {
    acc->i += r->fvec->sum_i8(r->rows, (const int8_t *)x + at);
  } else if (dtype == ERT_DTYPE_INT8 && sums) {
    fold_sum_i8(r, n, (const int8_t *)x + at, acc);
  } else if (contiguous) {
    fold_contiguous(r, dtype, x, at, acc);
  } else if (dtype == ERT_DTYPE_FLOAT32 && sums) {
    r->fvec->add_columns(r->rows, n, r->row_stride, (const float *)x + at, &acc->f);
  } else {
    fold(r, dtype, x, at, r->rows, n, r->row_stride, acc);
  }
}

static int8_t finish_i8(const reduce *r, int64_t value) {
  if (r->function == ERT_REDUCE_FUNCTION_MAX || r->function == ERT_REDUCE_FUNCTION_MIN)
    return r->rescale ? ert_requant((int32_t)value - r->zero_x, r->multiplier, r->zero_y, -128, 127) : (int8_t)value;
  const volatile float product = (float)(int32_t)value * r->multiplier; /* never fused with the addition */
  float y = product + r->offset;
  y = y < -128.0f ? -128.0f : y;
  y = y > 127.0f ? 127.0f : y;
  return (int8_t)rintf(y);
}

static int16_t finish_i16(const reduce *r, int64_t value) {
  const bool extreme = r->function == ERT_REDUCE_FUNCTION_MAX || r->function == ERT_REDUCE_FUNCTION_MIN;
  return extreme && !r->rescale ? (int16_t)value
                                : ert_clamp_i16(ert_rescale_32((int32_t)value, r->fixed), INT16_MIN, INT16_MAX);
}

static void store(const reduce *r, int dtype, size_t n, const accumulator *acc, void *y, size_t at) {
  const double divisor = r->function == ERT_REDUCE_FUNCTION_MEAN ? (double)r->count : 1.0;
  for (size_t c = 0; c < n; c++) {
    switch (dtype) {
      case ERT_DTYPE_FLOAT32: ((float *)y)[at + c] = (float)(acc[c].f / divisor); break;
      case ERT_DTYPE_INT8: ((int8_t *)y)[at + c] = finish_i8(r, acc[c].i); break;
      case ERT_DTYPE_INT16: ((int16_t *)y)[at + c] = finish_i16(r, acc[c].i); break;
      case ERT_DTYPE_INT32: ((int32_t *)y)[at + c] = (int32_t)acc[c].i; break;
      default: ((int64_t *)y)[at + c] = acc[c].i; break;
    }
  }
}

/* One piece of columns of one kept index: all its reduced elements, and then the results. */
static void run_unit(const reduce *r, const ert_op *op, size_t unit) {
  const int dtype = op->in[0]->dtype;
  const size_t first = unit % r->pieces * COLUMNS, kept = unit / r->pieces;
  const size_t n = ert_min_size(COLUMNS, r->columns - first);
  size_t base = first, rest = kept;
  for (int i = 0; i < r->kept_rank; i++) { /* innermost first */
    base += rest % r->kept_dims[i] * r->kept_strides[i];
    rest /= r->kept_dims[i];
  }
  accumulator acc[COLUMNS];
  const size_t used = r->row_stride == 1 ? LANES : n;
  for (size_t c = 0; c < used; c++) acc[c] = neutral(r->function, dtype == ERT_DTYPE_FLOAT32);

  size_t index[ERT_MAX_RANK] = {0}, at = base;
  for (size_t outer = r->count / r->rows; outer > 0; outer--) {
    fold_one_axis(r, dtype, op->in[0]->data, at, n, acc);
    for (int i = 0; i < r->reduced_rank; i++) {
      at += r->reduced_strides[i];
      if (++index[i] < r->reduced_dims[i]) break;
      at -= r->reduced_dims[i] * r->reduced_strides[i];
      index[i] = 0;
    }
  }
  if (r->row_stride == 1) { /* put the lanes together */
    for (size_t lane = 1; lane < LANES; lane++) {
      if (dtype == ERT_DTYPE_FLOAT32) fold_f64(r->function, 1, 1, 0, &acc[lane].f, acc);
      else fold_i64(r->function, 1, 1, 0, &acc[lane].i, acc);
    }
  }
  store(r, dtype, n, acc, op->out[0]->data, kept * r->columns + first);
}

static void run_task(void *arg, size_t task) {
  const ert_op *op = arg;
  const reduce *r = op->state;
  size_t begin, end;
  ert_split(r->units, 1, r->tasks, task, &begin, &end);
  for (size_t unit = begin; unit < end; unit++) run_unit(r, op, unit);
}

static ert_status invoke(ert_op *op) {
  const reduce *r = op->state;
  ert_pool_run(op->pool, r->tasks, run_task, op);
  return ERT_OK;
}

const ert_op_def ert_op_reduce = {"reduce", 1, 1, 1, prepare, invoke, 0};
