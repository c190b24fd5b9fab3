/* Compares two operands that broadcast; the result is bool, one byte of 0 or 1 each.
 * Comparisons with NaN are false, not_equal true. int8 and the like are compared as they stand: one scale is needed. */
#include "ops/broadcast.h"

typedef struct compare_state {
  ert_broadcast plan;
  ert_broadcast_fn run;
} compare_state;

#define DEFINE_RUN(function, operator, type, suffix)                                                             \
  static void function##_##suffix(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) { \
    const ert_op *op = arg;                                                                                     \
    const type *a = (const type *)op->in[0]->data + from[0], *b = (const type *)op->in[1]->data + from[1];      \
    uint8_t *y = (uint8_t *)op->out[0]->data + to;                                                              \
    for (size_t i = 0; i < n; i++) y[i] = a[i * plan->step[0]] operator b[i * plan->step[1]];                    \
  }
#define DEFINE_RUNS(type, suffix)               \
  DEFINE_RUN(equal, ==, type, suffix)           \
  DEFINE_RUN(not_equal, !=, type, suffix)       \
  DEFINE_RUN(less, <, type, suffix)             \
  DEFINE_RUN(less_equal, <=, type, suffix)      \
  DEFINE_RUN(greater, >, type, suffix)          \
  DEFINE_RUN(greater_equal, >=, type, suffix)
DEFINE_RUNS(float, f32)
DEFINE_RUNS(int8_t, i8)
DEFINE_RUNS(uint8_t, u8)
DEFINE_RUNS(int16_t, i16)
DEFINE_RUNS(int32_t, i32)
DEFINE_RUNS(int64_t, i64)
#undef DEFINE_RUNS
#undef DEFINE_RUN

/* Bytes of a bool may be any value from outside: only whether they are 0 counts. */
#define DEFINE_BOOL_RUN(name, operator)                                                                          \
  static void name(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {              \
    const ert_op *op = arg;                                                                                      \
    const uint8_t *a = (const uint8_t *)op->in[0]->data + from[0], *b = (const uint8_t *)op->in[1]->data + from[1]; \
    uint8_t *y = (uint8_t *)op->out[0]->data + to;                                                               \
    for (size_t i = 0; i < n; i++) y[i] = (a[i * plan->step[0]] != 0) operator(b[i * plan->step[1]] != 0);       \
  }
DEFINE_BOOL_RUN(equal_bool, ==)
DEFINE_BOOL_RUN(not_equal_bool, !=)
#undef DEFINE_BOOL_RUN

#define FUNCTIONS(suffix) \
  {equal_##suffix, not_equal_##suffix, less_##suffix, less_equal_##suffix, greater_##suffix, greater_equal_##suffix}
static const ert_broadcast_fn runs[ERT_DTYPE_COUNT][ERT_COMPARE_FUNCTION_COUNT] = {
    [ERT_DTYPE_FLOAT32] = FUNCTIONS(f32), [ERT_DTYPE_INT8] = FUNCTIONS(i8),
    [ERT_DTYPE_UINT8] = FUNCTIONS(u8),    [ERT_DTYPE_INT16] = FUNCTIONS(i16),
    [ERT_DTYPE_INT32] = FUNCTIONS(i32),   [ERT_DTYPE_INT64] = FUNCTIONS(i64),
    [ERT_DTYPE_BOOL] = {equal_bool, not_equal_bool},
};
#undef FUNCTIONS

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *a = op->in[0], *b = op->in[1];
  const int function = ert_compare_attrs_function(op->attrs);
  ERT_REQUIRE(p, function < ERT_COMPARE_FUNCTION_COUNT, "function is %d, needed 0 to %d", function,
              ERT_COMPARE_FUNCTION_COUNT - 1);
  ERT_REQUIRE(p, runs[a->dtype][function] != NULL, "inputs are %s, which function %d does not take",
              ert_dtype_name(a->dtype), function);
  ERT_TRY(ert_check_dtype(p, b, "input 1", a->dtype));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_BOOL));
  ERT_REQUIRE(p, (a->quant_count == 0 && b->quant_count == 0) || ert_same_quant(a, b),
              "inputs differ in quantisation, needed the same");
  compare_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->run = runs[a->dtype][function];
  op->state = state;
  return ert_broadcast_prepare(p, 2, op->in, op->out[0], &state->plan);
}

static ert_status invoke(ert_op *op) {
  const compare_state *state = op->state;
  ert_broadcast_run(&state->plan, op->pool, state->run, op);
  return ERT_OK;
}

const ert_op_def ert_op_compare = {"compare", 2, 2, 1, prepare, invoke, 0};
