/* Weights that are stored in fewer bytes than kernels compute with.
 *
 *     packed (4 bits) -> unpack_int4 -> int8 -> dequantize -> float32 -> conv2d
 *
 * Operators that do nothing but spread constants out (ERT_TRAIT_EXPANDS, validate.c finds them) run while the model is
 * bound, each when the first operator that needs it is prepared. What they make is a constant to the operators behind
 * them, which pack it, and its memory is given back behind the last of them; an operator that reads it in place, as it
 * says by leaving ert_op.unread alone, keeps it. So there is memory for one layer at a time. Where the file brings an
 * operator's weights packed, nothing is expanded for it. */
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "core/internal.h"

enum {
  SPARES = 2,            /* blocks that wait for the next layer: an operator's input and its output */
  LARGEST_SPARE = 4,     /* times what is needed */
  PAGES_FROM = 16 << 10, /* bytes from which on a block is pages of its own */
  HASH_VERSION = 1       /* to be raised when an operator expands to other numbers than before */
};
#define NONE UINT32_MAX

typedef struct spare {
  void *memory;
  size_t bytes;
} spare;

typedef struct ert_expander {
  uint32_t *writer; /* of every tensor; NONE: no operator that expands */
  spare spares[SPARES];
} ert_expander;

uint32_t ert_expand_writer(const ert_prepare *p, const ert_tensor *t) {
  return p->expander != NULL ? p->expander->writer[t - p->binding->tensors] : NONE;
}

