/* Elementwise functions of one operand: float32 for all of them, int32 and int64 for those that make sense there,
 * bool for logical_not. int8 has `lut` instead. NaN stays NaN; integers wrap modulo 2^n. */
#include <math.h>

#include "kernels/fvec/fvec.h"
#include "ops/chunks.h"
#include "ops/pick.h"
#include "ops/unary_i16.h"

typedef struct unary_state {
  ert_chunk_fn run;
  size_t chunk;
  float alpha, beta;
  const ert_fvec_kernel *vectors;
  float (*library)(float);
  int64_t lo, hi; /* clip of integers */
} unary_state;

/* --- float32: each as a function of x, alpha (a) and beta (b) --- */

static inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
static inline float softplus(float x) { return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x))); }
/* erfc and the logistic form instead of 1 + erf and 1 + tanh, which cancel for negative x. */
static inline float gelu(float x) { return 0.5f * x * erfcf(x * -0.70710678f); }
static inline float gelu_tanh(float x) {
  return x * sigmoid(1.5957691f * (x + 0.044715f * x * x * x)); /* 2 sqrt(2 / pi) */
}
/* x * tanh(softplus(x)): with e = exp(x), tanh(log(1 + e)) is ((1 + e)^2 - 1) / ((1 + e)^2 + 1). From 20 on it is 1. */
static inline float mish(float x) {
  if (x > 20.0f) return x;
  const float e = expf(x), t = e * (e + 2.0f);
  return x * (t / (t + 2.0f));
}
static inline float clamp_unit(float x) { return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x; }

#define FLOAT_RUN(name, expression)                           \
  static void run_##name(void *arg, size_t begin, size_t end) { \
    const ert_op *op = arg;                                   \
    const unary_state *s = op->state;                         \
    const float *in = op->in[0]->data, a = s->alpha, b = s->beta; \
    float *out = op->out[0]->data;                            \
    (void)a, (void)b;                                         \
    for (size_t i = begin; i < end; i++) {                    \
      const float x = in[i];                                  \
      out[i] = (expression);                                  \
    }                                                         \
  }
FLOAT_RUN(leaky_relu, ert_pick_f32(x < 0.0f, a *x, x))
FLOAT_RUN(elu, x < 0.0f ? a * expm1f(x) : x)
FLOAT_RUN(selu, b *(x < 0.0f ? a * expm1f(x) : x))
FLOAT_RUN(celu, x < 0.0f ? a * expm1f(x / a) : x)
FLOAT_RUN(hard_sigmoid, clamp_unit(a *x + b))
FLOAT_RUN(sqrt, sqrtf(x))
FLOAT_RUN(rsqrt, 1.0f / sqrtf(x))
FLOAT_RUN(abs, fabsf(x))
FLOAT_RUN(neg, -x)
FLOAT_RUN(floor, floorf(x))
FLOAT_RUN(ceil, ceilf(x))
FLOAT_RUN(round, rintf(x)) /* ties to even */
FLOAT_RUN(square, x *x)
FLOAT_RUN(gelu, gelu(x))
FLOAT_RUN(gelu_tanh, gelu_tanh(x))
FLOAT_RUN(softplus, softplus(x))
FLOAT_RUN(reciprocal, 1.0f / x)
FLOAT_RUN(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x)
FLOAT_RUN(softsign, x / (1.0f + fabsf(x)))
FLOAT_RUN(mish, mish(x))
#undef FLOAT_RUN

/* Functions as the C library has them. */
static float (*const library[ERT_UNARY_FUNCTION_COUNT])(float) = {
    [ERT_UNARY_FUNCTION_LOG] = logf,     [ERT_UNARY_FUNCTION_SIN] = sinf,     [ERT_UNARY_FUNCTION_COS] = cosf,
    [ERT_UNARY_FUNCTION_ERF] = erff,     [ERT_UNARY_FUNCTION_ATAN] = atanf,   [ERT_UNARY_FUNCTION_ASIN] = asinf,
    [ERT_UNARY_FUNCTION_ACOS] = acosf,   [ERT_UNARY_FUNCTION_ASINH] = asinhf, [ERT_UNARY_FUNCTION_ACOSH] = acoshf,
    [ERT_UNARY_FUNCTION_ATANH] = atanhf, [ERT_UNARY_FUNCTION_SINH] = sinhf,   [ERT_UNARY_FUNCTION_COSH] = coshf,
    [ERT_UNARY_FUNCTION_TAN] = tanf,
};

static void run_library(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const unary_state *s = op->state;
  const float *x = op->in[0]->data;
  float *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = s->library(x[i]);
}

