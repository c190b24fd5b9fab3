/* The arena: which activations live when and share memory, by the packer's plan where it holds, and their addresses.
 *
 * Of two operators in a row, the second may work in place: it writes its output over what the first computes for it
 * alone. Those of kind ERT_BAND_ELEMENTS can. The packer does it where it gives both tensors one offset, a plan made here
 * everywhere. */
#include "core/internal.h"

#define ERT_UNPLANNED (-1) /* arena_offset of a tensor that the packer did not place */

/* Whose offsets say what works in place. */
typedef enum plan_source { STORED, OWN } plan_source;

static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static bool works_in_place(const ert_session *session, const ert_binding *b, const ert_bind_memory *memory, uint32_t i,
                           plan_source source) {
  if (i == 0 || session->keep_all) return false;
  if (session->model->ops[i - 1].expands) return false;
  const ert_op *before = &b->ops[i - 1], *op = &b->ops[i];
  if (op->bands.kind != ERT_BAND_ELEMENTS || ert_only_link(b, memory->uses, before, op) == UINT32_MAX) return false;
  const int32_t x = session->model->ops[i - 1].out[0], y = session->model->ops[i].out[0];
  const int64_t *offsets = session->model->arena_offsets;
  return b->tensors[x].bytes == b->tensors[y].bytes && (source == OWN || offsets[x] == offsets[y]);
}

/* The life of every activation that is used; one item for all that share a place. Inputs keep their values through an
 * invoke, and outputs after it. What a group reads lives to its end, and what it writes from its beginning. */
static size_t lifetimes(const ert_session *session, const ert_binding *b, const ert_group *groups, plan_source source,
                        ert_bind_memory *memory) {
  const ert_model *model = session->model;
  ert_plan_item *items = memory->items;
  uint32_t *item_of = memory->item_of;
  size_t count = 0;
  for (uint32_t t = 0; t < model->tensor_count; t++) item_of[t] = UINT32_MAX;
  for (uint32_t i = 0; i < model->input_count; i++) {
    uint32_t t = model->inputs[i];
    item_of[t] = (uint32_t)count;
    items[count++] = (ert_plan_item){t, 0, model->op_count, b->tensors[t].bytes, 0};
  }
  const ert_group *group = groups;
  for (uint32_t i = 0; i < model->op_count; i++) {
    const ert_model_op_entry *op = &model->ops[i];
    if (op->expands) continue; /* it has run, and its output has a place of its own */
    while (group != NULL && group->first + group->count <= i) group = group->next;
    const bool grouped = group != NULL && group->first <= i;
    const uint32_t last = grouped ? group->first + group->count - 1 : i;
    for (uint32_t j = 0; j < op->in_count; j++) {
      if (op->in[j] < 0 || item_of[op->in[j]] == UINT32_MAX) continue;
      ert_plan_item *item = &items[item_of[op->in[j]]];
      const bool between = grouped && item->first_op >= group->first; /* members of the group */
      item->last_op = max_u32(item->last_op, between ? i : last);
    }
    for (uint32_t j = 0; j < op->out_count; j++) {
      uint32_t t = (uint32_t)op->out[j];
      if (works_in_place(session, b, memory, i, source)) {
        item_of[t] = item_of[model->ops[i - 1].out[0]];
        continue;
      }
      item_of[t] = (uint32_t)count;
      items[count++] = (ert_plan_item){t, i, i, b->tensors[t].bytes, 0};
    }
    if (grouped && i == last) {
      ert_plan_item *item = &items[item_of[op->out[0]]];
      item->first_op = min_u32(item->first_op, group->first);
    }
  }
  for (uint32_t i = 0; i < model->output_count; i++)
    if (item_of[model->outputs[i]] != UINT32_MAX) items[item_of[model->outputs[i]]].last_op = model->op_count;
  if (session->keep_all)
    for (size_t i = 0; i < count; i++) items[i].last_op = model->op_count;
  for (uint32_t t = 0; t < model->tensor_count; t++) /* items will be sorted */
    memory->root[t] = item_of[t] == UINT32_MAX ? UINT32_MAX : items[item_of[t]].tensor;
  return count;
}

/* Takes over the packer's plan when it has an offset for every item; false when it has none. */
static bool stored_plan(const ert_model *model, ert_plan_item *items, size_t count, size_t *arena_bytes) {
  for (size_t i = 0; i < count; i++)
    if (model->arena_offsets[items[i].tensor] == ERT_UNPLANNED) return false;
  *arena_bytes = 0;
  for (size_t i = 0; i < count; i++) {
    items[i].offset = (size_t)model->arena_offsets[items[i].tensor];
    *arena_bytes = ert_max_size(*arena_bytes, ert_round_up(items[i].offset + items[i].bytes, ERT_ALIGN));
  }
  return true;
}