/* The operator that expands to operand `slot`, or NONE. */
static uint32_t writer_of(const ert_prepare *p, const ert_op *op, uint32_t slot) {
  return op->in[slot] != NULL ? ert_expand_writer(p, op->in[slot]) : NONE;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- memory --- */

static void free_spares(ert_prepare *p) {
  for (size_t i = 0; i < SPARES; i++) {
    spare *s = &p->expander->spares[i];
    if (s->memory == NULL) continue;
    ert_pages_free(s->memory, s->bytes);
    p->binding->total_bytes -= s->bytes;
    *s = (spare){NULL, 0};
  }
}

/* The least spare block that will do; its memory is NULL when there is none. */
static spare take_spare(ert_expander *x, size_t bytes) {
  spare *best = NULL;
  for (size_t i = 0; i < SPARES; i++) {
    spare *s = &x->spares[i];
    if (s->memory != NULL && s->bytes >= bytes && s->bytes / LARGEST_SPARE <= bytes &&
        (best == NULL || s->bytes < best->bytes))
      best = s;
  }
  if (best == NULL) return (spare){NULL, 0};
  const spare taken = *best;
  *best = (spare){NULL, 0};
  return taken;
}

static void give_spare(ert_prepare *p, spare given) {
  for (size_t i = 0; i < SPARES; i++) {
    spare *s = &p->expander->spares[i];
    if (s->bytes >= given.bytes) continue; /* the larger ones stay */
    const spare smaller = *s;
    *s = given;
    given = smaller;
  }
  if (given.memory == NULL) return;
  ert_pages_free(given.memory, given.bytes);
  p->binding->total_bytes -= given.bytes;
}

/* An address for the output, whose pages come when it is written. */
static ert_status reserve(ert_prepare *p, uint32_t index) {
  ert_expanded *e = &p->binding->expanded[index];
  ert_tensor *out = p->binding->ops[index].out[0];
  if (e->memory != NULL) return ERT_OK;
  const bool pages = out->bytes >= PAGES_FROM;
  spare block = pages ? take_spare(p->expander, out->bytes) : (spare){NULL, 0};
  if (block.memory == NULL) {
    block.bytes = ert_max_size(out->bytes, 1);
    if (pages) free_spares(p); /* none of them will do for a layer of this size */
    ERT_TRY(ert_take_memory(p, block.bytes));
    block.memory = pages ? ert_pages_reserve(block.bytes) : ert_aligned_alloc(block.bytes);
    if (block.memory == NULL) {
      p->binding->total_bytes -= block.bytes;
      return ERT_OUT_OF_MEMORY;
    }
  }
  e->memory = out->data = block.memory;
  e->memory_bytes = block.bytes;
  return ERT_OK;
}

static void drop_use(ert_prepare *p, uint32_t index);

/* Nobody will ask for the output any more, nor, if it was not made, for what it would have been made of. */
static void release(ert_prepare *p, uint32_t index) {
  ert_expanded *e = &p->binding->expanded[index];
  ert_op *op = &p->binding->ops[index];
  if (e->memory_bytes >= PAGES_FROM) {
    give_spare(p, (spare){e->memory, e->memory_bytes});
  } else if (e->memory != NULL) {
    ert_aligned_free(e->memory);
    p->binding->total_bytes -= e->memory_bytes;
  }
  e->memory = op->out[0]->data = NULL;
  e->memory_bytes = 0;
  for (uint32_t i = 0; !e->done && i < op->in_count; i++) {
    const uint32_t from = writer_of(p, op, i);
    if (from != NONE) drop_use(p, from);
  }
}

static void drop_use(ert_prepare *p, uint32_t index) {
  ert_expanded *e = &p->binding->expanded[index];
  if (--e->uses == 0 && !e->kept) release(p, index);
}

static void keep(ert_prepare *p, uint32_t index) {
  ert_expanded *e = &p->binding->expanded[index];
  e->kept = true;
  e->report.kept_bytes = e->report.bytes;
  if (e->memory_bytes < PAGES_FROM) return;
  const size_t stay = ert_pages_trim(e->memory, e->memory_bytes, p->binding->ops[index].out[0]->bytes);
  p->binding->total_bytes -= e->memory_bytes - stay;
  e->memory_bytes = stay;
}

/* --- running --- */

/* Runs the operator, behind those that it reads: no more than ERT_MAX_EXPANSION_DEPTH of them. */
static ert_status expand(ert_prepare *p, uint32_t index) {
  ert_expanded *e = &p->binding->expanded[index];
  ert_op *op = &p->binding->ops[index];
  if (e->done) return ERT_OK;
  for (uint32_t i = 0; i < op->in_count; i++) {
    const uint32_t from = writer_of(p, op, i);
    if (from != NONE) ERT_TRY(expand(p, from));
  }
  ERT_TRY(reserve(p, index));
  const uint64_t begin = now_ns();
  ERT_TRY(op->def->invoke(op));
  e->done = true;
  e->report.nanoseconds = now_ns() - begin;
  e->report.bytes = op->out[0]->bytes;
  if (e->kept) keep(p, index);
  for (uint32_t i = 0; i < op->in_count; i++) {
    const uint32_t from = writer_of(p, op, i);
    if (from != NONE) drop_use(p, from);
  }
  return ERT_OK;
}

ert_status ert_prepare_constants(ert_prepare *p) {
  for (uint32_t i = 0; p->expander != NULL && i < p->op->in_count; i++) {
    const uint32_t from = writer_of(p, p->op, i);
    if (from != NONE) ERT_TRY(expand(p, from));
  }
  return ERT_OK;
}

/* What the output depends on: the operator, shapes and types, what the numbers of the input mean, and its inputs. */
static uint64_t hash_output(const ert_prepare *p, const ert_op *op, bool measured) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  const uint16_t code = ert_file_op_code(ert_fb_table_at(ert_file_model_ops(p->session->model->root), op->index));
  const uint32_t facts[] = {HASH_VERSION, code, x->dtype, y->dtype, x->quant_count, (uint32_t)x->quant_axis, y->rank};
  uint64_t hash = ert_hash(0, facts, sizeof facts);
  hash = ert_hash(hash, y->dims, y->rank * sizeof *y->dims);
  if (x->quant_count != 0) {
    hash = ert_hash(hash, x->scales, x->quant_count * sizeof *x->scales);
    hash = ert_hash(hash, x->zero_points, x->quant_count * sizeof *x->zero_points);
  }
  for (uint32_t i = 0; i < op->in_count; i++)
    if (op->in[i] != NULL) hash = ert_hash_u64(hash, ert_constant_hash(p, op->in[i], measured));
  return hash;
}

/* --- while a model is bound --- */

