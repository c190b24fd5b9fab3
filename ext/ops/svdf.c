/* Filters over time: a feature of x for every filter goes to the end of its state, which moves on by one, and a unit's
 * output is the sum over its filters of state times time weights.
 *
 * int8: features are rescaled to the state's type (int16 or int8), sums to the output's (requant/fixed_point.h). */
#include <string.h>

#include "ops/recurrent.h"
#include "requant/fixed_point.h"

#define LARGEST_WIDTH (1 << 15) /* products of int8 that an int32 holds the sum of */

typedef struct svdf_state {
  size_t batch, width, filters, memory, rank;
  float lo_f32, hi_f32;
  ert_sequence scratch; /* for its size alone */
  ert_matrix features;  /* float32 */
  size_t made;
  ert_fixed feature_ratio, output_ratio;
  int32_t zero_x, zero_state, zero_y;
  int8_t lo_i8, hi_i8;
} svdf_state;

enum { X, FEATURES, TIMES, STATE, BIAS };

static ert_status combined(ert_prepare *p, const ert_tensor *a, const ert_tensor *b, const ert_tensor *c, ert_fixed *ratio) {
  float real;
  ERT_TRY(ert_combined_scale(p, a->scales[0], b->scales[0], c->scales[0], &real));
  ERT_REQUIRE(p, real < ldexpf(1.0f, ERT_FIXED_SHIFT_32), "a sum is rescaled by %g, needed less than 2^%d", (double)real,
              ERT_FIXED_SHIFT_32);
  *ratio = ert_fixed_of((double)real);
  return ERT_OK;
}

static ert_status prepare_int8(ert_prepare *p, ert_op *op, int activation, svdf_state *s) {
  const ert_tensor *x = op->in[X], *features = op->in[FEATURES], *times = op->in[TIMES], *state = op->in[STATE],
                   *y = op->out[0];
  const struct {
    const ert_tensor *t;
    const char *what;
  } scaled[] = {{x, "input"}, {features, "feature weights"}, {times, "time weights"}, {state, "state"}, {y, "output"}};
  for (size_t i = 0; i < sizeof scaled / sizeof *scaled; i++)
    ERT_TRY(ert_check_per_tensor(p, scaled[i].t, scaled[i].what));
  ERT_REQUIRE(p, ert_same_quant(state, op->out[1]), "state and next state differ in quantisation");
  ERT_REQUIRE(p, features->zero_points[0] == 0 && times->zero_points[0] == 0, "weights have zero points, needed 0");
  ERT_REQUIRE(p, s->width <= LARGEST_WIDTH, "input has %zu numbers, needed at most %d", s->width, LARGEST_WIDTH);
  ERT_TRY(combined(p, x, features, state, &s->feature_ratio));
  ERT_TRY(combined(p, state, times, y, &s->output_ratio));
  s->zero_x = x->zero_points[0];
  s->zero_state = state->zero_points[0];
  s->zero_y = y->zero_points[0];
  ert_activation_range_i8(activation, y->scales[0], s->zero_y, &s->lo_i8, &s->hi_i8);
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[X], *features = op->in[FEATURES], *times = op->in[TIMES], *state = op->in[STATE],
                   *bias = ert_operand(op, BIAS);
  const bool real = x->dtype == ERT_DTYPE_FLOAT32;
  ERT_REQUIRE(p, real || x->dtype == ERT_DTYPE_INT8, "input is %s, needed float32 or int8", ert_dtype_name(x->dtype));
  ERT_REQUIRE(p, real || state->dtype == ERT_DTYPE_INT16 || state->dtype == ERT_DTYPE_INT8,
              "state is %s, needed int8 or int16", ert_dtype_name(state->dtype));
  ERT_TRY(ert_check_rank(p, x, "input", 2));
  ERT_TRY(ert_check_rank(p, times, "time weights", 2));
  ERT_REQUIRE(p, x->elements > 0 && times->elements > 0, "an operand is empty");
  svdf_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  op->state = s;
  const int32_t rank = ert_svdf_attrs_rank(op->attrs), activation = ert_svdf_attrs_activation(op->attrs);
  ERT_REQUIRE(p, rank >= 1 && times->dims[0] % rank == 0, "%d filters of rank %d, needed a multiple",
              (int)times->dims[0], (int)rank);
  ERT_TRY(ert_check_activation(p, activation));
  s->batch = (size_t)x->dims[0];
  s->width = (size_t)x->dims[1];
  s->filters = (size_t)times->dims[0];
  s->memory = (size_t)times->dims[1];
  s->rank = (size_t)rank;
  const int kept = real ? ERT_DTYPE_FLOAT32 : state->dtype, sums = real ? ERT_DTYPE_FLOAT32 : ERT_DTYPE_INT32;
  ERT_TRY(ert_check_operand(p, features, "feature weights", x->dtype, s->filters, s->width));
  ERT_TRY(ert_check_operand(p, times, "time weights", kept, s->filters, s->memory));
  ERT_TRY(ert_check_operand(p, bias, "bias", sums, s->filters / s->rank, 0));
  ERT_TRY(ert_check_dtype(p, state, "state", kept));
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", x->dtype));
  ERT_TRY(ert_check_dtype(p, op->out[1], "next state", kept));
  const int32_t y[2] = {x->dims[0], times->dims[0] / rank}, next[3] = {x->dims[0], times->dims[0], times->dims[1]};
  ERT_TRY(ert_prepare_shape(p, op->out[0], 2, y));
  ERT_TRY(ert_prepare_shape(p, op->out[1], 3, next));
  ERT_REQUIRE(p, ert_same_shape(state, op->out[1]), "state has another shape than the next one, [%d, %d, %d]", (int)next[0],
              (int)next[1], (int)next[2]);
  if (!real) return prepare_int8(p, op, activation, s);
  ert_activation_range_f32(activation, &s->lo_f32, &s->hi_f32);
  ERT_TRY(ert_matrix_prepare(p, &s->scratch, features, 0, s->filters, NULL, s->batch, 0, &s->features));
  ERT_TRY(ert_sequence_scratch(p, &s->scratch, s->batch, s->filters, sizeof(float), &s->made));
  ert_matrix_leave(op, &s->features, FEATURES, BIAS);
  ert_prepare_scratch(p, s->scratch.scratch_bytes);
  op->kernel = ert_dense_kernel_name(&s->features.dense);
  return ERT_OK;
}

