/* Which operators form a group (group.h). */
#include "core/group.h"

#include "core/internal.h"

uint32_t ert_only_link(const ert_binding *b, const uint32_t *uses, const ert_op *writer, const ert_op *reader) {
  if (writer->out_count != 1 || reader->out_count != 1) return UINT32_MAX;
  const ert_tensor *between = writer->out[0];
  if (uses[between - b->tensors] != 1) return UINT32_MAX;
  for (uint32_t k = 0; k < reader->in_count; k++)
    if (reader->in[k] == between) return k;
  return UINT32_MAX;
}

typedef struct builder {
  ert_prepare *prepare;
  ert_bind_memory *memory;
  const ert_op *ops;
  uint32_t op_count;
  bool all; /* what is possible, whether it pays or not */
  ert_cache last, level2; /* read when they are needed: reading takes longer than most of binding; bytes 0: not yet */
} builder;

/* Adds the operator behind the chain, when it can run on its bands. moves: also one that cannot work in place. */
static bool extend(const builder *b, bool moves, ert_chain *c) {
  const uint32_t i = c->first + c->count;
  if (c->count == ERT_GROUP_OPS || i >= b->op_count) return false;
  const ert_op *last = &b->ops[i - 1], *next = &b->ops[i];
  const uint32_t operand = ert_only_link(b->prepare->binding, b->memory->uses, last, next);
  if (operand == UINT32_MAX) return false;
  switch (next->bands.kind) {
    case ERT_BAND_ELEMENTS:
      if (next->out[0]->bytes != last->out[0]->bytes) return false;
      break;
    case ERT_BAND_PIXELS: /* behind a window; otherwise it would save a barrier, and lose full tiles */
      if (!moves || operand != 0 || c->window == UINT32_MAX || c->moves_behind_window) return false;
      c->moves_behind_window = true;
      break;
    case ERT_BAND_ROWS:
      if (!moves || operand != 0 || c->window != UINT32_MAX || b->ops[c->first].bands.kind == ERT_BAND_ELEMENTS)
        return false;
      c->window = c->count;
      break;
    default: return false;
  }
  c->operand[c->count++] = operand;
  return true;
}

static ert_chain longest_chain(const builder *b, uint32_t first, bool moves) {
  ert_chain c = {.first = first, .count = 1, .window = UINT32_MAX, .operand = {UINT32_MAX}};
  const ert_op *op = &b->ops[first];
  if (op->bands.kind == ERT_BAND_NONE) return c;
  if (op->bands.kind == ERT_BAND_ROWS) c.window = 0;
  while (extend(b, moves, &c)) continue;
  return c;
}

/* Lays out the chain, if it pays, in larger or else in smaller bands, so that a task's memory stays in its part of the
 * cache. */
static bool lay_out_moving(builder *b, const ert_chain *c, ert_group *group) {
  enum { LARGE_BAND = 256, SMALL_BAND = 16 }; /* pixels */
  ert_prepare *p = b->prepare;
  if (b->all) return ert_group_lay_out(p, c, SMALL_BAND, group);
  if (!ert_group_lay_out(p, c, SMALL_BAND, group)) return false;
  if (b->last.bytes == 0) b->last = ert_cache_last();
  if (!ert_group_pays(group, &b->last)) return false;
  if (b->level2.bytes == 0) b->level2 = ert_cache_level2();
  for (size_t pixels = LARGE_BAND; pixels >= SMALL_BAND; pixels /= 2)
    if (ert_group_lay_out(p, c, pixels, group) && ert_group_fits(group, &b->level2)) return true;
  return false;
}

/* The group that begins with operator i; its count is below 2 when there is none. */
static void choose(builder *b, uint32_t i, ert_group *group) {
  const ert_chain moving = longest_chain(b, i, true), in_place = longest_chain(b, i, false);
  if (moving.count > in_place.count && lay_out_moving(b, &moving, group)) return;
  if (in_place.count < 2 || !ert_group_lay_out(b->prepare, &in_place, 0, group)) group->count = 0;
}

/* The members' own scratch memory side by side, and behind it that of the tasks; false when it is too much. */
static bool set_scratch(const builder *b, ert_group *group) {
  ert_op_scratch *own = &b->memory->scratch[group->first];
  size_t total = 0, bytes;
  bool fits = ert_mul(group->task_bytes, group->tasks, &bytes);
  for (uint32_t i = 0; i < group->count; i++) {
    fits = fits && own[i].bytes <= PTRDIFF_MAX / 4 && ert_add(bytes, ert_round_up(own[i].bytes, ERT_ALIGN), &bytes);
  }
  if (!fits || bytes > PTRDIFF_MAX / 2) return false;
  for (uint32_t i = 0; i < group->count; i++) {
    own[i].offset = total;
    total += ert_round_up(own[i].bytes, ERT_ALIGN);
  }
  group->scratch_offset = total;
  b->memory->group_scratch_bytes = ert_max_size(b->memory->group_scratch_bytes, bytes);
  return true;
}

void ert_groups_form(ert_prepare *p, ert_bind_memory *memory) {
  const ert_session *session = p->session;
  if (session->fusion == ERT_FUSION_OFF || session->keep_all) return;
  builder b = {.prepare = p, .memory = memory, .ops = p->binding->ops, .op_count = session->model->op_count,
               .all = session->fusion == ERT_FUSION_ALL};
  ert_group **link = &p->binding->groups;
  ert_group_member members[ERT_GROUP_OPS];
  ert_group trial = {.members = members};
  for (uint32_t i = 0; i < b.op_count;) {
    choose(&b, i, &trial);
    if (trial.count < 2) {
      i++;
      continue;
    }
    const size_t bytes = trial.count * sizeof *members;
    ert_group *group = set_scratch(&b, &trial) ? ert_prepare_alloc(p, sizeof *group + bytes) : NULL;
    if (group == NULL) return; /* what is left runs one by one */
    *group = trial;
    group->members = memcpy(group + 1, members, bytes);
    *link = group;
    link = &group->next;
    i += trial.count;
  }
}
