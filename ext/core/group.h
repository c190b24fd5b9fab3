/* Groups: operators one after the other, each the only reader of the one before, that run together by bands
 * (ops/band.h). A task takes a share of the group's output; band by band, every operator of the group works on it in turn.
 *
 *   conv2d -> add -> lut         bands of some pixels: add and lut work in place, on what is still in the first cache
 *   conv2d -> depthwise -> conv2d -> add      bands of rows:
 *     head: conv2d computes the rows that the window still lacks, into a ring of rows
 *     tail: depthwise from the ring into a buffer, conv2d from there to the output, add in place
 *
 * Ring and buffer belong to the task. Rows that the windows of two tasks share are computed by both. The values between
 * the operators are those that the operators compute alone, so that the group gives the same bits. In memory a group's
 * output may be written while any of its inputs is still read, which bind.c tells the planner; the tensors in between
 * keep their places, unused, for ert_session_step. */
#ifndef ERT_CORE_GROUP_H
#define ERT_CORE_GROUP_H

#include "base/cache.h"
#include "ops/op.h"

/* Where a value is while a band is at work. Units are those of the member's part of the group (rows or pixels ...). */
typedef enum ert_place_kind {
  ERT_PLACE_TENSOR, /* all of it, in the tensor's memory */
  ERT_PLACE_RING,   /* unit u at u % slots, in the task's memory */
  ERT_PLACE_BAND    /* the band's units from its first one on, in the task's memory */
} ert_place_kind;

typedef struct ert_place {
  ert_place_kind kind;
  const ert_tensor *tensor;
  size_t offset; /* in the task's memory */
  size_t slots;  /* TENSOR: all units */
  size_t unit_bytes;
} ert_place;

typedef struct ert_group_member {
  ert_op *op;
  uint32_t operand; /* ert_band.operand */
  size_t per_unit;  /* what the operator counts its bands in: so many are a unit */
  ert_place x, y;
} ert_group_member;

/* A group in the making. */
enum { ERT_GROUP_OPS = 8 };
typedef struct ert_chain {
  uint32_t first, count;
  uint32_t operand[ERT_GROUP_OPS]; /* of each member: its input that the member before computes */
  uint32_t window;                 /* the member of kind ROWS; UINT32_MAX: none */
  bool moves_behind_window;        /* there is a member of kind PIXELS */
} ert_chain;

typedef struct ert_group {
  struct ert_group *next; /* of a higher `first` */
  uint32_t first, count;  /* operators */
  uint32_t head;          /* members that fill the ring; 0: there is none */
  size_t units;           /* of the tail: rows, pixels or elements */
  size_t unit, chunk, tasks;
  size_t head_chunk;      /* rows */
  size_t ring_slots;
  ert_band_window window; /* of the ring's reader */
  size_t task_bytes;      /* of ring and buffers */
  size_t scratch_offset;  /* of the tasks' memory in the session's scratch memory */
  uint8_t *scratch;
  ert_pool *pool;
  ert_group_member *members;
} ert_group;

/* group_layout.c: fills the group, but for group->members, which has room for ERT_GROUP_OPS, and for the scratch memory.
 * band_pixels: size of bands where there is a window, about; 0: what the first cache takes. False when it is too much. */
bool ert_group_lay_out(ert_prepare *p, const ert_chain *chain, size_t band_pixels, ert_group *group);

/* group_pays.c, for groups with a window: it pays not to move whole tensors between the members, when `last` is the last
 * cache before memory; the memory of all tasks is at home in the second-level cache. */
bool ert_group_pays(const ert_group *group, const ert_cache *last);
bool ert_group_fits(const ert_group *group, const ert_cache *level2);

/* group_run.c: runs all members. None can fail on its data. */
void ert_group_run(ert_group *group);

#endif
