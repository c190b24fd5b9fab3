/* Coordinates are those of ONNX Resize where the model states a scale, and those of TFLite's RESIZE_BILINEAR and
 * RESIZE_NEAREST_NEIGHBOR where it does not: the same but for the order of float32 operations, which decides ties.
 * Only float32 operations that round once and exact floors: every machine reads the same pixels. */
#include "ops/resize_axis.h"

#include <math.h>

static float source_position(const ert_resize_axis *a, int32_t i) {
  const float in = (float)a->in, out = (float)a->out;
  if (a->coordinates == ERT_COORDINATE_MODE_ALIGN_CORNERS) {
    if (a->out == 1) return 0.0f;
    return a->scale > 0.0f ? (float)i * (in - 1.0f) / (out - 1.0f) : (float)i * ((in - 1.0f) / (out - 1.0f));
  }
  if (a->coordinates == ERT_COORDINATE_MODE_PYTORCH_HALF_PIXEL && a->out == 1) return 0.0f;
  const float half = a->coordinates == ERT_COORDINATE_MODE_ASYMMETRIC ? 0.0f : 0.5f;
  const float at = (float)i + half;
  return (a->scale > 0.0f ? at / a->scale : at * (in / out)) - half;
}

/* LiteRT's default (XNNPACK, src/indirection.c) adds the half pixels in this order; where the model states a scale,
 * ONNX Runtime's order holds. */
static float bilinear_position(const ert_resize_axis *a, int32_t i) {
  const bool half = a->coordinates == ERT_COORDINATE_MODE_HALF_PIXEL ||
                    (a->coordinates == ERT_COORDINATE_MODE_PYTORCH_HALF_PIXEL && a->out > 1);
  if (a->scale > 0.0f || !half) return source_position(a, i);
  const float step = (float)a->in / (float)a->out;
  return (float)i * step + (0.5f * step - 0.5f);
}

static float round_nearest(int mode, float position) {
  switch (mode) {
    case ERT_NEAREST_MODE_FLOOR: return floorf(position);
    case ERT_NEAREST_MODE_CEIL: return ceilf(position);
    case ERT_NEAREST_MODE_ROUND_PREFER_FLOOR: return ceilf(position - 0.5f);
    default: return floorf(position + 0.5f);
  }
}

/* A float that may lie far outside the axis, as an index on it. */
static int32_t clamp_index(float position, int32_t size) {
  if (!(position > 0.0f)) return 0;
  return position >= (float)(size - 1) ? size - 1 : (int32_t)position;
}

static ert_resize_tap bilinear_tap(const ert_resize_axis *a, int32_t i) {
  const float position = bilinear_position(a, i), floor_position = floorf(position);
  ert_resize_tap tap = {.lower = clamp_index(floor_position, a->in), .upper = clamp_index(ceilf(position), a->in)};
  tap.fraction = tap.lower == tap.upper ? 0.0f : position - floor_position;
  tap.fraction_11 = (int32_t)rintf(tap.fraction * 2048.0f);
  return tap;
}

/* TFLite's integers for int16 (tensorflow/lite/kernels/internal/reference/resize_bilinear.h): positions in units of
 * 2^-10, the step rounded to that. Where both pixels are the same the fraction is of no account. */
static ert_resize_tap integer_tap(const ert_resize_axis *a, int32_t i) {
  const bool corners = a->coordinates == ERT_COORDINATE_MODE_ALIGN_CORNERS && a->out > 1;
  const int64_t from = corners ? a->in - 1 : a->in, to = corners ? a->out - 1 : a->out;
  const int64_t step = (1024 * from + to / 2) / to;
  int64_t at = i * step;
  if (a->coordinates == ERT_COORDINATE_MODE_HALF_PIXEL) at += step / 2 - 512;
  const int64_t last = a->in - 1, lower = at < 0 ? 0 : at / 1024, upper = at < 0 ? 0 : (at + 1023) / 1024;
  ert_resize_tap tap = {.lower = (int32_t)(lower < last ? lower : last), .upper = (int32_t)(upper < last ? upper : last)};
  tap.fraction_10 = tap.lower == tap.upper ? 0 : (int32_t)(at % 1024);
  return tap;
}

ert_status ert_resize_axis_prepare(ert_prepare *p, const ert_resize_axis *a, bool bilinear,
                                   ert_resize_tap **taps) {
  ERT_REQUIRE(p, a->coordinates < ERT_COORDINATE_MODE_COUNT, "coordinates is %d, needed less than %d", a->coordinates,
              ERT_COORDINATE_MODE_COUNT);
  ERT_REQUIRE(p, a->nearest < ERT_NEAREST_MODE_COUNT, "nearest is %d, needed less than %d", a->nearest,
              ERT_NEAREST_MODE_COUNT);
  ERT_REQUIRE(p, a->scale == 0.0f || (a->scale >= 1e-6f && a->scale <= 1e6f), "scale is %g, needed 0 or 1e-6 to 1e6",
              (double)a->scale);
  ERT_REQUIRE(p, !a->integers || (a->scale == 0.0f && a->coordinates != ERT_COORDINATE_MODE_PYTORCH_HALF_PIXEL),
              "bilinear on int16 with scale %g and coordinates %d, needed TFLite's", (double)a->scale, a->coordinates);
  size_t bytes;
  ERT_REQUIRE(p, ert_mul((size_t)a->out, sizeof **taps, &bytes), "output of %d is too large", (int)a->out);
  *taps = ert_prepare_alloc(p, bytes);
  if (*taps == NULL) return ERT_OUT_OF_MEMORY;

  for (int32_t i = 0; i < a->out; i++) {
    if (bilinear) (*taps)[i] = a->integers ? integer_tap(a, i) : bilinear_tap(a, i);
    else (*taps)[i].lower = clamp_index(round_nearest(a->nearest, source_position(a, i)), a->in);
  }
  return ERT_OK;
}
