#include "ops/repeat.h"

#include <string.h>

#include "ops/chunks.h"

enum {
  LONG = 512,    /* elements of a row that is worth a call of its own */
  COPIED = 1024, /* elements that the copies have at most: they stay in the first-level cache */
  FEW_ROWS = 4
};

void ert_repeat_prepare(ert_prepare *p, const ert_broadcast *plan, uint8_t dtype, ert_repeat *repeat) {
  *repeat = (ert_repeat){false, 0, 0, 0};
  if (plan->rank != 1 || plan->operands != 2 || plan->run >= LONG || plan->dims[0] < FEW_ROWS) return;
  if (plan->step[0] != 1 || plan->step[1] != 1) return;
  const int operand = plan->strides[0][0] == 0 ? 0 : 1, other = 1 - operand;
  if (plan->strides[operand][0] != 0 || plan->strides[other][0] != plan->run) return;
  *repeat = (ert_repeat){true, operand, plan->dims[0], ert_min_size(plan->dims[0], COPIED / plan->run)};
  ert_prepare_scratch(p, repeat->at_once * plan->run * ert_dtype_size(dtype));
}

typedef struct repeat_run {
  const ert_repeat *repeat;
  const ert_op *op;
  ert_repeat_fn fn;
  size_t row_bytes, run;
} repeat_run;

static void run_rows(void *arg, size_t begin, size_t end) {
  const repeat_run *r = arg;
  const ert_op *op = r->op;
  const uint8_t *rows = op->in[1 - r->repeat->operand]->data;
  uint8_t *out = op->out[0]->data;
  for (size_t row = begin; row < end; row += r->repeat->at_once) {
    const size_t n = ert_min_size(end - row, r->repeat->at_once) * r->run, at = row * r->row_bytes;
    const void *a = r->repeat->operand == 0 ? op->scratch : rows + at;
    const void *b = r->repeat->operand == 0 ? rows + at : op->scratch;
    r->fn(op, n, a, b, out + at);
  }
}

void ert_repeat_run(const ert_repeat *repeat, const ert_broadcast *plan, const ert_op *op, ert_repeat_fn fn) {
  const ert_tensor *operand = op->in[repeat->operand];
  const size_t row_bytes = plan->run * ert_dtype_size(operand->dtype);
  for (size_t i = 0; i < repeat->at_once; i++) memcpy((uint8_t *)op->scratch + i * row_bytes, operand->data, row_bytes);
  repeat_run r = {repeat, op, fn, row_bytes, plan->run};
  const size_t pieces = ert_max_size(1, ERT_CHUNK_SIMPLE / 2 / (repeat->at_once * plan->run));
  ert_run_chunks(op->pool, repeat->rows, pieces * repeat->at_once, run_rows, &r);
}
