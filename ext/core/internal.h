/* The core's own structures. Nothing outside ext/core, and ext/bench, includes this. */
#ifndef ERT_CORE_INTERNAL_H
#define ERT_CORE_INTERNAL_H

#include "base/isa.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/schema.h"
#include "core/group.h"
#include "edgert.h"
#include "ops/op.h"

/* More activations than any model known has, and few enough that planning stays quick for a hostile one. */
#define ERT_MAX_TENSORS 65535
#define ERT_MAX_ACTIVATIONS 16384
#define ERT_MAX_GOLDEN 256
#define ERT_MAX_SHARING 16   /* names of one string, on the average */
#define ERT_MAX_TARGETS 64
#define ERT_MAX_TARGET_TEXT 255
#define ERT_MAX_ENTRIES 1024 /* of the metadata, which are searched one by one */

/* Operators on constants alone, one behind the other. */
#define ERT_MAX_EXPANSION_DEPTH 8
/* What they make of a file's bytes, and a small model anyway: they run before anybody asks for a result. */
#define ERT_MAX_EXPANSION 64
#define ERT_FREE_EXPANSION ((size_t)256 << 20)

/* Of one tensor. The rest of the address space is headroom: sums of a few strides, and sizes rounded up, cannot
 * overflow in prepare functions, on 32-bit machines too. */
#define ERT_MAX_TENSOR_BYTES (PTRDIFF_MAX / 4)

typedef struct ert_model_op_entry {
  const ert_op_def *def;
  const char *name;
  ert_fb_table attrs;
  uint32_t in_count, out_count;
  const int32_t *in, *out; /* in the file */
  uint32_t packed, packed_count; /* its entries in the file's list of packed constants */
  bool expands;                  /* it reads constants alone, and runs when a session is bound: expand.c */
} ert_model_op_entry;

struct ert_model {
  const uint8_t *data;
  size_t bytes;
  void *map;    /* to unmap, or NULL */
  void *copy;   /* to free, or NULL */
  ert_fb_table root;
  uint32_t tensor_count, op_count, input_count, output_count;
  uint32_t expansion_count; /* operators that expand */
  ert_tensor *tensors; /* as the file has them; data is set for constants, initial data for variables */
  int64_t *arena_offsets; /* the packer's plan; -1: none */
  ert_model_op_entry *ops;
  const uint32_t *inputs, *outputs;
};

/* A session's tensors and operators for one set of input shapes. */
typedef struct ert_block {
  struct ert_block *next;
  void *memory;
  size_t pages; /* bytes of ert_pages_alloc; 0: of ert_aligned_alloc */
} ert_block;

/* What an operator that expands has made. */
typedef struct ert_expanded {
  void *memory;        /* of its output; NULL: none, or none any more */
  size_t memory_bytes;
  uint32_t uses;       /* operands that may still ask for it while the model is bound */
  bool done;           /* the output holds its elements */
  bool kept;           /* invoke reads them, or the caller may */
  uint64_t hashes[2];  /* for packed.c: by what the file states of its constants, and of their bytes */
  ert_expansion report;
} ert_expanded;

typedef struct ert_binding {
  ert_tensor *tensors;
  ert_op *ops;
  ert_tensor **operand_slots; /* storage of every op's in and out */
  ert_block *blocks;          /* what ert_prepare_alloc gave */
  ert_block *chunk;           /* the one of those that larger pieces are taken from, one behind the other; or NULL */
  size_t chunk_used;
  ert_group *groups;          /* of operators that run together; NULL: none */
  ert_expanded *expanded;     /* of every operator; NULL: none of them expands */
  uint32_t expanded_count;
  uint8_t *arena;
  size_t arena_bytes;  /* activations and scratch */
  uint8_t *variables;
  size_t variable_bytes;
  size_t total_bytes;
  size_t peak_bytes; /* the most that total_bytes was */
} ert_binding;

struct ert_session {
  const ert_model *model;
  const struct ert_packer *packer; /* packed.c: constants are packed to be stored; else NULL */
  ert_pool *pool;
  ert_isa_set isa;
  size_t memory_limit;
  bool keep_all;
  ert_fusion fusion;
  ert_custom_op *custom_ops;
  uint32_t custom_op_count;
  uint32_t next_op;
  ert_binding binding;
};

