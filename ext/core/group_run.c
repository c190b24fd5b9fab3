#include "core/group.h"

static uint8_t *place_at(const ert_place *place, uint8_t *memory, size_t unit) {
  switch (place->kind) {
    case ERT_PLACE_TENSOR: return (uint8_t *)place->tensor->data + unit * place->unit_bytes;
    case ERT_PLACE_RING: return memory + place->offset + unit % place->slots * place->unit_bytes;
    default: return memory + place->offset;
  }
}

/* Members [from, to) on units [begin, end), which lie together in every place. */
static void run_members(const ert_group *group, uint32_t from, uint32_t to, size_t task, size_t begin, size_t end) {
  uint8_t *memory = group->scratch + task * group->task_bytes;
  for (uint32_t i = from; i < to; i++) {
    const ert_group_member *m = &group->members[i];
    const bool rows = m->op->bands.kind == ERT_BAND_ROWS;
    const ert_band band = {
        .begin = begin * m->per_unit, .end = end * m->per_unit, .task = task, .operand = m->operand,
        .x = place_at(&m->x, memory, rows ? 0 : begin), .x_rows = m->x.slots, .y = place_at(&m->y, memory, begin),
    };
    m->op->bands.run(m->op, &band);
  }
}

/* Input rows [*first, *last) under the window of output rows [begin, end) of one image. */
static void rows_under(const ert_band_window *w, size_t begin, size_t end, size_t *first, size_t *last) {
  const size_t image = begin / w->out_h, top = begin % w->out_h * w->stride;
  const size_t bottom = ((end - 1) % w->out_h) * w->stride + w->span;
  *first = image * w->in_h + (top > w->pad_top ? ert_min_size(top - w->pad_top, w->in_h) : 0);
  *last = image * w->in_h + (bottom > w->pad_top ? ert_min_size(bottom - w->pad_top, w->in_h) : 0);
}

/* Computes the ring's rows up to `last`; those before *done are there, or no longer needed. */
static void fill_ring(const ert_group *group, size_t task, size_t first, size_t last, size_t *done) {
  for (size_t row = ert_max_size(first, *done); row < last;) {
    const size_t to_wrap = group->ring_slots - row % group->ring_slots;
    const size_t end = row + ert_min_size(ert_min_size(to_wrap, group->head_chunk), last - row);
    run_members(group, 0, group->head, task, row, end);
    row = end;
  }
  *done = ert_max_size(*done, last);
}

static void run_task(void *arg, size_t task) {
  const ert_group *group = arg;
  size_t begin, end, done = 0;
  ert_split(group->units, group->unit, group->tasks, task, &begin, &end);
  for (size_t at = begin, to; at < end; at = to) {
    to = ert_min_size(end, (at / group->chunk + 1) * group->chunk);
    if (group->head != 0) {
      size_t first, last;
      to = ert_min_size(to, (at / group->window.out_h + 1) * group->window.out_h);
      rows_under(&group->window, at, to, &first, &last);
      fill_ring(group, task, first, last, &done);
    }
    run_members(group, group->head, group->count, task, at, to);
  }
}

void ert_group_run(ert_group *group) {
  for (uint32_t i = 0; i < group->count; i++) {
    ert_op *op = group->members[i].op;
    if (op->bands.start != NULL) op->bands.start(op);
  }
  ert_pool_run(group->pool, group->tasks, run_task, group);
}
