/* Elementwise functions of two operands that broadcast: float32, int32, int64 and, for the logical ones, bool.
 *
 * Integers wrap modulo 2^n. div truncates towards zero; floor_div and floor_mod are Python's. An integer division by
 * zero, and zero to a negative power, stop the run with ERT_RUNTIME_ERROR. A shift by less than 0 or more than 63 bits
 * pushes all of them out. Minimum and maximum of a NaN are NaN.
 */
#include <math.h>
#include <stdatomic.h>

#include "kernels/fvec/fvec.h"
#include "ops/broadcast.h"

typedef struct binary_state {
  ert_broadcast plan;
  ert_broadcast_fn run;
  const ert_fvec_kernel *vectors;
  ert_fvec_op vector_op; /* ERT_FVEC_OP_COUNT: none */
  int64_t (*rare)(int64_t a, int64_t b, bool *failed); /* of run_rare */
  float lo, hi;          /* fused activation of float32 */
  atomic_bool failed;    /* an integer division by zero */
} binary_state;

/* --- float32 --- */

static inline float squared_difference_f32(float a, float b) { return (a - b) * (a - b); }
static inline float floor_div_f32(float a, float b) { return floorf(a / b); }
static inline float floor_mod_f32(float a, float b) {
  const float rest = fmodf(a, b);
  return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

#define FLOAT_RUN(name, function)                                                                               \
  static void name(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {             \
    const ert_op *op = arg;                                                                                     \
    const binary_state *s = op->state;                                                                          \
    const float *a = (const float *)op->in[0]->data + from[0], *b = (const float *)op->in[1]->data + from[1];   \
    float *y = (float *)op->out[0]->data + to;                                                                  \
    for (size_t i = 0; i < n; i++) {                                                                            \
      float value = function(a[i * plan->step[0]], b[i * plan->step[1]]);                                       \
      value = value < s->lo ? s->lo : value;                                                                    \
      y[i] = value > s->hi ? s->hi : value;                                                                     \
    }                                                                                                           \
  }
FLOAT_RUN(run_pow_f32, powf)
FLOAT_RUN(run_squared_difference_f32, squared_difference_f32)
FLOAT_RUN(run_floor_div_f32, floor_div_f32)
FLOAT_RUN(run_floor_mod_f32, floor_mod_f32)
FLOAT_RUN(run_trunc_mod_f32, fmodf)
FLOAT_RUN(run_atan2_f32, atan2f)
#undef FLOAT_RUN

static void run_vectors(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {
  const ert_op *op = arg;
  const binary_state *s = op->state;
  const ert_fvec_form form = plan->step[0] == 0 ? ERT_FVEC_SV : plan->step[1] == 0 ? ERT_FVEC_VS : ERT_FVEC_VV;
  const float *a = (const float *)op->in[0]->data + from[0], *b = (const float *)op->in[1]->data + from[1];
  s->vectors->binary[s->vector_op][form](n, a, b, s->lo, s->hi, (float *)op->out[0]->data + to);
}

/* --- int32 and int64 --- */

#define DEFINE_INTEGER(type, unsigned_type, suffix)                                                             \
  static inline type minimum_##suffix(type a, type b, bool *failed) { (void)failed; return a < b ? a : b; }     \
  static inline type maximum_##suffix(type a, type b, bool *failed) { (void)failed; return a > b ? a : b; }     \
  static inline type squared_difference_##suffix(type a, type b, bool *failed) {                                \
    (void)failed;                                                                                               \
    const unsigned_type d = (unsigned_type)a - (unsigned_type)b;                                                \
    return (type)(d * d);                                                                                       \
  }                                                                                                             \
  static inline type div_##suffix(type a, type b, bool *failed) {                                               \
    if (b == 0) {                                                                                               \
      *failed = true;                                                                                           \
      return 0;                                                                                                 \
    }                                                                                                           \
    return b == -1 ? (type)(0 - (unsigned_type)a) : a / b; /* the least integer has no negative: it wraps */    \
  }                                                                                                             \
  static inline type floor_div_##suffix(type a, type b, bool *failed) {                                         \
    const type quotient = div_##suffix(a, b, failed);                                                           \
    return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;                     \
  }                                                                                                             \
  static inline type floor_mod_##suffix(type a, type b, bool *failed) {                                         \
    if (b == 0) *failed = true;                                                                                 \
    if (b == 0 || b == -1) return 0;                                                                            \
    const type rest = a % b;                                                                                    \
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;                                                \
  }                                                                                                             \
  static inline type pow_##suffix(type base, type exponent, bool *failed) {                                     \
    if (exponent < 0) { /* 1 / base^n, truncated */                                                             \
      if (base == 0) *failed = true;                                                                            \
      return base == 1 ? 1 : base == -1 ? ((exponent & 1) != 0 ? -1 : 1) : 0;                                   \
    }                                                                                                           \
    unsigned_type result = 1, square = (unsigned_type)base;                                                     \
    for (; exponent > 0; exponent >>= 1) {                                                                      \
      if ((exponent & 1) != 0) result *= square;                                                                \
      square *= square;                                                                                         \
    }                                                                                                           \
    return (type)result;                                                                                        \
  }
