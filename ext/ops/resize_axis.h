/* Which input positions an output position of a resized axis reads. */
#ifndef ERT_OPS_RESIZE_AXIS_H
#define ERT_OPS_RESIZE_AXIS_H

#include "ops/op.h"

typedef struct ert_resize_axis {
  int32_t in, out;
  int coordinates, nearest; /* of schemas/ert.fbs */
  float scale;              /* 0: out / in */
  bool integers;            /* bilinear on int16: positions in integers, and fractions in units of 2^-10 */
} ert_resize_axis;

typedef struct ert_resize_tap {
  int32_t lower, upper; /* both in [0, in); nearest reads `lower` alone */
  float fraction;       /* weight of upper, 0 to 1 */
  int32_t fraction_11;  /* the same in units of 2^-11, rounded to nearest even */
  int32_t fraction_10;  /* of `integers`: instead of both */
} ert_resize_tap;

/* Checks the attributes and makes the table of axis->out taps (not 0), which lives as long as the binding. */
ert_status ert_resize_axis_prepare(ert_prepare *p, const ert_resize_axis *axis, bool bilinear,
                                   ert_resize_tap **taps);

#endif
