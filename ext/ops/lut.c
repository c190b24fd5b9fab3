/* y = table[x + 128]: any function of one int8 tensor. */
#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"

static void run_band(const ert_op *op, const ert_band *band);

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
  op->bands = (ert_bands){.kind = ERT_BAND_ELEMENTS, .tasks = SIZE_MAX, .unit = 1, .chunk = ERT_CHUNK_SIMPLE,
                          .run = run_band};
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static void look_up(const ert_op *op, size_t n, const int8_t *x, int8_t *y) {
  const ert_fvec_kernel *kernel = *(const ert_fvec_kernel **)op->state;
  kernel->lut_i8(n, x, op->in[1]->data, y);
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  look_up(op, end - begin, (const int8_t *)op->in[0]->data + begin, (int8_t *)op->out[0]->data + begin);
}

static void run_band(const ert_op *op, const ert_band *band) {
  const int8_t *x = band->operand == 0 ? band->y : (const int8_t *)op->in[0]->data + band->begin;
  look_up(op, band->end - band->begin, x, band->y);
}

static ert_status invoke(ert_op *op) {
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_lut = {"lut", 2, 2, 1, prepare, invoke};
