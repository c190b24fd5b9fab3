#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

#define ERT_DEFAULT_MEMORY_LIMIT ((size_t)1 << 30)

ert_status ert_allowed_isa(const char *isa_max, ert_isa_set *set, ert_error *error) {
  const char *cap = isa_max ? isa_max : getenv("ERT_ISA_MAX");
  *set = ert_isa_detect();
  if (cap == NULL || cap[0] == 0) return ERT_OK;
  ert_isa isa;
  if (!ert_isa_parse(cap, &isa))
    return ert_report(error, ERT_INVALID_ARGUMENT,
                      "'%s' is no instruction set; known are scalar, sse41, avx2, avxvnni, avx512vnni, amx, neon, "
                      "neondot and neoni8mm",
                      cap);
  *set = ert_isa_up_to(*set, isa);
  return ERT_OK;
}

static ert_status allowed_fusion(ert_fusion given, ert_fusion *fusion, ert_error *error) {
  static const char *const names[] = {[ERT_FUSION_AUTO] = "on", [ERT_FUSION_OFF] = "off", [ERT_FUSION_ALL] = "all"};
  const char *text = getenv("ERT_FUSION");
  *fusion = given;
  if ((int)given < 0 || given > ERT_FUSION_ALL)
    return ert_report(error, ERT_INVALID_ARGUMENT, "fusion is %d; 0 to 2 are possible", (int)given);
  if (given != ERT_FUSION_AUTO || text == NULL || text[0] == 0) return ERT_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *fusion = (ert_fusion)i;
    return ERT_OK;
  }
  return ert_report(error, ERT_INVALID_ARGUMENT, "ERT_FUSION is '%s'; on, off and all are possible", text);
}

static ert_status copy_custom_ops(ert_session *session, const ert_session_options *options, ert_error *error) {
  if (options->custom_op_count == 0) return ERT_OK;
  if (options->custom_ops == NULL)
    return ert_report(error, ERT_INVALID_ARGUMENT, "%u custom operators are announced and none is given",
                      options->custom_op_count);
  for (uint32_t i = 0; i < options->custom_op_count; i++)
    if (options->custom_ops[i].name == NULL || options->custom_ops[i].invoke == NULL)
      return ert_report(error, ERT_INVALID_ARGUMENT, "custom operator %u has no %s", i,
                        options->custom_ops[i].name == NULL ? "name" : "invoke");
  session->custom_ops = calloc(options->custom_op_count, sizeof *session->custom_ops);
  if (session->custom_ops == NULL) return ert_report(error, ERT_OUT_OF_MEMORY, "no memory for a session");
  memcpy(session->custom_ops, options->custom_ops, options->custom_op_count * sizeof *session->custom_ops);
  session->custom_op_count = options->custom_op_count;
  return ERT_OK;
}

ert_status ert_session_create(const ert_model *model, const ert_session_options *given, ert_session **out,
                              ert_error *error) {
  *out = NULL;
  ert_session_options options = given ? *given : (ert_session_options){0};
  int threads = options.threads == 0 ? 1 : options.threads;
  if (threads < 1 || threads > ERT_POOL_MAX_THREADS)
    return ert_report(error, ERT_INVALID_ARGUMENT, "%d threads; 1 to %d are possible", options.threads,
                      ERT_POOL_MAX_THREADS);
  ert_session *session = calloc(1, sizeof *session);
  if (session == NULL) return ert_report(error, ERT_OUT_OF_MEMORY, "no memory for a session");
  session->model = model;
  session->memory_limit = options.memory_limit ? options.memory_limit : ERT_DEFAULT_MEMORY_LIMIT;
  session->keep_all = options.keep_all_tensors;
  ert_status status = copy_custom_ops(session, &options, error);
  if (status == ERT_OK) status = ert_allowed_isa(options.isa_max, &session->isa, error);
  if (status == ERT_OK) status = allowed_fusion(options.fusion, &session->fusion, error);
  if (status == ERT_OK && threads > 1) {
    status = ert_pool_create(threads, &session->pool);
    if (status != ERT_OK) ert_report(error, status, "%d threads could not be started", threads);
  }
  if (status == ERT_OK) status = ert_bind(session, 0, 0, NULL, &session->binding, error);
  if (status != ERT_OK) {
    ert_session_destroy(session);
    return status;
  }
  *out = session;
  return ert_clear(error);
}

void ert_session_destroy(ert_session *session) {
  if (session == NULL) return;
  ert_unbind(&session->binding);
  ert_pool_destroy(session->pool);
  free(session->custom_ops);
  free(session);
}

ert_status ert_session_tensor(const ert_session *session, uint32_t index, ert_tensor_info *info) {
  if (index >= session->model->tensor_count) return ERT_INVALID_ARGUMENT;
  const ert_tensor *t = &session->binding.tensors[index];
  *info = (ert_tensor_info){t->name, (ert_dtype)t->dtype, (ert_tensor_kind)t->kind, t->rank,   t->dims,       t->bytes,
                            t->data, t->quant_count,      t->quant_axis,            t->scales, t->zero_points};
  return ERT_OK;
}

