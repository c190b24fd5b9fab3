/* Binding: every operator is prepared, the arena is planned, and tensors get their addresses. After this, invoke has
 * nothing left to decide. */
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"

/* --- what operators call (ops/op.h) --- */

ert_status ert_take_memory(ert_prepare *p, size_t bytes) {
  size_t total;
  if (!ert_add(p->binding->total_bytes, bytes, &total) || total > p->session->memory_limit) return ERT_OUT_OF_MEMORY;
  p->binding->total_bytes = total;
  p->binding->peak_bytes = ert_max_size(p->binding->peak_bytes, total);
  return ERT_OK;
}

/* Pieces from here on, packed weights mostly, come from chunks, whose pages the system hands out at once. */
enum { PIECE = 16 << 10, CHUNK = 2 << 20 };
#if defined(ERT_PLAIN_PAGES)
static const bool CHUNKS = false;
#else
static const bool CHUNKS = true;
#endif

static ert_block *new_block(ert_binding *b, size_t bytes, size_t pages) {
  ert_block *block = malloc(sizeof *block);
  void *memory = pages != 0 ? ert_pages_alloc(pages) : ert_aligned_alloc(bytes);
  if (block == NULL || memory == NULL) {
    free(block);
    if (pages != 0) ert_pages_free(memory, pages);
    else ert_aligned_free(memory);
    return NULL;
  }
  *block = (ert_block){b->blocks, memory, pages};
  return b->blocks = block;
}

/* What the last pieces left over. */
static void trim_chunk(ert_binding *b) {
  if (b->chunk != NULL) b->chunk->pages = ert_pages_trim(b->chunk->memory, b->chunk->pages, b->chunk_used);
  b->chunk = NULL;
}

static void *take_piece(ert_binding *b, size_t bytes) {
  const size_t room = b->chunk != NULL ? b->chunk->pages - b->chunk_used : 0;
  if (bytes > room) {
    trim_chunk(b);
    b->chunk = new_block(b, 0, ert_max_size(bytes, CHUNK));
    b->chunk_used = 0;
    if (b->chunk == NULL) return NULL;
  }
  uint8_t *piece = (uint8_t *)b->chunk->memory + b->chunk_used;
  b->chunk_used += ert_min_size(ert_round_up(bytes, ERT_ALIGN), b->chunk->pages - b->chunk_used);
  return piece;
}

void *ert_prepare_alloc(ert_prepare *p, size_t bytes) {
  size_t with_block;
  if (!ert_add(bytes, sizeof(ert_block), &with_block) || ert_take_memory(p, with_block) != ERT_OK) return NULL;
  if (CHUNKS && bytes >= PIECE) return take_piece(p->binding, bytes);
  const ert_block *block = new_block(p->binding, ert_max_size(bytes, 1), 0);
  return block != NULL ? block->memory : NULL;
}

void ert_prepare_scratch(ert_prepare *p, size_t bytes) { p->scratch_bytes = bytes; }

ert_isa_set ert_prepare_isa(const ert_prepare *p) {
  /* What packs for another machine expands on this one. All kernels expand to the same numbers. */
  const bool elsewhere = p->session->packer != NULL && p->session->model->ops[p->op->index].expands;
  return elsewhere ? (ert_isa_set)1 << ERT_ISA_SCALAR : p->session->isa;
}

int ert_prepare_threads(const ert_prepare *p) { return ert_pool_threads(p->session->pool); }

const ert_custom_op *ert_prepare_custom(const ert_prepare *p, const char *name) {
  for (uint32_t i = 0; i < p->session->custom_op_count; i++)
    if (strcmp(p->session->custom_ops[i].name, name) == 0) return &p->session->custom_ops[i];
  return NULL;
}

bool ert_prepare_only_packs(const ert_prepare *p) { return p->session->packer != NULL; }

ert_status ert_prepare_fail(ert_prepare *p, const char *format, ...) {
  if (p->error != NULL) {
    char *message = p->error->message;
    size_t size = sizeof p->error->message;
    int used = snprintf(message, size, "operator %u '%.100s' (%s): ", p->op->index, p->op->name, p->op->def->name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message + used, size - (size_t)used, format, arguments);
    va_end(arguments);
  }
  return ERT_INVALID_MODEL;
}

static int print_shape(char *text, size_t size, int rank, const int32_t *dims) {
  int used = snprintf(text, size, "[");
  for (int i = 0; i < rank && used > 0 && (size_t)used < size; i++)
    used += snprintf(text + used, size - (size_t)used, i ? ", %d" : "%d", (int)dims[i]);
  if ((size_t)used < size) used += snprintf(text + used, size - (size_t)used, "]");
  return used;
}

static bool scales_fit(const ert_tensor *t) {
  return t->quant_count <= 1 || (t->quant_axis < t->rank && (uint32_t)t->dims[t->quant_axis] == t->quant_count);
}

