/* A short operand that meets every row of the other one, as the scales of squeeze-and-excite and the biases of channels
 * do. Repeated in scratch memory until it is as long as several rows, it lets a kernel run over all of these at once. */
#ifndef ERT_OPS_REPEAT_H
#define ERT_OPS_REPEAT_H

#include "ops/broadcast.h"

typedef struct ert_repeat {
  bool used;
  int operand;    /* the one that is repeated */
  size_t rows;    /* of the output */
  size_t at_once; /* copies in scratch memory */
} ert_repeat;

/* Asks for scratch memory where it pays; dtype is that of both operands. */
void ert_repeat_prepare(ert_prepare *p, const ert_broadcast *plan, uint8_t dtype, ert_repeat *repeat);

/* Runs n elements: a and b point to them, to as many elements of the output, and no operand has a step of 0. */
typedef void (*ert_repeat_fn)(const ert_op *op, size_t n, const void *a, const void *b, void *out);
void ert_repeat_run(const ert_repeat *repeat, const ert_broadcast *plan, const ert_op *op, ert_repeat_fn fn);

#endif