/* relu, relu6, relu_n1_to_1 and clip: prepare puts their bounds into alpha and beta. */
static void run_clamp(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const unary_state *s = op->state;
  const float *x = op->in[0]->data;
  float *y = op->out[0]->data;
  s->vectors->clamp(end - begin, x + begin, s->alpha, s->beta, y + begin);
}

/* Functions that come as vectors. */
#define VECTOR_RUN(name, FUNCTION)                                          \
  static void run_##name(void *arg, size_t begin, size_t end) {             \
    const ert_op *op = arg;                                                 \
    const unary_state *s = op->state;                                       \
    const float *x = op->in[0]->data;                                       \
    float *y = op->out[0]->data;                                            \
    s->vectors->unary[ERT_FVEC_##FUNCTION](end - begin, x + begin, y + begin); \
  }
VECTOR_RUN(exp, EXP)
VECTOR_RUN(sigmoid, SIGMOID)
VECTOR_RUN(silu, SILU)
VECTOR_RUN(tanh, TANH)
VECTOR_RUN(hard_swish, HARD_SWISH)
#undef VECTOR_RUN

/* --- integers --- */

#define INTEGER_RUN(name, type, unsigned_type, suffix, expression)     \
  static void run_##name##_##suffix(void *arg, size_t begin, size_t end) { \
    const ert_op *op = arg;                                            \
    const unary_state *s = op->state;                                  \
    const type *in = op->in[0]->data, lo = (type)s->lo, hi = (type)s->hi; \
    type *out = op->out[0]->data;                                      \
    (void)lo, (void)hi;                                                \
    for (size_t i = begin; i < end; i++) {                             \
      const type x = in[i];                                            \
      const unsigned_type u = (unsigned_type)x;                        \
      (void)u;                                                         \
      out[i] = (type)(expression);                                     \
    }                                                                  \
  }
#define INTEGER_RUNS(name, expression)                     \
  INTEGER_RUN(name, int32_t, uint32_t, i32, expression)    \
  INTEGER_RUN(name, int64_t, uint64_t, i64, expression)
INTEGER_RUNS(abs, x < 0 ? 0 - u : u)
INTEGER_RUNS(neg, 0 - u)
INTEGER_RUNS(square, u *u)
INTEGER_RUNS(sign, (x > 0) - (x < 0))
INTEGER_RUNS(clamp, x < lo ? lo : x > hi ? hi : x)
#undef INTEGER_RUNS
#undef INTEGER_RUN

static void run_logical_not(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const uint8_t *x = op->in[0]->data; /* any byte but 0 is true */
  uint8_t *y = op->out[0]->data;
  for (size_t i = begin; i < end; i++) y[i] = x[i] == 0;
}

/* --- which function runs for which type; NULL: there is none --- */

typedef struct unary_entry {
  ert_chunk_fn f32, i32, i64;
} unary_entry;

#define FLOAT_ONLY(FUNCTION, name) [ERT_UNARY_FUNCTION_##FUNCTION] = {run_##name, NULL, NULL}
#define NUMERIC(FUNCTION, name) [ERT_UNARY_FUNCTION_##FUNCTION] = {run_##name, run_##name##_i32, run_##name##_i64}
static const unary_entry entries[ERT_UNARY_FUNCTION_COUNT] = {
    NUMERIC(RELU, clamp),
    NUMERIC(RELU6, clamp),
    NUMERIC(RELU_N1_TO_1, clamp),
    NUMERIC(CLIP, clamp),
    NUMERIC(ABS, abs),
    NUMERIC(NEG, neg),
    NUMERIC(SQUARE, square),
    NUMERIC(SIGN, sign),
    FLOAT_ONLY(LEAKY_RELU, leaky_relu),
    FLOAT_ONLY(ELU, elu),
    FLOAT_ONLY(SIGMOID, sigmoid),
    FLOAT_ONLY(TANH, tanh),
    FLOAT_ONLY(HARD_SWISH, hard_swish),
    FLOAT_ONLY(HARD_SIGMOID, hard_sigmoid),
    FLOAT_ONLY(EXP, exp),
    FLOAT_ONLY(SQRT, sqrt),
    FLOAT_ONLY(RSQRT, rsqrt),
    FLOAT_ONLY(FLOOR, floor),
    FLOAT_ONLY(CEIL, ceil),
    FLOAT_ONLY(ROUND, round),
    FLOAT_ONLY(GELU, gelu),
    FLOAT_ONLY(SOFTPLUS, softplus),
    FLOAT_ONLY(RECIPROCAL, reciprocal),
    FLOAT_ONLY(SOFTSIGN, softsign),
    FLOAT_ONLY(MISH, mish),
    FLOAT_ONLY(GELU_TANH, gelu_tanh),
    FLOAT_ONLY(SILU, silu),
    FLOAT_ONLY(SELU, selu),
    FLOAT_ONLY(CELU, celu),
};
#undef FLOAT_ONLY
#undef NUMERIC

