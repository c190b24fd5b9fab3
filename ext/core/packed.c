/* Packed constants: found in the file, made when a model is bound, or made to be stored (schemas/README.md). */
#include "core/internal.h"

#include "base/hash.h"
#include "core/pack.h"

struct ert_packer {
  ert_packed_fn take;
  void *context;
};

static uint64_t layout_of(ert_prepare *p, const ert_packing *packing) {
  size_t i = 0;
  for (; i < ERT_KNOWN_LAYOUTS && p->layouts[i].kernel != NULL; i++)
    if (p->layouts[i].kernel == packing->kernel) return p->layouts[i].layout;
  const uint64_t layout = packing->layout(packing->kernel);
  if (i < ERT_KNOWN_LAYOUTS) {
    p->layouts[i].kernel = packing->kernel;
    p->layouts[i].layout = layout;
  }
  return layout;
}

/* The hash that the file states of a constant's bytes; of those themselves where it states none, or `measured` asks. */
static uint64_t hash_constant(const ert_model *model, uint32_t tensor, bool measured) {
  const ert_fb_table file = ert_fb_table_at(ert_file_model_tensors(model->root), tensor);
  const uint32_t buffer = ert_file_tensor_buffer(file); /* of a constant: it exists */
  const uint64_t stated = ert_file_buffer_hash(ert_fb_table_at(ert_file_model_buffers(model->root), buffer));
  if (stated != 0 && !measured) return stated;
  return ert_buffer_hash(model->tensors[tensor].data, model->tensors[tensor].bytes);
}

uint64_t ert_constant_hash(const ert_prepare *p, const ert_tensor *t, bool measured) {
  const uint32_t writer = ert_expand_writer(p, t);
  if (writer != UINT32_MAX) return p->binding->expanded[writer].hashes[measured];
  return hash_constant(p->session->model, (uint32_t)(t - p->binding->tensors), measured);
}

static uint64_t source_of(const ert_prepare *p, const ert_packing *packing, bool measured) {
  const ert_model *model = p->session->model;
  const uint16_t code = ert_file_op_code(ert_fb_table_at(ert_file_model_ops(model->root), p->op->index));
  uint64_t hash = ert_hash_u64(packing->source, code);
  for (uint32_t i = 1; i < p->op->in_count; i++) {
    const ert_tensor *t = p->op->in[i];
    if (t != NULL && t->kind == ERT_TENSOR_KIND_CONSTANT) hash = ert_hash_u64(hash, ert_constant_hash(p, t, measured));
  }
  return hash;
}

/* Leaves *packed NULL where the file has nothing for this kernel. What it has is read where it lies, by kernels that
 * take any bytes, or any that their operator checks: a file that states right hashes of wrong weights gets wrong numbers,
 * as one with wrong weights does. The scalar kernels alone are not among them, for C does not define the conversion of
 * every float. */
static ert_status find_in_file(ert_prepare *p, const ert_packing *packing, const void **packed) {
  const ert_model *model = p->session->model;
  const ert_model_op_entry *entry = &model->ops[p->op->index];
  *packed = NULL;
  if (entry->packed_count == 0 || packing->isa == ERT_ISA_SCALAR) return ERT_OK;
  const uint64_t layout = layout_of(p, packing), source = source_of(p, packing, false);
  if (layout == 0) return ERT_OK;
  const ert_fb_vector list = ert_file_model_packed(model->root);
  for (uint32_t i = 0; i < entry->packed_count; i++) {
    const ert_fb_table file = ert_fb_table_at(list, entry->packed + i);
    if (ert_file_packed_layout(file) != layout || ert_file_packed_source(file) != source) continue;
    const ert_fb_vector data = ert_file_packed_data(file);
    if (data.count != packing->bytes || (uintptr_t)data.data % ERT_ALIGN != 0) continue;
    /* Many operators may name the same bytes: their hashes must not take longer than the file is long. */
    if (data.count > model->bytes - p->packed_bytes) continue;
    p->packed_bytes += data.count;
    if (ert_buffer_hash(data.data, data.count) != ert_file_packed_checksum(file))
      return ert_report(p->error, ERT_INVALID_FILE,
                        "operator %u '%.100s' (%s): the file is damaged: its packed weights do not have the checksum that "
                        "it states; copy it again",
                        p->op->index, p->op->name, p->op->def->name);
    *packed = data.data;
    return ERT_OK;
  }
  return ERT_OK;
}

