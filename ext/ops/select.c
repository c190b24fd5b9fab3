/* y = condition ? a : b; all three broadcast (NumPy's where). Any element type, by its size. */
#include "ops/broadcast.h"

typedef struct select_state {
  ert_broadcast plan;
  ert_broadcast_fn run;
} select_state;

/* Chosen by a mask instead of a branch: conditions are as good as random. Where nothing is broadcast within the run,
 * the loop becomes vectors. */
#define DEFINE_RUN(name, type)                                                                                  \
  static inline type name##_one(uint8_t condition, type yes, type no) {                                         \
    const type mask = (type)(0 - (type)(condition != 0));                                                       \
    return (type)((yes & mask) | (no & (type)~mask));                                                           \
  }                                                                                                             \
  static void name(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {             \
    const ert_op *op = arg;                                                                                     \
    const uint8_t *condition = (const uint8_t *)op->in[0]->data + from[0];                                      \
    const type *a = (const type *)op->in[1]->data + from[1], *b = (const type *)op->in[2]->data + from[2];      \
    type *y = (type *)op->out[0]->data + to;                                                                    \
    const size_t c_step = plan->step[0], a_step = plan->step[1], b_step = plan->step[2];                        \
    if (c_step == 1 && a_step == 1 && b_step == 1) {                                                            \
      for (size_t i = 0; i < n; i++) y[i] = name##_one(condition[i], a[i], b[i]);                               \
    } else {                                                                                                    \
      for (size_t i = 0; i < n; i++) y[i] = name##_one(condition[i * c_step], a[i * a_step], b[i * b_step]);    \
    }                                                                                                           \
  }
DEFINE_RUN(run_1, uint8_t)
DEFINE_RUN(run_2, uint16_t)
DEFINE_RUN(run_4, uint32_t)
DEFINE_RUN(run_8, uint64_t)
#undef DEFINE_RUN

static bool same_quant(const ert_tensor *a, const ert_tensor *b) {
  return (a->quant_count == 0 && b->quant_count == 0) || ert_same_quant(a, b);
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *a = op->in[1], *b = op->in[2], *y = op->out[0];
  ERT_TRY(ert_check_dtype(p, op->in[0], "condition", ERT_DTYPE_BOOL));
  ERT_TRY(ert_check_dtype(p, b, "input 2", a->dtype));
  ERT_TRY(ert_check_dtype(p, y, "output", a->dtype));
  ERT_REQUIRE(p, same_quant(a, b) && same_quant(a, y), "inputs and output differ in quantisation, needed the same");
  select_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  switch (ert_dtype_size(a->dtype)) {
    case 1: state->run = run_1; break;
    case 2: state->run = run_2; break;
    case 4: state->run = run_4; break;
    default: state->run = run_8; break;
  }
  op->state = state;
  return ert_broadcast_prepare(p, 3, op->in, op->out[0], &state->plan);
}

static ert_status invoke(ert_op *op) {
  const select_state *state = op->state;
  ert_broadcast_run(&state->plan, op->pool, state->run, op);
  return ERT_OK;
}

const ert_op_def ert_op_select = {"select", 3, 3, 1, prepare, invoke, 0};
