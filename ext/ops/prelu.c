/* y = x where x >= 0, else x * slope; the slope broadcasts to x. float32. */
#include "ops/broadcast.h"
#include "ops/pick.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *slope = op->in[1];
  ERT_TRY(ert_check_dtype(p, x, "input", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_dtype(p, slope, "slope", ERT_DTYPE_FLOAT32));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_FLOAT32));
  ert_broadcast *plan = ert_prepare_alloc(p, sizeof *plan);
  if (plan == NULL) return ERT_OUT_OF_MEMORY;
  op->state = plan;
  ERT_TRY(ert_broadcast_prepare(p, 2, op->in, op->out[0], plan));
  ERT_REQUIRE(p, ert_same_shape(op->out[0], x), "slope has a dimension that the input lacks");
  return ERT_OK;
}

static inline float prelu(float x, float slope) { return ert_pick_f32(x < 0.0f, x * slope, x); }

static void run(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {
  const ert_op *op = arg;
  const float *x = (const float *)op->in[0]->data + from[0], *slope = (const float *)op->in[1]->data + from[1];
  float *y = (float *)op->out[0]->data + to;
  const size_t x_step = plan->step[0], slope_step = plan->step[1];
  if (x_step == 1 && slope_step == 1) {
    for (size_t i = 0; i < n; i++) y[i] = prelu(x[i], slope[i]);
  } else { /* x is as large as the output: its step is 0 in runs of one element only */
    for (size_t i = 0; i < n; i++) y[i] = prelu(x[i], slope[0]);
  }
}

static ert_status invoke(ert_op *op) {
  ert_broadcast_run(op->state, op->pool, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_prelu = {"prelu", 2, 2, 1, prepare, invoke, 0};