ert_status ert_prepare_packed(ert_prepare *p, const ert_packing *packing, const void **packed) {
  const struct ert_packer *packer = p->session->packer;
  if (packer == NULL) {
    ERT_TRY(find_in_file(p, packing, packed));
    p->op->packed_in_file = *packed != NULL;
    if (*packed != NULL) return ERT_OK;
  }
  ERT_TRY(ert_prepare_constants(p));
  void *memory = ert_prepare_alloc(p, packing->bytes);
  if (memory == NULL) return ERT_OUT_OF_MEMORY;
  ERT_TRY(packing->pack(packing->context, memory));
  *packed = memory;
  if (packer == NULL || packing->isa == ERT_ISA_SCALAR) return ERT_OK;
  const ert_packed made = {
      .op = p->op->index, .kernel = packing->kernel_name, .layout = layout_of(p, packing),
      .source = source_of(p, packing, true), .stated_source = source_of(p, packing, false),
      .checksum = ert_buffer_hash(memory, packing->bytes), .data = memory, .bytes = packing->bytes,
  };
  if (made.layout == 0) return ERT_OUT_OF_MEMORY;
  return packer->take(packer->context, &made);
}

uint64_t ert_buffer_hash(const void *data, size_t bytes) { return ert_hash(0, data, bytes); }

/* --- packing for a target --- */

typedef struct architecture {
  const char *name;
  ert_isa first, last;
  ert_isa_set mark; /* where it is not this build's */
} architecture;

static const architecture ARCHITECTURES[] = {
    {"x86_64", ERT_ISA_SSE41, (ert_isa)(ERT_ISA_NEON - 1), 0},
    {"aarch64", ERT_ISA_NEON, (ert_isa)(ERT_ISA_COUNT - 1), ERT_ISA_OF_AARCH64},
    {"armv7", ERT_ISA_NEON, ERT_ISA_NEON, ERT_ISA_OF_ARMV7},
};

const char *ert_pack_architecture(void) {
#if defined(ERT_ARCH_X86_64)
  return "x86_64";
#elif defined(ERT_ARCH_AARCH64)
  return "aarch64";
#elif defined(ERT_ARCH_ARMV7)
  return "armv7";
#else
  return "";
#endif
}

/* Says ERT_ISA_TURNS_COST, of which kernel choice depends too. */
#define INTEL "intel"

ert_status ert_pack_instruction_sets(char *names, size_t size, ert_error *error) {
  ert_isa_set set;
  ERT_TRY(ert_allowed_isa(NULL, &set, error));
  size_t used = 0;
  if (size != 0) names[0] = 0;
  for (int isa = ERT_ISA_SCALAR + 1; isa <= ERT_ISA_COUNT; isa++) {
    const char *name = isa < ERT_ISA_COUNT ? ert_isa_name((ert_isa)isa) : INTEL;
    if (isa < ERT_ISA_COUNT ? !ert_isa_has(set, (ert_isa)isa) : (set & ERT_ISA_TURNS_COST) == 0) continue;
    const size_t length = strlen(name);
    if (used + length + 2 > size) return ert_report(error, ERT_INVALID_ARGUMENT, "%zu bytes hold not all names", size);
    if (used != 0) names[used++] = ' ';
    memcpy(names + used, name, length + 1);
    used += length;
  }
  return ERT_OK;
}