DEFINE_INTEGER(int32_t, uint32_t, i32)
DEFINE_INTEGER(int64_t, uint64_t, i64)
#undef DEFINE_INTEGER

#define INTEGER_RUN(function, type, suffix)                                                                     \
  static void run_##function##_##suffix(void *arg, const ert_broadcast *plan, size_t n, const size_t *from,     \
                                        size_t to) {                                                            \
    const ert_op *op = arg;                                                                                     \
    binary_state *s = op->state;                                                                                \
    const type *a = (const type *)op->in[0]->data + from[0], *b = (const type *)op->in[1]->data + from[1];      \
    type *y = (type *)op->out[0]->data + to;                                                                    \
    bool failed = false;                                                                                        \
    for (size_t i = 0; i < n; i++)                                                                              \
      y[i] = function##_##suffix(a[i * plan->step[0]], b[i * plan->step[1]], &failed);                          \
    if (failed) atomic_store_explicit(&s->failed, true, memory_order_relaxed);                                  \
  }
#define INTEGER_RUNS(function) INTEGER_RUN(function, int32_t, i32) INTEGER_RUN(function, int64_t, i64)
INTEGER_RUNS(div)
INTEGER_RUNS(minimum)
INTEGER_RUNS(maximum)
INTEGER_RUNS(pow)
INTEGER_RUNS(squared_difference)
INTEGER_RUNS(floor_div)
INTEGER_RUNS(floor_mod)
#undef INTEGER_RUNS
#undef INTEGER_RUN

/* Functions that few models have: one loop for all of them, and for both types. */
static int64_t bitwise_and(int64_t a, int64_t b, bool *failed) { (void)failed; return a & b; }
static int64_t bitwise_or(int64_t a, int64_t b, bool *failed) { (void)failed; return a | b; }
static int64_t bitwise_xor(int64_t a, int64_t b, bool *failed) { (void)failed; return a ^ b; }
static int64_t shift_left(int64_t a, int64_t b, bool *failed) {
  (void)failed;
  return b < 0 || b > 63 ? 0 : (int64_t)((uint64_t)a << b);
}
static int64_t shift_right(int64_t a, int64_t b, bool *failed) {
  (void)failed;
  return a >> (b < 0 || b > 63 ? 63 : b);
}
static int64_t trunc_mod(int64_t a, int64_t b, bool *failed) {
  if (b == 0) *failed = true;
  return b == 0 || b == -1 ? 0 : a % b;
}

static int64_t (*const rare[ERT_BINARY_FUNCTION_COUNT])(int64_t, int64_t, bool *) = {
    [ERT_BINARY_FUNCTION_BITWISE_AND] = bitwise_and, [ERT_BINARY_FUNCTION_BITWISE_OR] = bitwise_or,
    [ERT_BINARY_FUNCTION_BITWISE_XOR] = bitwise_xor, [ERT_BINARY_FUNCTION_SHIFT_LEFT] = shift_left,
    [ERT_BINARY_FUNCTION_SHIFT_RIGHT] = shift_right, [ERT_BINARY_FUNCTION_TRUNC_MOD] = trunc_mod,
};

static inline int64_t integer_at(const ert_tensor *t, size_t i) {
  return t->dtype == ERT_DTYPE_INT64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
}

