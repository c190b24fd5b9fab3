#include "ops/unary_i16.h"

#include <math.h>

#include "ops/chunks.h"
#include "ops/rule_i16.h"

/* 2^16 * sigmoid(i / 24): the numbers that TFLite and CMSIS-NN interpolate between, up to 1 off the rounded function. */
static const uint16_t sigmoids[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688,
    43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409,
    51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433,
    57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110,
    61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186,
    63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308,
    64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900,
    64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208,
    65221, 65234, 65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367,
    65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449,
    65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491,
    65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513,
    65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530,
    65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
};

typedef struct unary_i16 {
  ert_fixed below, above; /* lines: the slopes left and right of 0, and whether they fall */
  bool below_falls, above_falls;
  int16_t lo, hi;
  int32_t multiplier; /* curves: to steps of 1 / (3 * 4096) */
  int shift;
  bool tanh;
} unary_i16;

static ert_status init_line(ert_prepare *p, const ert_op *op, float slope, ert_fixed *fixed, bool *falls) {
  const float product = op->in[0]->scales[0] * fabsf(slope), ratio = product / op->out[0]->scales[0];
  ERT_REQUIRE(p, isfinite(ratio), "a slope of %g overflows", (double)slope);
  *falls = slope < 0.0f;
  return ert_fixed_init(p, (double)ratio, ERT_FIXED_SHIFT_32, fixed);
}

static void run_lines(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const unary_i16 *s = op->state;
  const int16_t *x = op->in[0]->data;
  int16_t *y = op->out[0]->data;
  const ert_fixed below = s->below, above = s->above; /* y may alias *s */
  const int32_t below_sign = s->below_falls ? -1 : 1, above_sign = s->above_falls ? -1 : 1;
  const int16_t lo = s->lo, hi = s->hi;
  for (size_t i = begin; i < end; i++) {
    const int32_t left = ert_rescale_32(below_sign * x[i], below), right = ert_rescale_32(above_sign * x[i], above);
    y[i] = ert_clamp_i16(x[i] < 0 ? left : right, lo, hi);
  }
}

/* TFLite's tensorflow/lite/kernels/internal/reference/integer_ops/{logistic,tanh}.h; tanh(x) = 2 sigmoid(2 x) - 1. */
static inline int16_t curve_at(const unary_i16 *s, int16_t x) {
  const int64_t moved = ((int64_t)x * s->multiplier + (INT64_C(1) << s->shift >> 1)) >> s->shift;
  const uint64_t distance = (uint64_t)(moved < 0 ? -moved : moved);
  const int bits = s->tanh ? 8 : 9;
  const uint64_t place = distance >> bits;
  int32_t value = s->tanh ? 0xFFFF << 8 : 0x7FFF << 10;
  if (place < 255) {
    const int32_t step = (int32_t)(distance & ((1u << bits) - 1));
    value = (sigmoids[place] << bits) + step * (sigmoids[place + 1] - sigmoids[place]);
  }
  if (s->tanh) {
    value -= 1 << 23;
    return (int16_t)((moved >= 0 ? value + 128 : -value + 127) >> 8);
  }
  return (int16_t)((moved >= 0 ? value + 512 : (1 << 25) - value + 511) >> 10);
}

static void run_curve(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const int16_t *x = op->in[0]->data;
  int16_t *y = op->out[0]->data;
  const unary_i16 s = *(const unary_i16 *)op->state; /* y may alias it */
  for (size_t i = begin; i < end; i++) y[i] = curve_at(&s, x[i]);
}

static ert_status prepare_curve(ert_prepare *p, const ert_op *op, unary_i16 *s) {
  ERT_REQUIRE(p, op->out[0]->scales[0] == 0x1p-15f, "output has scale %g, needed 2^-15", (double)op->out[0]->scales[0]);
  double multiplier = (double)op->in[0]->scales[0] * 4096.0 * 3.0;
  for (; multiplier <= 32767.0 / 2.0 && s->shift <= 30; s->shift++) multiplier *= 2.0;
  s->multiplier = multiplier < 2147483647.0 ? (int32_t)multiplier : INT32_MAX;
  return ERT_OK;
}

ert_status ert_unary_i16_prepare(ert_prepare *p, ert_op *op, int function, float alpha, float beta) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_TRY(ert_check_symmetric(p, x, "input"));
  ERT_TRY(ert_check_symmetric(p, y, "output"));
  unary_i16 *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  op->state = s;
  ERT_TRY(ert_prepare_shape(p, op->out[0], x->rank, x->dims));
  float below = 1.0f, above = 1.0f, least = -INFINITY, most = INFINITY;
  switch (function) {
    case ERT_UNARY_FUNCTION_TANH: s->tanh = true; return prepare_curve(p, op, s);
    case ERT_UNARY_FUNCTION_SIGMOID: return prepare_curve(p, op, s);
    case ERT_UNARY_FUNCTION_RELU: ert_activation_range_f32(ERT_ACTIVATION_RELU, &least, &most); break;
    case ERT_UNARY_FUNCTION_RELU6: ert_activation_range_f32(ERT_ACTIVATION_RELU6, &least, &most); break;
    case ERT_UNARY_FUNCTION_RELU_N1_TO_1: ert_activation_range_f32(ERT_ACTIVATION_RELU_N1_TO_1, &least, &most); break;
    case ERT_UNARY_FUNCTION_CLIP: least = alpha; most = beta; break;
    case ERT_UNARY_FUNCTION_LEAKY_RELU: below = alpha; break;
    case ERT_UNARY_FUNCTION_ABS: below = -1.0f; break;
    case ERT_UNARY_FUNCTION_NEG: below = above = -1.0f; break;
    default: return ert_prepare_fail(p, "function %d of int16 is a lut or float32 by now", function);
  }
  s->lo = ert_quantized_bound_i16(least, y->scales[0]);
  s->hi = ert_quantized_bound_i16(most, y->scales[0]);
  ERT_TRY(init_line(p, op, below, &s->below, &s->below_falls));
  return init_line(p, op, above, &s->above, &s->above_falls);
}

ert_status ert_unary_i16_invoke(ert_op *op) {
  const int function = ert_unary_attrs_function(op->attrs);
  const bool curve = function == ERT_UNARY_FUNCTION_TANH || function == ERT_UNARY_FUNCTION_SIGMOID;
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, curve ? run_curve : run_lines, op);
  return ERT_OK;
}
