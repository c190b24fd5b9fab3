/* Operators by bands: on a part of their output at a time. A group of operators (core/group.h) takes turns band by
 * band, each working on what the one before has left in the cache, with one barrier for all of them.
 *
 * prepare fills op->bands where the operator has this form for the shapes at hand. Bands of one task follow each other in
 * rising order; those of different tasks run at the same time. The integers are those of invoke.
 */
#ifndef ERT_OPS_BAND_H
#define ERT_OPS_BAND_H

#include <stddef.h>
#include <stdint.h>

struct ert_op;

/* What a band of the output needs of the operator's first input, and what a band is counted in. */
typedef enum ert_band_kind {
  ERT_BAND_NONE,     /* no such form */
  ERT_BAND_ELEMENTS, /* elements; the same elements of every activation. The output may be one of them */
  ERT_BAND_PIXELS,   /* pixels (positions of all axes but the last); the same pixels */
  ERT_BAND_WHOLE,    /* pixels; any: the input must be complete */
  ERT_BAND_ROWS      /* rows of all images; those under the window */
} ert_band_kind;

/* ERT_BAND_ROWS: output row r of an image needs input rows r * stride - pad_top to r * stride - pad_top + span - 1, as
 * far as they exist. */
typedef struct ert_band_window {
  size_t in_h, out_h, stride, span, pad_top;
} ert_band_window;

typedef struct ert_band {
  size_t begin, end;
  size_t task;      /* below ert_bands.tasks: which of the scratch memory is free */
  uint32_t operand; /* ERT_BAND_ELEMENTS: the input that lies at y; UINT32_MAX: all are where their tensors are */
  const void *x;    /* PIXELS: pixel `begin` of the input. ROWS: its rows, row r at r % x_rows. WHOLE: not used */
  size_t x_rows;
  void *y;          /* element, pixel or row `begin` of the output */
} ert_band;

typedef struct ert_bands {
  ert_band_kind kind;
  size_t tasks;  /* at most so many at the same time; SIZE_MAX: any */
  size_t unit;   /* shares begin at a multiple of it, so that kernels' tiles are full */
  size_t chunk;  /* a good size of a band, a multiple of unit */
  ert_band_window window;
  void (*start)(struct ert_op *op); /* before the first band, on all threads; NULL: nothing to do */
  void (*run)(const struct ert_op *op, const ert_band *band);
} ert_bands;

#endif
