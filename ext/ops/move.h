/* What operators that move elements about have in common: checks, splitting, and one strided copy. */
#ifndef ERT_OPS_MOVE_H
#define ERT_OPS_MOVE_H

#include <string.h>

#include "ops/op.h"

/* An output of the input's type and, where the type is an integer that may be quantised, of its quantisation. */
ert_status ert_check_move(ert_prepare *p, const ert_tensor *in, const ert_tensor *out);

/* Row-major strides in elements, one an axis; zeros for an empty tensor, whose dimensions may overflow. */
void ert_dense_strides(const ert_tensor *t, ptrdiff_t *strides);

/* Reads a list attribute of exactly `count` values; `what` names it. */
ert_status ert_read_ints(ert_prepare *p, ert_fb_vector v, const char *what, int count, int32_t *values);

/* Pieces that a job of `items` items and `bytes` bytes is worth splitting into: 1 where waking a thread would cost
 * more than it saves. */
size_t ert_move_parts(const ert_pool *pool, size_t items, size_t bytes);

/* memcpy whose usual small sizes cost no call. */
static inline void ert_copy_run(void *to, const void *from, size_t bytes) {
  switch (bytes) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, bytes);
  }
}

/* A contiguous output whose element (i0, i1, ...) is the input's at offset + i0 * strides[0] + i1 * strides[1] + ...
 * Strides may be 0 (broadcast) or negative (reversed). Transpose, slice, broadcast_to, depth_to_space and
 * space_to_depth are all this. */
typedef struct ert_strided_copy {
  int rank; /* axes that are left after merging, outermost first; 0: one run */
  size_t dims[ERT_MAX_RANK];
  ptrdiff_t strides[ERT_MAX_RANK]; /* bytes in the input */
  ptrdiff_t offset;                /* bytes in the input */
  size_t run;                      /* bytes that are contiguous on both sides */
  size_t runs;                     /* product of dims; 0: nothing to do */
  int tile_axis; /* axis along which the input is contiguous while the output is along the last; -1: none */
} ert_strided_copy;

/* Plans a copy; strides and offset count elements of element_bytes. The caller has proved that every element read
 * lies within the input. */
void ert_strided_copy_plan(ert_strided_copy *plan, int rank, const size_t *dims, const ptrdiff_t *strides,
                           ptrdiff_t offset, size_t element_bytes);
void ert_strided_copy_run(const ert_strided_copy *plan, ert_pool *pool, const void *in, void *out);

/* The invoke of operators whose state is an ert_strided_copy from in[0] to out[0]. */
ert_status ert_strided_copy_invoke(ert_op *op);

#endif