ert_status ert_expand_begin(ert_prepare *p) {
  const ert_model *model = p->session->model;
  ert_binding *b = p->binding;
  if (model->expansion_count == 0) return ERT_OK;
  ert_expander *x = calloc(1, sizeof *x);
  if (x != NULL) x->writer = malloc(model->tensor_count * sizeof *x->writer);
  if (x != NULL && x->writer != NULL && ert_take_memory(p, model->op_count * sizeof *b->expanded) == ERT_OK)
    b->expanded = calloc(model->op_count, sizeof *b->expanded);
  if (b->expanded == NULL) {
    if (x != NULL) free(x->writer);
    free(x);
    return ert_report(p->error, ERT_OUT_OF_MEMORY, "no memory to expand the weights of %u tensors", model->tensor_count);
  }
  p->expander = x;
  b->expanded_count = model->op_count;
  for (uint32_t t = 0; t < model->tensor_count; t++) x->writer[t] = NONE;
  for (uint32_t i = 0; i < model->op_count; i++) {
    for (uint32_t j = 0; j < b->ops[i].in_count; j++) {
      const uint32_t from = writer_of(p, &b->ops[i], j);
      if (from != NONE) b->expanded[from].uses++;
    }
    if (!model->ops[i].expands) continue;
    x->writer[model->ops[i].out[0]] = i;
    b->expanded[i].kept = p->session->keep_all;
  }
  for (uint32_t i = 0; p->session->packer == NULL && i < model->output_count; i++) {
    const uint32_t from = x->writer[model->outputs[i]];
    if (from != NONE) b->expanded[from].kept = true;
  }
  return ERT_OK;
}

void ert_expand_end(ert_prepare *p) {
  if (p->expander == NULL) return;
  free_spares(p);
  free(p->expander->writer);
  free(p->expander);
  p->expander = NULL;
}

ert_status ert_expand_before(ert_prepare *p) {
  const ert_model_op_entry *entry = &p->session->model->ops[p->op->index];
  if (p->expander == NULL || entry->expands) return ERT_OK;
  for (uint32_t i = 0; i < p->op->in_count; i++) {
    const uint32_t from = writer_of(p, p->op, i);
    if (from != NONE) ERT_TRY(reserve(p, from));
  }
  const bool may_wait = (p->op->def->traits & ERT_TRAIT_PACKS) != 0 && entry->packed_count != 0;
  return may_wait ? ERT_OK : ert_prepare_constants(p);
}

ert_status ert_expand_after(ert_prepare *p) {
  const ert_model *model = p->session->model;
  const bool packs = p->session->packer != NULL;
  if (p->expander == NULL) return ERT_OK;
  if (model->ops[p->op->index].expands) {
    ert_expanded *e = &p->binding->expanded[p->op->index];
    const bool wanted = packs || ert_file_model_packed(model->root).count != 0;
    if (wanted) e->hashes[false] = hash_output(p, p->op, false);
    if (packs) e->hashes[true] = hash_output(p, p->op, true);
    return ERT_OK;
  }
  for (uint32_t i = 0; i < p->op->in_count; i++) {
    const uint32_t from = writer_of(p, p->op, i);
    if (from == NONE) continue;
    const bool unread = i < 32 && (p->op->unread >> i & 1u) != 0;
    if (!unread && !packs) {
      ERT_TRY(expand(p, from));
      keep(p, from);
    }
    drop_use(p, from);
  }
  return ERT_OK;
}

ert_status ert_expand_outputs(ert_prepare *p) {
  if (p->expander == NULL) return ERT_OK;
  const uint32_t count = p->binding->expanded_count;
  for (uint32_t i = 0; i < count; i++) {
    if (p->binding->expanded[i].kept && expand(p, i) != ERT_OK)
      return ert_report(p->error, ERT_OUT_OF_MEMORY,
                        "operator %u '%.100s' has no memory to expand to: the session's limit is %zu bytes", i,
                        p->binding->ops[i].name, p->session->memory_limit);
  }
  for (uint32_t i = 0; i < count; i++) { /* what waits for an operator that nobody asks */
    const ert_expanded *e = &p->binding->expanded[i];
    if (e->memory != NULL && !e->kept) release(p, i);
  }
  return ERT_OK;
}

void ert_expand_free(ert_binding *b) {
  for (uint32_t i = 0; i < b->expanded_count; i++) {
    const ert_expanded *e = &b->expanded[i];
    if (e->memory_bytes >= PAGES_FROM) ert_pages_free(e->memory, e->memory_bytes);
    else ert_aligned_free(e->memory);
  }
  free(b->expanded);
}
