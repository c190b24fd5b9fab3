/* y = table[x + 128]: any function of one int8 tensor. */
#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *table = op->in[1];
  ERT_TRY(ert_check_dtype(p, x, "input", ERT_DTYPE_INT8));
  ERT_TRY(ert_check_dtype(p, table, "table", ERT_DTYPE_INT8));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_INT8));
  ERT_TRY(ert_check_constant(p, table, "table"));
  ERT_REQUIRE(p, table->elements == 256, "table has %zu entries, needed 256", table->elements);
  const ert_fvec_kernel *kernel = ert_fvec_select(ert_prepare_isa(p));
  const ert_fvec_kernel **state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  *state = kernel;
  op->state = state;
  op->kernel = kernel->name;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const ert_fvec_kernel *kernel = *(const ert_fvec_kernel **)op->state;
  const int8_t *x = op->in[0]->data;
  int8_t *y = op->out[0]->data;
  kernel->lut_i8(end - begin, x + begin, op->in[1]->data, y + begin);
}

static ert_status invoke(ert_op *op) {
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_lut = {"lut", 2, 2, 1, prepare, invoke};
