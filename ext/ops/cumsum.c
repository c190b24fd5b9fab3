/* Running sums along one axis: y[i] = x[0] + ... + x[i], in that order; exclusive: without x[i]; reverse: from the end.
 * float32, int32 and int64 (whose sums wrap). */
#include <string.h>

#include "ops/chunks.h"
#include "ops/rows.h"

typedef struct cumsum_state {
  ert_rows rows;
  bool exclusive, reverse;
} cumsum_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_REQUIRE(p, x->dtype == ERT_DTYPE_FLOAT32 || x->dtype == ERT_DTYPE_INT32 || x->dtype == ERT_DTYPE_INT64,
              "input is %s, needed float32, int32 or int64", ert_dtype_name(x->dtype));
  ERT_REQUIRE(p, x->quant_count == 0 && y->quant_count == 0, "it has a scale, needed plain numbers");
  ERT_TRY(ert_check_dtype(p, y, "output", x->dtype));
  int axis;
  ERT_TRY(ert_check_axis(p, ert_cumsum_attrs_axis(op->attrs), x->rank, &axis));
  cumsum_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  if (x->elements > 0) state->rows = ert_rows_of(x, axis);
  state->exclusive = ert_cumsum_attrs_exclusive(op->attrs);
  state->reverse = ert_cumsum_attrs_reverse(op->attrs);
  op->state = state;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

/* Neighbouring rows side by side, so that memory is read in its order: `width` of them from element `start` on. */
#define DEFINE_SUM(name, type)                                                                      \
  static void name##_step(const type *restrict before, const type *restrict added, type *restrict y, \
                          size_t width) {                                                           \
    for (size_t j = 0; j < width; j++) y[j] = before[j] + added[j];                                 \
  }                                                                                                 \
  static void name(const ert_op *op, size_t start, size_t width) {                                  \
    const cumsum_state *s = op->state;                                                              \
    const type *x = (const type *)op->in[0]->data + start;                                          \
    type *y = (type *)op->out[0]->data + start;                                                     \
    const size_t n = s->rows.n, inner = s->rows.inner;                                              \
    size_t before = s->reverse ? (n - 1) * inner : 0;                                               \
    if (s->exclusive) memset(y + before, 0, width * sizeof *y);                                     \
    else memcpy(y + before, x + before, width * sizeof *y);                                         \
    for (size_t i = 1; i < n; i++) {                                                                \
      const size_t at = (s->reverse ? n - 1 - i : i) * inner;                                       \
      name##_step(y + before, x + (s->exclusive ? before : at), y + at, width);                     \
      before = at;                                                                                  \
    }                                                                                               \
  }
DEFINE_SUM(sum_f32, float)
DEFINE_SUM(sum_32, uint32_t) /* unsigned: sums wrap */
DEFINE_SUM(sum_64, uint64_t)
#undef DEFINE_SUM

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const ert_rows *rows = &((const cumsum_state *)op->state)->rows;
  while (begin < end) {
    const size_t width = ert_min_size(end - begin, rows->inner - begin % rows->inner);
    const size_t start = ert_row_start(rows, begin);
    switch (op->in[0]->dtype) {
      case ERT_DTYPE_FLOAT32: sum_f32(op, start, width); break;
      case ERT_DTYPE_INT32: sum_32(op, start, width); break;
      default: sum_64(op, start, width); break;
    }
    begin += width;
  }
}

static ert_status invoke(ert_op *op) {
  const cumsum_state *s = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  const size_t least = ert_min_size(s->rows.inner, 256); /* side by side: fewer would not read whole pages */
  ert_run_chunks(op->pool, s->rows.count, ert_max_size(least, ert_rows_chunk(&s->rows, ERT_CHUNK_SIMPLE)), run, op);
  return ERT_OK;
}

const ert_op_def ert_op_cumsum = {"cumsum", 1, 1, 1, prepare, invoke, 0};