ert_status ert_session_resize_input(ert_session *session, uint32_t i, uint32_t rank, const int32_t *dims,
                                    ert_error *error) {
  const ert_model *model = session->model;
  if (i >= model->input_count)
    return ert_report(error, ERT_INVALID_ARGUMENT, "there is no input %u; the model has %u", i, model->input_count);
  if (rank > ERT_MAX_RANK)
    return ert_report(error, ERT_INVALID_ARGUMENT, "%u dimensions; at most %d are possible", rank, ERT_MAX_RANK);
  if (dims == NULL && rank != 0)
    return ert_report(error, ERT_INVALID_ARGUMENT, "%u dimensions are announced and none is given", rank);
  static const int32_t scalar[1] = {0}; /* no dimension of it is read; NULL would mean the file's shapes */
  if (dims == NULL) dims = scalar;
  ert_binding fresh = {0};
  ert_status status = ert_bind(session, i, rank, dims, &fresh, error);
  if (status != ERT_OK) return status;
  if (fresh.variable_bytes == session->binding.variable_bytes && fresh.variable_bytes != 0)
    memcpy(fresh.variables, session->binding.variables, fresh.variable_bytes);
  ert_unbind(&session->binding);
  session->binding = fresh;
  session->next_op = 0;
  return ert_clear(error);
}

static ert_status fail_op(const ert_op *op, ert_status status, ert_error *error) {
  if (op->failure != NULL)
    return ert_report(error, status, "operator %u '%.100s' (%s): %s", op->index, op->name, op->def->name, op->failure);
  return ert_report(error, status,
                    "operator %u '%.100s' (%s): its data make it fail (an index out of range or a division by zero)",
                    op->index, op->name, op->def->name);
}

static ert_status run_op(ert_session *session, uint32_t index, ert_error *error) {
  ert_op *op = &session->binding.ops[index];
  const ert_status status = op->def->invoke(op);
  return status == ERT_OK ? ERT_OK : fail_op(op, status, error);
}

/* The group that begins with operator `index`, or NULL. Groups before *next have run. */
static ert_group *group_at(ert_group **next, uint32_t index) {
  while (*next != NULL && (*next)->first < index) *next = (*next)->next;
  return *next != NULL && (*next)->first == index ? *next : NULL;
}

static ert_status step(ert_session *session, bool groups, uint32_t *index, uint32_t *count, ert_error *error) {
  while (session->next_op < session->model->op_count && session->model->ops[session->next_op].expands) session->next_op++;
  if (session->next_op >= session->model->op_count) {
    session->next_op = 0;
    ert_clear(error);
    return ERT_END;
  }
  const uint32_t now = session->next_op;
  ert_group *next = session->binding.groups, *group = groups ? group_at(&next, now) : NULL;
  if (index != NULL) *index = now;
  if (count != NULL) *count = group != NULL ? group->count : 1;
  session->next_op += group != NULL ? group->count : 1;
  if (group != NULL) {
    ert_group_run(group);
    return ert_clear(error);
  }
  const ert_status status = run_op(session, now, error);
  if (status == ERT_OK) return ert_clear(error);
  session->next_op = 0;
  return status;
}

ert_status ert_session_step(ert_session *session, uint32_t *index, ert_error *error) {
  return step(session, false, index, NULL, error);
}

ert_status ert_session_step_group(ert_session *session, uint32_t *index, uint32_t *count, ert_error *error) {
  return step(session, true, index, count, error);
}

ert_status ert_session_invoke(ert_session *session, ert_error *error) {
  session->next_op = 0;
  ert_group *next = session->binding.groups;
  for (uint32_t i = 0; i < session->model->op_count;) {
    ert_group *group = group_at(&next, i);
    if (group == NULL) {
      if (!session->model->ops[i].expands) ERT_TRY(run_op(session, i, error));
      i++;
    } else {
      ert_group_run(group);
      i += group->count;
    }
  }
  return ert_clear(error);
}

void ert_session_rewind(ert_session *session) { session->next_op = 0; }

void ert_session_reset_variables(ert_session *session) { ert_reset_variables(session->model, &session->binding); }

size_t ert_session_arena_bytes(const ert_session *session) { return session->binding.arena_bytes; }

size_t ert_session_total_bytes(const ert_session *session) { return session->binding.total_bytes; }

size_t ert_session_peak_bytes(const ert_session *session) { return session->binding.peak_bytes; }

bool ert_session_expansion(const ert_session *session, uint32_t op, ert_expansion *expansion) {
  if (op >= session->model->op_count || !session->model->ops[op].expands) return false;
  if (expansion != NULL) *expansion = session->binding.expanded[op].report;
  return true;
}

uint32_t ert_session_group(const ert_session *session, uint32_t op, uint32_t *first) {
  const ert_group *group = session->binding.groups;
  while (group != NULL && group->first + group->count <= op) group = group->next;
  const bool grouped = group != NULL && group->first <= op;
  if (first != NULL) *first = grouped ? group->first : op;
  return grouped ? group->count : 1;
}

const char *ert_session_kernel(const ert_session *session, uint32_t op) {
  if (op >= session->model->op_count) return "";
  const char *kernel = session->binding.ops[op].kernel;
  return kernel ? kernel : "";
}

bool ert_session_packed_in_file(const ert_session *session, uint32_t op) {
  return op < session->model->op_count && session->binding.ops[op].packed_in_file;
}

const char *ert_session_isa(const ert_session *session) {
  for (int isa = ERT_ISA_COUNT - 1; isa > 0; isa--)
    if (ert_isa_has(session->isa, (ert_isa)isa)) return ert_isa_name((ert_isa)isa);
  return ert_isa_name(ERT_ISA_SCALAR);
}