/* The next states, but for the new features at their ends. */
static void move_on(const ert_op *op, const svdf_state *s) {
  const size_t element = ert_dtype_size(op->in[STATE]->dtype), bytes = s->memory * element;
  const uint8_t *from = op->in[STATE]->data;
  uint8_t *to = op->out[1]->data;
  for (size_t i = 0; i < s->batch * s->filters; i++) memcpy(to + i * bytes, from + i * bytes + element, bytes - element);
}

static void run_float(const ert_op *op, const svdf_state *s) {
  float *made = (float *)(void *)((uint8_t *)op->scratch + s->made), *y = op->out[0]->data, *state = op->out[1]->data;
  const float *times = op->in[TIMES]->data;
  const ert_tensor *bias = ert_operand(op, BIAS);
  const size_t units = s->filters / s->rank;
  ert_matrix_begin(op, &s->features);
  ert_matrix_run(op, &s->features, s->batch, op->in[X]->data, s->width, made, s->filters);
  for (size_t b = 0; b < s->batch; b++) {
    for (size_t unit = 0; unit < units; unit++) {
      double sum = bias != NULL ? ((const float *)bias->data)[unit] : 0.0f; /* one order of sums, and no rounding to heed */
      for (size_t filter = unit * s->rank; filter < (unit + 1) * s->rank; filter++) {
        float *kept = state + (b * s->filters + filter) * s->memory;
        kept[s->memory - 1] = made[b * s->filters + filter];
        for (size_t i = 0; i < s->memory; i++) sum += (double)kept[i] * times[filter * s->memory + i];
      }
      const float at = (float)sum;
      y[b * units + unit] = at < s->lo_f32 ? s->lo_f32 : at > s->hi_f32 ? s->hi_f32 : at;
    }
  }
}

static int32_t feature(const ert_op *op, const svdf_state *s, size_t b, size_t filter) {
  const int8_t *x = (const int8_t *)op->in[X]->data + b * s->width;
  const int8_t *w = (const int8_t *)op->in[FEATURES]->data + filter * s->width;
  int32_t sum = 0;
  for (size_t i = 0; i < s->width; i++) sum += (x[i] - s->zero_x) * w[i];
  const int64_t made = (int64_t)ert_rescale_32(sum, s->feature_ratio) + s->zero_state;
  const int64_t limit = op->in[STATE]->dtype == ERT_DTYPE_INT16 ? INT16_MAX : INT8_MAX;
  return (int32_t)(made > limit ? limit : made < -limit - 1 ? -limit - 1 : made);
}

/* The sum over time of one filter, modulo 2^32; its state takes the new feature. */
static uint32_t filter_sum(const ert_op *op, const svdf_state *s, size_t b, size_t filter) {
  const size_t at = (b * s->filters + filter) * s->memory, from = filter * s->memory;
  const int32_t made = feature(op, s, b, filter);
  uint32_t sum = 0;
  if (op->in[STATE]->dtype == ERT_DTYPE_INT16) {
    int16_t *kept = (int16_t *)op->out[1]->data + at;
    const int16_t *times = (const int16_t *)op->in[TIMES]->data + from;
    kept[s->memory - 1] = (int16_t)made;
    for (size_t i = 0; i < s->memory; i++) sum += (uint32_t)(kept[i] - s->zero_state) * (uint32_t)(int32_t)times[i];
  } else {
    int8_t *kept = (int8_t *)op->out[1]->data + at;
    const int8_t *times = (const int8_t *)op->in[TIMES]->data + from;
    kept[s->memory - 1] = (int8_t)made;
    for (size_t i = 0; i < s->memory; i++) sum += (uint32_t)(kept[i] - s->zero_state) * (uint32_t)(int32_t)times[i];
  }
  return sum;
}

static void run_int8(const ert_op *op, const svdf_state *s) {
  const ert_tensor *bias = ert_operand(op, BIAS);
  const size_t units = s->filters / s->rank;
  int8_t *y = op->out[0]->data;
  for (size_t b = 0; b < s->batch; b++) {
    for (size_t unit = 0; unit < units; unit++) {
      uint32_t sum = bias != NULL ? (uint32_t)((const int32_t *)bias->data)[unit] : 0;
      for (size_t filter = unit * s->rank; filter < (unit + 1) * s->rank; filter++) sum += filter_sum(op, s, b, filter);
      const int64_t scaled = (int64_t)ert_rescale_32((int32_t)sum, s->output_ratio) + s->zero_y;
      y[b * units + unit] = (int8_t)(scaled < s->lo_i8 ? s->lo_i8 : scaled > s->hi_i8 ? s->hi_i8 : scaled);
    }
  }
}

static ert_status invoke(ert_op *op) {
  const svdf_state *s = op->state;
  move_on(op, s);
  if (op->in[X]->dtype == ERT_DTYPE_FLOAT32) run_float(op, s);
  else run_int8(op, s);
  return ERT_OK;
}

const ert_op_def ert_op_svdf = {"svdf", 4, 5, 2, prepare, invoke, ERT_TRAIT_PACKS};
