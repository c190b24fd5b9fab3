#include "ops/arithmetic.h"

#include "ops/chunks.h"
#include "ops/weighted.h"

static void run_band(const ert_op *op, const ert_band *band);

ert_status ert_arithmetic_prepare(ert_prepare *p, ert_op *op, ert_fvec_op operation, int activation,
                                  ert_arithmetic **made) {
  const ert_tensor *a = op->in[0], *b = op->in[1], *y = op->out[0];
  const bool known = a->dtype == ERT_DTYPE_FLOAT32 || a->dtype == ERT_DTYPE_INT8 || a->dtype == ERT_DTYPE_INT16 ||
                     a->dtype == ERT_DTYPE_INT32 || a->dtype == ERT_DTYPE_INT64;
  ERT_REQUIRE(p, known, "first input is %s, needed float32, int8, int16, int32 or int64", ert_dtype_name(a->dtype));
  ERT_TRY(ert_check_dtype(p, b, "second input", a->dtype));
  ERT_TRY(ert_check_dtype(p, y, "output", a->dtype));
  ERT_TRY(ert_check_activation(p, activation));
  ert_arithmetic *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  *state = (ert_arithmetic){.operation = operation, .lo_int = INT64_MIN, .hi_int = INT64_MAX};
  ERT_TRY(ert_broadcast_prepare(p, 2, op->in, op->out[0], &state->plan));
  ert_repeat_prepare(p, &state->plan, a->dtype, &state->repeat);
  state->fvec = ert_fvec_select(ert_prepare_isa(p));
  ert_activation_range_f32(activation, &state->lo_f32, &state->hi_f32);
  if (activation != ERT_ACTIVATION_NONE) state->lo_int = (int64_t)state->lo_f32;
  if (state->hi_f32 <= 6.0f) state->hi_int = (int64_t)state->hi_f32;
  if (a->dtype == ERT_DTYPE_INT8) {
    ERT_TRY(ert_check_per_tensor(p, a, "first input"));
    ERT_TRY(ert_check_per_tensor(p, b, "second input"));
    ERT_TRY(ert_check_per_tensor(p, y, "output"));
    state->zero_a = a->zero_points[0];
    state->zero_b = b->zero_points[0];
    state->zero_y = y->zero_points[0];
    ert_activation_range_i8(activation, y->scales[0], state->zero_y, &state->lo_i8, &state->hi_i8);
  } else if (a->dtype == ERT_DTYPE_INT16) {
    ERT_TRY(ert_check_symmetric(p, a, "first input"));
    ERT_TRY(ert_check_symmetric(p, b, "second input"));
    ERT_TRY(ert_check_symmetric(p, y, "output"));
    ert_activation_range_i16(activation, y->scales[0], &state->lo_i16, &state->hi_i16);
  } else if (a->dtype == ERT_DTYPE_FLOAT32) {
    op->kernel = state->fvec->name;
  }
  if (ert_same_shape(a, y) && ert_same_shape(b, y))
    op->bands = (ert_bands){.kind = ERT_BAND_ELEMENTS, .tasks = SIZE_MAX, .unit = 1, .chunk = ERT_CHUNK_SIMPLE,
                            .run = run_band};
  op->state = state;
  *made = state;
  return ERT_OK;
}

static void add_i8(const ert_arithmetic *state, size_t n, const int8_t *a, size_t a_step, const int8_t *b,
                   size_t b_step, int8_t *out) {
  if (a_step != 0 && b_step != 0) {
    state->qadd->run(&state->ab, n, a, b, out);
  } else if (b_step == 0) {
    state->qadd->run_scalar(&state->ab, n, a, b, out);
  } else {
    state->qadd->run_scalar(&state->ba, n, b, a, out);
  }
}

/* requant/fixed_point.h: both terms at twice the larger scale, with 15 bits more. */
static ert_status prepare_sum_i16(ert_prepare *p, const ert_op *op, ert_arithmetic *state) {
  const double a = (double)op->in[0]->scales[0], b = (double)op->in[1]->scales[0], twice = 2.0 * (a > b ? a : b);
  ERT_TRY(ert_fixed_init(p, a / twice, 0, &state->fixed_a));
  ERT_TRY(ert_fixed_init(p, b / twice, 0, &state->fixed_b));
  return ert_fixed_init(p, twice / (32768.0 * (double)op->out[0]->scales[0]), ERT_FIXED_SHIFT_32, &state->fixed_y);
}

static void run_i16(const ert_arithmetic *state, size_t n, const int16_t *a, size_t a_step, const int16_t *b,
                    size_t b_step, int16_t *out) {
  const ert_fixed of_a = state->fixed_a, of_b = state->fixed_b, of_y = state->fixed_y; /* out may alias *state */
  const int16_t lo = state->lo_i16, hi = state->hi_i16;
  if (state->operation == ERT_FVEC_MUL) {
    for (size_t i = 0; i < n; i++)
      out[i] = ert_clamp_i16(ert_rescale_32(a[i * a_step] * b[i * b_step], of_y), lo, hi);
    return;
  }
  const int32_t sign = state->operation == ERT_FVEC_ADD ? 1 : -1;
  for (size_t i = 0; i < n; i++) {
    const int32_t left = ert_rescale_32(a[i * a_step] * 32768, of_a);
    const int32_t right = ert_rescale_32(b[i * b_step] * 32768, of_b);
    out[i] = ert_clamp_i16(ert_rescale_32(left + sign * right, of_y), lo, hi);
  }
}

