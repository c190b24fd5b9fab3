/* The identity: a tensor under another name, where a graph output or a variable's old value needs one. */
#include <string.h>

#include "ops/chunks.h"

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  ert_tensor *y = op->out[0];
  ERT_TRY(ert_check_dtype(p, y, "output", x->dtype));
  ERT_REQUIRE(p, (x->quant_count == 0 && y->quant_count == 0) || ert_same_quant(x, y),
              "input and output differ in quantisation, needed the same");
  return ert_prepare_shape(p, y, x->rank, x->dims);
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  memcpy((uint8_t *)op->out[0]->data + begin, (const uint8_t *)op->in[0]->data + begin, end - begin);
}

static ert_status invoke(ert_op *op) {
  ert_run_chunks(op->pool, op->out[0]->bytes, 8 * (size_t)ERT_CHUNK_SIMPLE, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_copy = {"copy", 1, 1, 1, prepare, invoke, 0};