static const architecture *find_architecture(const char *name) {
  for (size_t i = 0; i < sizeof ARCHITECTURES / sizeof *ARCHITECTURES; i++)
    if (strcmp(ARCHITECTURES[i].name, name) == 0) return &ARCHITECTURES[i];
  return NULL;
}

static ert_status parse_target(const char *name, const char *instruction_sets, ert_isa_set *set, ert_error *error) {
  const architecture *target = find_architecture(name);
  if (target == NULL)
    return ert_report(error, ERT_INVALID_ARGUMENT, "'%.40s' is no architecture; known are x86_64, aarch64 and armv7", name);
  *set = (ert_isa_set)1 << ERT_ISA_SCALAR;
  if (strcmp(name, ert_pack_architecture()) != 0) {
    if (target->mark == 0)
      return ert_report(error, ERT_UNSUPPORTED, "packing for %s needs edgert on such a machine; this one has %s", name,
                        ert_pack_architecture());
    *set |= target->mark;
  }
  for (const char *at = instruction_sets; *at != 0;) {
    const size_t length = strcspn(at, " ");
    char word[32] = {0};
    ert_isa isa = ERT_ISA_SCALAR;
    if (length < sizeof word) memcpy(word, at, length);
    const bool intel = strcmp(word, INTEL) == 0 && target->first == ERT_ISA_SSE41;
    if (intel) *set |= ERT_ISA_TURNS_COST;
    if (length != 0 && !intel &&
        (!ert_isa_parse(word, &isa) || (isa != ERT_ISA_SCALAR && (isa < target->first || isa > target->last))))
      return ert_report(error, ERT_INVALID_ARGUMENT, "%s has no instruction set '%.*s'", name,
                        (int)ert_min_size(length, 40), at);
    *set |= (ert_isa_set)1 << isa;
    at += length + strspn(at + length, " ");
  }
  return ERT_OK;
}

ert_status ert_model_pack(const ert_model *model, const char *architecture_name, const char *instruction_sets,
                          ert_packed_fn take, void *context, ert_error *error) {
  const struct ert_packer packer = {take, context};
  ert_session session = {.model = model, .packer = &packer, .memory_limit = PTRDIFF_MAX};
  ERT_TRY(parse_target(architecture_name, instruction_sets, &session.isa, error));
  const ert_status status = ert_bind(&session, 0, 0, NULL, &session.binding, error);
  ert_unbind(&session.binding);
  if (status != ERT_OK) return status;
  return ert_clear(error);
}

typedef struct comparison {
  const ert_model *model;
  ert_target_check *check;
} comparison;

static ert_status compare_packed(void *context, const ert_packed *made) {
  const comparison *with = context;
  const ert_model_op_entry *entry = &with->model->ops[made->op];
  const ert_fb_vector list = ert_file_model_packed(with->model->root);
  for (uint32_t i = 0; i < entry->packed_count; i++) {
    const ert_fb_table file = ert_fb_table_at(list, entry->packed + i);
    const ert_fb_vector data = ert_file_packed_data(file);
    if (ert_file_packed_layout(file) != made->layout || ert_file_packed_source(file) != made->stated_source ||
        data.count != made->bytes)
      continue;
    if (made->source == made->stated_source && memcmp(data.data, made->data, made->bytes) == 0)
      with->check->fresh++;
    else
      with->check->wrong++;
    return ERT_OK;
  }
  with->check->stale++;
  return ERT_OK;
}

ert_status ert_model_check_target(const ert_model *model, uint32_t target, ert_target_check *check, ert_error *error) {
  *check = (ert_target_check){0};
  ert_target_info info;
  if (ert_model_target(model, target, &info) != ERT_OK)
    return ert_report(error, ERT_INVALID_ARGUMENT, "there is no target %u; the model is packed for %u", target,
                      ert_model_target_count(model));
  comparison with = {model, check};
  return ert_model_pack(model, info.architecture, info.instruction_sets, compare_packed, &with, error);
}