static ert_chunk_fn run_of(int function, int dtype) {
  if (function == ERT_UNARY_FUNCTION_LOGICAL_NOT) return dtype == ERT_DTYPE_BOOL ? run_logical_not : NULL;
  switch (dtype) {
    case ERT_DTYPE_FLOAT32: return library[function] != NULL ? run_library : entries[function].f32;
    case ERT_DTYPE_INT32: return entries[function].i32;
    case ERT_DTYPE_INT64: return entries[function].i64;
    default: return NULL;
  }
}

/* A bound of clip as an integer: truncated, and saturated to the type. */
static int64_t integer_bound(float bound, int dtype) {
  const bool wide = dtype == ERT_DTYPE_INT64;
  if (bound >= (wide ? 0x1p63f : 0x1p31f)) return wide ? INT64_MAX : INT32_MAX;
  if (bound < (wide ? -0x1p63f : -0x1p31f)) return wide ? INT64_MIN : INT32_MIN;
  return (int64_t)bound;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  const int function = ert_unary_attrs_function(op->attrs);
  ERT_REQUIRE(p, function < ERT_UNARY_FUNCTION_COUNT, "function is %d, needed 0 to %d", function,
              ERT_UNARY_FUNCTION_COUNT - 1);
  if (x->dtype == ERT_DTYPE_INT16) {
    ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_INT16));
    return ert_unary_i16_prepare(p, op, function, ert_unary_attrs_alpha(op->attrs), ert_unary_attrs_beta(op->attrs));
  }
  const ert_chunk_fn run = run_of(function, x->dtype);
  ERT_REQUIRE(p, run != NULL, "input is %s, which function %d does not take", ert_dtype_name(x->dtype), function);
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", x->dtype));
  unary_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  state->run = run;
  state->library = library[function];
  state->alpha = ert_unary_attrs_alpha(op->attrs);
  state->beta = ert_unary_attrs_beta(op->attrs);
  ERT_REQUIRE(p, !isnan(state->alpha) && !isnan(state->beta), "alpha or beta is NaN");
  ERT_REQUIRE(p, function != ERT_UNARY_FUNCTION_CELU || state->alpha != 0.0f, "alpha is 0, needed another value");
  ERT_REQUIRE(p, function != ERT_UNARY_FUNCTION_CLIP || state->alpha <= state->beta,
              "clip to [%g, %g], needed a lower bound not above the upper one", (double)state->alpha,
              (double)state->beta);
  state->vectors = ert_fvec_select(ert_prepare_isa(p));
  const bool vectors = run == run_clamp || run == run_exp || run == run_sigmoid || run == run_silu || run == run_tanh ||
                       run == run_hard_swish;
  if (vectors) op->kernel = state->vectors->name;
  state->chunk = vectors ? ERT_CHUNK_SIMPLE / 2 : ERT_CHUNK_COSTLY;
  if (run == run_clamp || x->dtype != ERT_DTYPE_FLOAT32) {
    state->chunk = ERT_CHUNK_SIMPLE;
    if (function == ERT_UNARY_FUNCTION_RELU) ert_activation_range_f32(ERT_ACTIVATION_RELU, &state->alpha, &state->beta);
    if (function == ERT_UNARY_FUNCTION_RELU6) ert_activation_range_f32(ERT_ACTIVATION_RELU6, &state->alpha, &state->beta);
    if (function == ERT_UNARY_FUNCTION_RELU_N1_TO_1)
      ert_activation_range_f32(ERT_ACTIVATION_RELU_N1_TO_1, &state->alpha, &state->beta);
    state->lo = integer_bound(state->alpha, x->dtype);
    state->hi = integer_bound(state->beta, x->dtype);
  }
  op->state = state;
  return ert_prepare_shape(p, op->out[0], x->rank, x->dims);
}

static ert_status invoke(ert_op *op) {
  if (op->in[0]->dtype == ERT_DTYPE_INT16) return ert_unary_i16_invoke(op);
  const unary_state *state = op->state;
  ert_run_chunks(op->pool, op->out[0]->elements, state->chunk, state->run, op);
  return ERT_OK;
}

const ert_op_def ert_op_unary = {"unary", 1, 1, 1, prepare, invoke, 0};
