/* Index of the largest (or smallest) element along one axis, the first one among equals; a NaN counts as the largest
 * and as the smallest, as in NumPy. Input float32, int8, uint8, int32 or int64; output int32 or int64. */
#include "ops/chunks.h"
#include "ops/rows.h"

typedef size_t (*index_fn)(const void *data, size_t start, const ert_rows *rows);

typedef struct arg_max_state {
  ert_rows rows;
  index_fn find;
} arg_max_state;

/* `better`: whether v takes the place of best. */
#define DEFINE_FIND(name, type, better)                                           \
  static size_t name(const void *data, size_t start, const ert_rows *rows) {      \
    const type *x = (const type *)data + start;                                   \
    type best = x[0];                                                             \
    size_t at = 0;                                                                \
    for (size_t i = 1; i < rows->n; i++) {                                        \
      const type v = x[i * rows->inner];                                          \
      if (better) best = v, at = i;                                               \
    }                                                                             \
    return at;                                                                    \
  }
DEFINE_FIND(most_f32, float, v > best || (v != v && best == best))
DEFINE_FIND(least_f32, float, v < best || (v != v && best == best))
DEFINE_FIND(most_i8, int8_t, v > best)
DEFINE_FIND(least_i8, int8_t, v < best)
DEFINE_FIND(most_u8, uint8_t, v > best)
DEFINE_FIND(least_u8, uint8_t, v < best)
DEFINE_FIND(most_i32, int32_t, v > best)
DEFINE_FIND(least_i32, int32_t, v < best)
DEFINE_FIND(most_i64, int64_t, v > best)
DEFINE_FIND(least_i64, int64_t, v < best)
#undef DEFINE_FIND

static const index_fn finders[ERT_DTYPE_COUNT][2] = { /* most, least; NULL: there is none */
    [ERT_DTYPE_FLOAT32] = {most_f32, least_f32}, [ERT_DTYPE_INT8] = {most_i8, least_i8},
    [ERT_DTYPE_UINT8] = {most_u8, least_u8},     [ERT_DTYPE_INT32] = {most_i32, least_i32},
    [ERT_DTYPE_INT64] = {most_i64, least_i64},
};

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  int axis;
  ERT_REQUIRE(p, finders[x->dtype][0] != NULL, "input is %s, needed float32, int8, uint8, int32 or int64",
              ert_dtype_name(x->dtype));
  ERT_REQUIRE(p, y->dtype == ERT_DTYPE_INT32 || y->dtype == ERT_DTYPE_INT64, "output is %s, needed int32 or int64",
              ert_dtype_name(y->dtype));
  ERT_REQUIRE(p, x->quant_count <= 1, "input has %u scales, needed 1", (unsigned)x->quant_count);
  ERT_TRY(ert_check_axis(p, ert_arg_max_attrs_axis(op->attrs), x->rank, &axis));
  arg_max_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->rows = ert_rows_of(x, axis);
  state->find = finders[x->dtype][ert_arg_max_attrs_minimum(op->attrs)];
  op->state = state;
  int32_t dims[ERT_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < x->rank; i++) {
    if (i != axis) dims[rank++] = x->dims[i];
    else if (ert_arg_max_attrs_keep_dims(op->attrs)) dims[rank++] = 1;
  }
  return ert_prepare_shape(p, op->out[0], rank, dims);
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const arg_max_state *s = op->state;
  for (size_t row = begin; row < end; row++) {
    const size_t at = s->find(op->in[0]->data, ert_row_start(&s->rows, row), &s->rows);
    if (op->out[0]->dtype == ERT_DTYPE_INT32) ((int32_t *)op->out[0]->data)[row] = (int32_t)at;
    else ((int64_t *)op->out[0]->data)[row] = (int64_t)at;
  }
}

static ert_status invoke(ert_op *op) {
  const arg_max_state *s = op->state;
  ert_run_chunks(op->pool, s->rows.count, ert_rows_chunk(&s->rows, ERT_CHUNK_SIMPLE), run, op);
  return ERT_OK;
}

const ert_op_def ert_op_arg_max = {"arg_max", 1, 1, 1, prepare, invoke, 0};