/* What prepare functions and bind.c hand to each other. */
#define ERT_KNOWN_LAYOUTS 8
struct ert_prepare {
  const ert_session *session;
  ert_binding *binding;
  ert_op *op;
  bool infer; /* shapes follow from a resized input; otherwise the file's must agree */
  size_t scratch_bytes;
  ert_error *error;
  struct ert_expander *expander; /* expand.c; NULL: no operator expands */
  /* packed.c */
  size_t packed_bytes; /* of the file that are used as packed constants so far */
  struct {
    const void *kernel;
    uint64_t layout;
  } layouts[ERT_KNOWN_LAYOUTS]; /* of kernels met so far */
};

/* Sets error->message (error may be NULL) and returns status. */
ert_status ert_report(ert_error *error, ert_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
ert_status ert_clear(ert_error *error);

/* session.c: the processor's instruction sets up to isa_max, or to the environment's ERT_ISA_MAX when it is NULL. */
ert_status ert_allowed_isa(const char *isa_max, ert_isa_set *set, ert_error *error);

/* verify.c: every offset, length and string of the buffer lies within it. */
ert_status ert_verify(const uint8_t *data, size_t bytes, ert_error *error);

/* validate.c: fills tensors, ops, inputs and outputs; what the file says makes sense. */
ert_status ert_validate(ert_model *model, ert_error *error);

/* plan.c: an offset for every activation. */
typedef struct ert_plan_item {
  uint32_t tensor;
  uint32_t first_op, last_op; /* inclusive; the op that writes it (or 0) and the last that reads it */
  size_t bytes;
  size_t offset;
} ert_plan_item;
/* Places the items, largest first, each at the lowest offset free during its life. arena_bytes receives the total. */
ert_status ert_plan(ert_plan_item *items, size_t count, size_t *arena_bytes, ert_error *error);
/* True when no two items that live at the same time overlap. Leaves items sorted by offset. */
bool ert_plan_is_valid(ert_plan_item *items, size_t count);

/* What binding needs for itself. */
typedef struct ert_bind_memory {
  ert_plan_item *items;
  uint32_t *item_of; /* of every tensor; UINT32_MAX: none */
  uint32_t *root;    /* of every tensor: the one that has its place; UINT32_MAX: it is no activation, or not used */
  uint32_t *uses;    /* of every tensor: operands that read it, and one more for a graph output */
  struct ert_op_scratch {
    size_t bytes, offset; /* offset: in the session's scratch memory */
  } *scratch;             /* of every operator: its own */
  size_t scratch_bytes, group_scratch_bytes; /* for operators one by one; for groups */
} ert_bind_memory;
typedef struct ert_op_scratch ert_op_scratch;

/* Takes bytes off what the session's memory limit leaves. */
ert_status ert_take_memory(ert_prepare *p, size_t bytes);

/* expand.c: weights that are stored in fewer bytes than kernels compute with. ert_expand_end belongs to every
 * ert_expand_begin, whatever that returned. */
ert_status ert_expand_begin(ert_prepare *p);
void ert_expand_end(ert_prepare *p);
/* Around the prepare function of p->op. */
ert_status ert_expand_before(ert_prepare *p);
ert_status ert_expand_after(ert_prepare *p);
/* When all operators are prepared: what the caller may read. */
ert_status ert_expand_outputs(ert_prepare *p);
void ert_expand_free(ert_binding *binding);
/* The operator that expands to this tensor; UINT32_MAX: none does. */
uint32_t ert_expand_writer(const ert_prepare *p, const ert_tensor *t);

/* packed.c: a hash of a constant, of those that operators expand to, too. */
uint64_t ert_constant_hash(const ert_prepare *p, const ert_tensor *t, bool measured);

/* arena.c: takes the arena, and gives activations, operators and groups their memory in it. Gives groups up when they
 * do not fit into the memory limit. */
ert_status ert_place_activations(ert_prepare *p, ert_bind_memory *memory);

/* group.c: forms p->binding->groups, as far as memory suffices. */
void ert_groups_form(ert_prepare *p, ert_bind_memory *memory);
/* The operand of `reader` by which it alone reads what `writer` computes; UINT32_MAX: there is none. */
uint32_t ert_only_link(const ert_binding *b, const uint32_t *uses, const ert_op *writer, const ert_op *reader);

/* bind.c. `dims`, when not NULL, replaces the shape of graph input `resized`. */
ert_status ert_bind(const ert_session *session, uint32_t resized, uint32_t rank, const int32_t *dims,
                    ert_binding *binding, ert_error *error);
void ert_unbind(ert_binding *binding);
void ert_reset_variables(const ert_model *model, ert_binding *binding);

#endif
