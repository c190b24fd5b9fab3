/* y = x - max - log(sum(exp(x - max))) along one axis; float32, summed from first to last. */
#include <math.h>

#include "ops/chunks.h"
#include "ops/rows.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  int axis;
  ERT_TRY(ert_check_dtype(p, x, "input", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_axis(p, ert_log_softmax_attrs_axis(op->attrs), x->rank, &axis));
  ert_rows *rows = ert_prepare_alloc(p, sizeof *rows);
  if (rows == NULL) return ERT_OUT_OF_MEMORY;
  *rows = ert_rows_of(x, axis);
  op->state = rows;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const ert_rows *rows = op->state;
  const size_t step = rows->inner, length = rows->n * step;
  for (size_t row = begin; row < end; row++) {
    const float *x = (const float *)op->in[0]->data + ert_row_start(rows, row);
    float *y = (float *)op->out[0]->data + ert_row_start(rows, row);
    float most = x[0], sum = 0.0f;
    for (size_t i = step; i < length; i += step) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < length; i += step) sum += expf(x[i] - most);
    const float log_sum = logf(sum);
    for (size_t i = 0; i < length; i += step) y[i] = x[i] - most - log_sum;
  }
}

static ert_status invoke(ert_op *op) {
  const ert_rows *rows = op->state;
  ert_run_chunks(op->pool, rows->count, ert_rows_chunk(rows, ERT_CHUNK_COSTLY), run, op);
  return ERT_OK;
}

const ert_op_def ert_op_log_softmax = {"log_softmax", 1, 1, 1, prepare, invoke, 0};
