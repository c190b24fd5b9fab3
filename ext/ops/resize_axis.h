/* Which input positions an output position of a resized axis reads. */
#ifndef ERT_OPS_RESIZE_AXIS_H
#define ERT_OPS_RESIZE_AXIS_H

#include "ops/op.h"

typedef struct ert_resize_axis {
  int32_t in, out;
  int coordinates, nearest; /* of schemas/ert.fbs */
  float scale;              /* 0: out / in */
} ert_resize_axis;

typedef struct ert_resize_tap {
  int32_t lower, upper; /* both in [0, in) */
  union {
    float fraction;      /* ERT_RESIZE_FLOAT: weight of upper */
    int32_t fraction_10; /* ERT_RESIZE_FIXED: the same in units of 1/1024, 0 to 1024 */
  };
} ert_resize_tap;

/* NEAREST fills `lower` alone. */
enum { ERT_RESIZE_NEAREST, ERT_RESIZE_FLOAT, ERT_RESIZE_FIXED };

/* Checks the attributes and makes the table of axis->out taps (not 0), which lives as long as the binding. */
ert_status ert_resize_axis_prepare(ert_prepare *p, const ert_resize_axis *axis, int kind, ert_resize_tap **taps);

#endif