ert_status ert_addition_prepare(ert_prepare *p, ert_op *op, int b_sign, int activation) {
  ert_arithmetic *state = NULL;
  ERT_TRY(ert_arithmetic_prepare(p, op, b_sign > 0 ? ERT_FVEC_ADD : ERT_FVEC_SUB, activation, &state));
  if (op->in[0]->dtype == ERT_DTYPE_INT16) return prepare_sum_i16(p, op, state);
  if (op->in[0]->dtype != ERT_DTYPE_INT8) return ERT_OK;
  const float a_scale = op->in[0]->scales[0], b_scale = op->in[1]->scales[0], y_scale = op->out[0]->scales[0];
  ERT_REQUIRE(p,
              ert_qadd_params_init(&state->ab, a_scale, state->zero_a, b_scale, state->zero_b, b_sign, y_scale,
                                   state->zero_y, state->lo_i8, state->hi_i8),
              "the scales %g and %g are out of proportion to the output's %g", (double)a_scale, (double)b_scale,
              (double)y_scale);
  state->ba = state->ab;
  state->ba.a_multiplier = state->ab.b_multiplier;
  state->ba.b_multiplier = state->ab.a_multiplier;
  state->qadd = ert_qadd_select(ert_prepare_isa(p));
  state->run_i8 = add_i8;
  op->kernel = state->qadd->name;
  return ERT_OK;
}

/* Plain integers wrap, as in NumPy. */
#define INTEGER_RUN(name, type, wide)                                                                       \
  static void name(const ert_arithmetic *state, size_t n, const type *a, size_t a_step, const type *b,      \
                   size_t b_step, type *out) {                                                              \
    for (size_t i = 0; i < n; i++) {                                                                        \
      const wide u = (wide)a[i * a_step], v = (wide)b[i * b_step];                                          \
      const type r = (type)(state->operation == ERT_FVEC_ADD   ? u + v                                      \
                            : state->operation == ERT_FVEC_SUB ? u - v                                      \
                                                               : u * v);                                    \
      out[i] = (type)(r < state->lo_int ? state->lo_int : r > state->hi_int ? state->hi_int : r);           \
    }                                                                                                       \
  }
INTEGER_RUN(run_i32, int32_t, uint32_t)
INTEGER_RUN(run_i64, int64_t, uint64_t)

static void run_f32(const ert_arithmetic *state, size_t n, const float *a, size_t a_step, const float *b,
                    size_t b_step, float *out) {
  const ert_fvec_form form = b_step == 0 ? ERT_FVEC_VS : a_step == 0 ? ERT_FVEC_SV : ERT_FVEC_VV;
  state->fvec->binary[state->operation][form](n, a, b, state->lo_f32, state->hi_f32, out);
}

static void run_from(const ert_op *op, size_t n, const void *a, size_t a_step, const void *b, size_t b_step, void *y) {
  const ert_arithmetic *state = op->state;
  switch (op->in[0]->dtype) {
    case ERT_DTYPE_FLOAT32: run_f32(state, n, a, a_step, b, b_step, y); break;
    case ERT_DTYPE_INT8: state->run_i8(state, n, a, a_step, b, b_step, y); break;
    case ERT_DTYPE_INT16: run_i16(state, n, a, a_step, b, b_step, y); break;
    case ERT_DTYPE_INT32: run_i32(state, n, a, a_step, b, b_step, y); break;
    default: run_i64(state, n, a, a_step, b, b_step, y); break;
  }
}

static void run(void *arg, const ert_broadcast *plan, size_t n, const size_t *from, size_t to) {
  const ert_op *op = arg;
  const size_t element = ert_dtype_size(op->in[0]->dtype);
  run_from(op, n, (const uint8_t *)op->in[0]->data + from[0] * element, plan->step[0],
           (const uint8_t *)op->in[1]->data + from[1] * element, plan->step[1],
           (uint8_t *)op->out[0]->data + to * element);
}

static void run_repeated(const ert_op *op, size_t n, const void *a, const void *b, void *y) {
  run_from(op, n, a, 1, b, 1, y);
}

/* Both operands have the output's shape. */
static void run_band(const ert_op *op, const ert_band *band) {
  const ert_broadcast *plan = &((const ert_arithmetic *)op->state)->plan;
  const size_t offset = band->begin * ert_dtype_size(op->in[0]->dtype);
  const void *a = band->operand == 0 ? band->y : (const uint8_t *)op->in[0]->data + offset;
  const void *b = band->operand == 1 ? band->y : (const uint8_t *)op->in[1]->data + offset;
  run_from(op, band->end - band->begin, a, plan->step[0], b, plan->step[1], band->y);
}

ert_status ert_arithmetic_invoke(ert_op *op) {
  const ert_arithmetic *state = op->state;
  if (state->repeat.used) {
    ert_repeat_run(&state->repeat, &state->plan, op, run_repeated);
  } else {
    ert_broadcast_run(&state->plan, op->pool, run, op);
  }
  return ERT_OK;
}