static bool set_shape(ert_tensor *t, int rank, const int32_t *dims) {
  size_t elements = 1, bytes;
  for (int i = 0; i < rank; i++)
    if (dims[i] < 1 || !ert_mul(elements, (size_t)dims[i], &elements)) return false;
  if (!ert_mul(elements, ert_dtype_size(t->dtype), &bytes) || bytes > ERT_MAX_TENSOR_BYTES) return false;
  t->rank = (uint8_t)rank;
  for (int i = 0; i < rank; i++) t->dims[i] = dims[i];
  t->elements = elements;
  t->bytes = bytes;
  return true;
}

ert_status ert_prepare_shape(ert_prepare *p, ert_tensor *out, int rank, const int32_t *dims) {
  if (rank > ERT_MAX_RANK)
    return ert_prepare_fail(p, "output '%s' would have %d dimensions; at most %d are possible", out->name, rank,
                            ERT_MAX_RANK);
  bool same = !p->infer && out->rank == rank;
  for (int i = 0; same && i < rank; i++) same = out->dims[i] == dims[i];
  if (same) return ERT_OK;
  const bool possible = p->infer && set_shape(out, rank, dims);
  if (possible && scales_fit(out)) return ERT_OK;
  char needed[128], found[128];
  print_shape(needed, sizeof needed, rank, dims);
  if (!p->infer) {
    print_shape(found, sizeof found, out->rank, out->dims);
    return ert_prepare_fail(p, "output '%.100s' has shape %s; its inputs give %s", out->name, found, needed);
  }
  if (!possible)
    return ert_prepare_fail(p, "output '%.100s' would have the shape %s, which is empty or too large", out->name, needed);
  return ert_prepare_fail(p, "output '%.100s' of shape %s has %u scales", out->name, needed, out->quant_count);
}

/* --- the steps of a binding --- */

static ert_status copy_model(ert_prepare *p) {
  const ert_model *model = p->session->model;
  ert_binding *b = p->binding;
  size_t operands = 0;
  for (uint32_t i = 0; i < model->op_count; i++) operands += model->ops[i].in_count + model->ops[i].out_count;
  ERT_TRY(ert_take_memory(p, model->tensor_count * sizeof *b->tensors + model->op_count * sizeof *b->ops +
                             operands * sizeof *b->operand_slots));
  b->tensors = malloc(model->tensor_count * sizeof *b->tensors);
  b->ops = calloc((size_t)model->op_count + 1, sizeof *b->ops);
  b->operand_slots = calloc(operands + 1, sizeof *b->operand_slots);
  if (b->tensors == NULL || b->ops == NULL || b->operand_slots == NULL) return ERT_OUT_OF_MEMORY;
  memcpy(b->tensors, model->tensors, model->tensor_count * sizeof *b->tensors);
  ert_tensor **slot = b->operand_slots;
  for (uint32_t i = 0; i < model->op_count; i++) {
    const ert_model_op_entry *entry = &model->ops[i];
    b->ops[i] = (ert_op){.def = entry->def, .index = i, .name = entry->name, .in_count = entry->in_count,
                         .out_count = entry->out_count, .attrs = entry->attrs, .pool = p->session->pool};
    b->ops[i].in = slot;
    for (uint32_t j = 0; j < entry->in_count; j++) *slot++ = entry->in[j] < 0 ? NULL : &b->tensors[entry->in[j]];
    b->ops[i].out = slot;
    for (uint32_t j = 0; j < entry->out_count; j++) *slot++ = &b->tensors[entry->out[j]];
    if (entry->expands) b->ops[i].out[0]->kind = ERT_TENSOR_KIND_CONSTANT;
  }
  for (uint32_t i = 0; i < model->tensor_count; i++) /* an initial value is not the variable's own memory */
    if (b->tensors[i].kind == ERT_TENSOR_KIND_VARIABLE) b->tensors[i].data = NULL;
  return ERT_OK;
}

static ert_status prepare_ops(ert_prepare *p, ert_bind_memory *memory) {
  for (uint32_t i = 0; i < p->session->model->op_count; i++) {
    p->op = &p->binding->ops[i];
    p->scratch_bytes = 0;
    if (p->error != NULL) p->error->message[0] = 0;
    ert_status status = ert_expand_before(p);
    if (status == ERT_OK) status = p->op->def->prepare(p, p->op);
    if (status == ERT_OK) status = ert_expand_after(p);
    if (status == ERT_OUT_OF_MEMORY && (p->error == NULL || p->error->message[0] == 0))
      return ert_report(p->error, status, "operator %u '%.100s' (%s): the session's memory limit of %zu bytes is reached",
                        i, p->op->name, p->op->def->name, p->session->memory_limit);
    if (status != ERT_OK) return status;
    memory->scratch[i] = (ert_op_scratch){.bytes = p->scratch_bytes};
    memory->scratch_bytes = ert_max_size(memory->scratch_bytes, p->scratch_bytes);
  }
  return ert_expand_outputs(p);
}

static void count_uses(const ert_model *model, uint32_t *uses) {
  memset(uses, 0, model->tensor_count * sizeof *uses);
  for (uint32_t i = 0; i < model->op_count; i++)
    for (uint32_t j = 0; j < model->ops[i].in_count; j++)
      if (model->ops[i].in[j] >= 0) uses[model->ops[i].in[j]]++;
  for (uint32_t i = 0; i < model->output_count; i++) uses[model->outputs[i]]++;
}