static void run_rare(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {
  const ert_op *op = arg;
  binary_state *s = op->state;
  bool failed = false;
  for (size_t i = 0; i < n; i++) {
    const int64_t y = s->rare(integer_at(op->in[0], from[0] + i * plan->step[0]),
                              integer_at(op->in[1], from[1] + i * plan->step[1]), &failed);
    if (op->out[0]->dtype == ERT_DTYPE_INT64) ((int64_t *)op->out[0]->data)[to + i] = y;
    else ((int32_t *)op->out[0]->data)[to + i] = (int32_t)y;
  }
  if (failed) atomic_store_explicit(&s->failed, true, memory_order_relaxed);
}

/* --- bool: bytes, of which any but 0 is true --- */

#define LOGICAL_RUN(name, operator)                                                                             \
  static void name(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {             \
    const ert_op *op = arg;                                                                                     \
    const uint8_t *a = (const uint8_t *)op->in[0]->data + from[0], *b = (const uint8_t *)op->in[1]->data + from[1]; \
    uint8_t *y = (uint8_t *)op->out[0]->data + to;                                                              \
    for (size_t i = 0; i < n; i++)                                                                              \
      y[i] = (uint8_t)((a[i * plan->step[0]] != 0) operator(b[i * plan->step[1]] != 0));                        \
  }
LOGICAL_RUN(run_and, &)
LOGICAL_RUN(run_or, |)
#undef LOGICAL_RUN

/* --- which function runs for which type; NULL: there is none --- */

#define NUMERIC(FUNCTION, name, float_run)                                                     \
  [ERT_BINARY_FUNCTION_##FUNCTION] = {[ERT_DTYPE_FLOAT32] = float_run,                         \
                                      [ERT_DTYPE_INT32] = run_##name##_i32,                    \
                                      [ERT_DTYPE_INT64] = run_##name##_i64}
#define RARE(FUNCTION, float_run)                                                              \
  [ERT_BINARY_FUNCTION_##FUNCTION] = {[ERT_DTYPE_FLOAT32] = float_run,                         \
                                      [ERT_DTYPE_INT32] = run_rare,                            \
                                      [ERT_DTYPE_INT64] = run_rare}
static const ert_broadcast_fn runs[ERT_BINARY_FUNCTION_COUNT][ERT_DTYPE_COUNT] = {
    NUMERIC(DIV, div, run_vectors),
    NUMERIC(MINIMUM, minimum, run_vectors),
    NUMERIC(MAXIMUM, maximum, run_vectors),
    NUMERIC(POW, pow, run_pow_f32),
    NUMERIC(SQUARED_DIFFERENCE, squared_difference, run_squared_difference_f32),
    NUMERIC(FLOOR_DIV, floor_div, run_floor_div_f32),
    NUMERIC(FLOOR_MOD, floor_mod, run_floor_mod_f32),
    RARE(BITWISE_AND, NULL),
    RARE(BITWISE_OR, NULL),
    RARE(BITWISE_XOR, NULL),
    RARE(SHIFT_LEFT, NULL),
    RARE(SHIFT_RIGHT, NULL),
    RARE(TRUNC_MOD, run_trunc_mod_f32),
    [ERT_BINARY_FUNCTION_ATAN2] = {[ERT_DTYPE_FLOAT32] = run_atan2_f32},
    [ERT_BINARY_FUNCTION_LOGICAL_AND] = {[ERT_DTYPE_BOOL] = run_and},
    [ERT_BINARY_FUNCTION_LOGICAL_OR] = {[ERT_DTYPE_BOOL] = run_or},
};
#undef RARE
#undef NUMERIC

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const int function = ert_binary_attrs_function(op->attrs), activation = ert_binary_attrs_activation(op->attrs);
  const uint8_t dtype = op->in[0]->dtype;
  ERT_REQUIRE(p, function < ERT_BINARY_FUNCTION_COUNT, "function is %d, needed 0 to %d", function,
              ERT_BINARY_FUNCTION_COUNT - 1);
  ERT_REQUIRE(p, runs[function][dtype] != NULL, "inputs are %s, which function %d does not take", ert_dtype_name(dtype),
              function);
  ERT_TRY(ert_check_dtype(p, op->in[1], "input 1", dtype));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", dtype));
  ERT_REQUIRE(p, activation < ERT_ACTIVATION_COUNT, "activation is %d, needed 0 to %d", activation,
              ERT_ACTIVATION_COUNT - 1);
  ERT_REQUIRE(p, activation == ERT_ACTIVATION_NONE || dtype == ERT_DTYPE_FLOAT32,
              "an activation on %s, needed float32", ert_dtype_name(dtype));
  binary_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->run = runs[function][dtype];
  state->rare = rare[function];
  if (state->run == run_vectors) {
    state->vectors = ert_fvec_select(ert_prepare_isa(p));
    state->vector_op = function == ERT_BINARY_FUNCTION_DIV       ? ERT_FVEC_DIV
                       : function == ERT_BINARY_FUNCTION_MINIMUM ? ERT_FVEC_MIN
                                                                 : ERT_FVEC_MAX;
    op->kernel = state->vectors->name;
  }
  ert_activation_range_f32(activation, &state->lo, &state->hi);
  atomic_init(&state->failed, false);
  op->state = state;
  return ert_broadcast_prepare(p, 2, op->in, op->out[0], &state->plan);
}

static ert_status invoke(ert_op *op) {
  binary_state *state = op->state;
  atomic_store_explicit(&state->failed, false, memory_order_relaxed);
  ert_broadcast_run(&state->plan, op->pool, state->run, op);
  return atomic_load_explicit(&state->failed, memory_order_relaxed) ? ERT_RUNTIME_ERROR : ERT_OK;
}

const ert_op_def ert_op_binary = {"binary", 2, 2, 1, prepare, invoke, 0};