static ert_status check_offsets(const ert_model *model, const ert_plan_item *items, size_t count, ert_error *error) {
  for (size_t i = 0; i < count; i++) {
    int64_t offset = model->arena_offsets[items[i].tensor];
    size_t end;
    if (offset == ERT_UNPLANNED) continue;
    if (offset < 0 || offset % ERT_ALIGN != 0 || offset > PTRDIFF_MAX / 2 ||
        !ert_add((size_t)offset, items[i].bytes, &end) || end > PTRDIFF_MAX / 2)
      return ert_report(error, ERT_INVALID_MODEL, "tensor '%.100s': arena offset %lld is not usable",
                        model->tensors[items[i].tensor].name, (long long)offset);
  }
  return ERT_OK;
}

typedef struct arena_plan {
  size_t count; /* items */
  size_t activation_bytes;
  bool fits; /* with the scratch memory within the session's limit */
} arena_plan;

/* An offset for every item: the packer's, or of a plan made here where it has none, where shapes have changed, or where
 * groups need more memory at the same time than the packer expected. */
static ert_status choose_offsets(ert_prepare *p, const ert_group *groups, ert_bind_memory *memory, size_t scratch_bytes,
                                 arena_plan *plan) {
  const ert_session *session = p->session;
  bool stored = false;
  if (!p->infer && !session->keep_all) {
    plan->count = lifetimes(session, p->binding, NULL, STORED, memory);
    ERT_TRY(check_offsets(session->model, memory->items, plan->count, p->error));
    stored = stored_plan(session->model, memory->items, plan->count, &plan->activation_bytes);
    if (stored && !ert_plan_is_valid(memory->items, plan->count))
      return ert_report(p->error, ERT_INVALID_MODEL, "the arena plan lets two live tensors overlap");
    if (stored && groups != NULL) {
      plan->count = lifetimes(session, p->binding, groups, STORED, memory);
      stored = stored_plan(session->model, memory->items, plan->count, &plan->activation_bytes) &&
               ert_plan_is_valid(memory->items, plan->count);
    }
  }
  if (!stored) {
    plan->count = lifetimes(session, p->binding, groups, OWN, memory);
    ERT_TRY(ert_plan(memory->items, plan->count, &plan->activation_bytes, p->error));
  }
  size_t bytes;
  plan->fits = scratch_bytes <= PTRDIFF_MAX && /* else it would round up to nothing */
               ert_add(plan->activation_bytes, ert_round_up(scratch_bytes, ERT_ALIGN), &bytes) &&
               ert_add(bytes, p->binding->total_bytes, &bytes) && bytes <= session->memory_limit;
  return ERT_OK;
}

ert_status ert_place_activations(ert_prepare *p, ert_bind_memory *memory) {
  const ert_session *session = p->session;
  ert_binding *b = p->binding;
  arena_plan plan;
  size_t scratch_bytes = ert_max_size(memory->scratch_bytes, memory->group_scratch_bytes);
  ERT_TRY(choose_offsets(p, b->groups, memory, scratch_bytes, &plan));
  if (!plan.fits && b->groups != NULL) { /* one by one, operators may need less */
    b->groups = NULL;
    scratch_bytes = memory->scratch_bytes;
    ERT_TRY(choose_offsets(p, NULL, memory, scratch_bytes, &plan));
    for (uint32_t i = 0; i < session->model->op_count; i++) memory->scratch[i].offset = 0;
  }
  if (!plan.fits)
    return ert_report(p->error, ERT_OUT_OF_MEMORY,
                      "the activations need %zu bytes and the scratch memory %zu; the session's limit is %zu",
                      plan.activation_bytes, scratch_bytes, session->memory_limit);
  b->arena_bytes = plan.activation_bytes + ert_round_up(scratch_bytes, ERT_ALIGN);
  ERT_TRY(ert_take_memory(p, b->arena_bytes));
  b->arena = ert_pages_alloc(ert_max_size(b->arena_bytes, ERT_ALIGN));
  if (b->arena == NULL) return ert_report(p->error, ERT_OUT_OF_MEMORY, "no memory for an arena of %zu bytes", b->arena_bytes);
  for (size_t i = 0; i < plan.count; i++) b->tensors[memory->items[i].tensor].data = b->arena + memory->items[i].offset;
  for (uint32_t t = 0; t < session->model->tensor_count; t++)
    if (memory->root[t] != UINT32_MAX) b->tensors[t].data = b->tensors[memory->root[t]].data;
  uint8_t *scratch = b->arena + plan.activation_bytes;
  for (uint32_t i = 0; i < session->model->op_count; i++) b->ops[i].scratch = scratch + memory->scratch[i].offset;
  for (ert_group *group = b->groups; group != NULL; group = group->next) group->scratch = scratch + group->scratch_offset;
  return ERT_OK;
}