static ert_status place_variables(ert_prepare *p) {
  const ert_model *model = p->session->model;
  ert_binding *b = p->binding;
  size_t bytes = 0;
  for (uint32_t i = 0; i < model->tensor_count; i++)
    if (b->tensors[i].kind == ERT_TENSOR_KIND_VARIABLE &&
        !ert_add(bytes, ert_round_up(b->tensors[i].bytes, ERT_ALIGN), &bytes))
      return ert_report(p->error, ERT_OUT_OF_MEMORY, "the variables do not fit into the address space");
  if (bytes == 0) return ERT_OK;
  if (ert_take_memory(p, bytes) != ERT_OK || (b->variables = ert_aligned_alloc(bytes)) == NULL)
    return ert_report(p->error, ERT_OUT_OF_MEMORY, "no memory for %zu bytes of variables", bytes);
  b->variable_bytes = bytes;
  uint8_t *at = b->variables;
  for (uint32_t i = 0; i < model->tensor_count; i++) {
    if (b->tensors[i].kind != ERT_TENSOR_KIND_VARIABLE) continue;
    b->tensors[i].data = at;
    at += ert_round_up(b->tensors[i].bytes, ERT_ALIGN);
  }
  ert_reset_variables(model, b);
  return ERT_OK;
}

void ert_reset_variables(const ert_model *model, ert_binding *b) {
  for (uint32_t i = 0; i < model->tensor_count; i++) {
    const ert_tensor *t = &b->tensors[i];
    if (t->kind != ERT_TENSOR_KIND_VARIABLE) continue;
    if (model->tensors[i].data != NULL)
      memcpy(t->data, model->tensors[i].data, t->bytes);
    else
      memset(t->data, 0, t->bytes);
  }
}

ert_status ert_bind(const ert_session *session, uint32_t resized, uint32_t rank, const int32_t *dims,
                    ert_binding *binding, ert_error *error) {
  const ert_model *model = session->model;
  ert_prepare p = {.session = session, .binding = binding, .infer = dims != NULL, .error = error};
  ert_bind_memory memory = {0};
  ert_status status = copy_model(&p);
  if (status != ERT_OK) {
    ert_report(error, status, "the model's %u tensors do not fit into the memory limit", model->tensor_count);
    goto cleanup;
  }
  if (dims != NULL) {
    for (uint32_t i = 0; i < model->input_count; i++) { /* inputs that were resized before keep their shapes */
      const ert_tensor *now = session->binding.tensors ? &session->binding.tensors[model->inputs[i]] : NULL;
      if (now != NULL) set_shape(&binding->tensors[model->inputs[i]], now->rank, now->dims);
    }
    ert_tensor *input = &binding->tensors[model->inputs[resized]];
    if (!set_shape(input, (int)rank, dims) || !scales_fit(input)) {
      status = ert_report(error, ERT_INVALID_ARGUMENT, "input '%.100s' cannot have that shape", input->name);
      goto cleanup;
    }
  }
  memory = (ert_bind_memory){
      .items = malloc((model->tensor_count + 1) * sizeof *memory.items),
      .item_of = malloc(model->tensor_count * sizeof *memory.item_of),
      .root = malloc(model->tensor_count * sizeof *memory.root),
      .uses = malloc(model->tensor_count * sizeof *memory.uses),
      .scratch = malloc(((size_t)model->op_count + 1) * sizeof *memory.scratch),
  };
  if (memory.items == NULL || memory.item_of == NULL || memory.root == NULL || memory.uses == NULL ||
      memory.scratch == NULL) {
    status = ert_report(error, ERT_OUT_OF_MEMORY, "no memory to plan %u tensors", model->tensor_count);
    goto cleanup;
  }
  if ((status = ert_expand_begin(&p)) != ERT_OK) goto cleanup;
  if ((status = prepare_ops(&p, &memory)) != ERT_OK) goto cleanup;
  ert_expand_end(&p);
  count_uses(model, memory.uses);
  ert_groups_form(&p, &memory);
  trim_chunk(binding);
  if ((status = ert_place_activations(&p, &memory)) != ERT_OK) goto cleanup;
  status = place_variables(&p);
cleanup:
  ert_expand_end(&p);
  free(memory.items);
  free(memory.item_of);
  free(memory.root);
  free(memory.uses);
  free(memory.scratch);
  if (status != ERT_OK) ert_unbind(binding);
  return status;
}

void ert_unbind(ert_binding *b) {
  while (b->blocks != NULL) {
    ert_block *block = b->blocks;
    b->blocks = block->next;
    if (block->pages != 0) ert_pages_free(block->memory, block->pages);
    else ert_aligned_free(block->memory);
    free(block);
  }
  ert_expand_free(b);
  ert_pages_free(b->arena, ert_max_size(b->arena_bytes, ERT_ALIGN));
  ert_aligned_free(b->variables);
  free(b->operand_slots);
  free(b->ops);
  free(b->tensors);
  memset(b, 0, sizeof *b);
}
