/* y = table[x + 128]: any function of one int8 tensor. Of an int16 one: linear interpolation between 513 entries, one
 * for every 128th number, halves up. */
#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"
#include "ops/table_i16.h"

static void run_band(const ert_op *op, const ert_band *band);

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0], *table = op->in[1];
  ERT_REQUIRE(p, x->dtype == ERT_DTYPE_INT8 || x->dtype == ERT_DTYPE_INT16, "input is %s, needed int8 or int16",
              ert_dtype_name(x->dtype));
  ERT_TRY(ert_check_dtype(p, table, "table", x->dtype));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", x->dtype));
  ERT_TRY(ert_check_constant(p, table, "table"));
  const size_t entries = x->dtype == ERT_DTYPE_INT8 ? 256 : ERT_TABLE_I16;
  ERT_REQUIRE(p, table->elements == entries, "table has %zu entries, needed %zu", table->elements, entries);
  if (x->dtype == ERT_DTYPE_INT16) return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
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

static void run_i16(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const int16_t *x = op->in[0]->data, *table = op->in[1]->data;
  int16_t *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = ert_table_i16_at(table, x[i]);
}

static ert_status invoke(ert_op *op) {
  if (op->in[0]->dtype == ERT_DTYPE_INT16) {
    ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run_i16, op);
    return ERT_OK;
  }
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_lut = {"lut", 2, 2, 1, prepare, invoke, 0};
