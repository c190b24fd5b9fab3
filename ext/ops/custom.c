/* An operator from outside: the session was given its functions, by the name that the model has for it. Shapes are as
 * the file states them: it runs on the shapes alone that it was converted for. */
#include <stdio.h>
#include <string.h>

#include "ops/op.h"

typedef struct custom_state {
  const ert_custom_op *custom;
  ert_custom_call call;
  ert_error error; /* of the last invoke */
  ert_tensor_info tensors[];
} custom_state;

static void describe(const ert_tensor *t, ert_tensor_info *info) {
  if (t == NULL) return; /* all zeros */
  *info = (ert_tensor_info){.name = t->name, .dtype = (ert_dtype)t->dtype, .kind = (ert_tensor_kind)t->kind,
                            .rank = t->rank, .dims = t->dims, .bytes = t->bytes, .data = t->data,
                            .quant_count = t->quant_count, .quant_axis = t->quant_axis, .scales = t->scales,
                            .zero_points = t->zero_points};
}

static void describe_all(const ert_op *op, custom_state *state) {
  for (uint32_t i = 0; i < op->in_count; i++) describe(op->in[i], &state->tensors[i]);
  for (uint32_t i = 0; i < op->out_count; i++) describe(op->out[i], &state->tensors[op->in_count + i]);
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const char *name = ert_fb_str(ert_custom_attrs_name(op->attrs));
  ERT_REQUIRE(p, name[0] != 0, "it has no name");
  for (uint32_t i = 0; i < op->out_count; i++)
    ERT_TRY(ert_prepare_shape(p, op->out[i], op->out[i]->rank, op->out[i]->dims));
  if (ert_prepare_only_packs(p)) return ERT_OK;
  const ert_custom_op *custom = ert_prepare_custom(p, name);
  ERT_REQUIRE(p, custom != NULL, "the model needs the custom operator '%.100s', which was not given", name);
  const size_t count = (size_t)op->in_count + op->out_count; /* at most as many as the file has tensors */
  custom_state *state = ert_prepare_alloc(p, sizeof *state + count * sizeof state->tensors[0]);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  op->state = state;
  state->custom = custom;
  state->call = (ert_custom_call){.name = op->name, .options = ert_fb_str(ert_custom_attrs_options(op->attrs)),
                                  .input_count = op->in_count, .output_count = op->out_count,
                                  .inputs = state->tensors, .outputs = state->tensors + op->in_count};
  describe_all(op, state);
  if (custom->prepare == NULL) return ERT_OK;
  state->error.message[0] = 0;
  if (custom->prepare(custom->user, &state->call, &state->error) == ERT_OK) return ERT_OK;
  state->error.message[sizeof state->error.message - 1] = 0;
  return ert_prepare_fail(p, "'%.100s' refuses it: %.300s", name, state->error.message);
}

static ert_status invoke(ert_op *op) {
  custom_state *state = op->state;
  describe_all(op, state); /* tensors have their memory now */
  op->failure = NULL;
  state->error.message[0] = 0;
  const ert_status status = state->custom->invoke(state->custom->user, &state->call, &state->error);
  if (status == ERT_OK) return ERT_OK;
  state->error.message[sizeof state->error.message - 1] = 0;
  if (state->error.message[0] != 0) op->failure = state->error.message;
  return ERT_RUNTIME_ERROR;
}

const ert_op_def ert_op_custom = {"custom", 0, 255, ERT_ANY_NUMBER, prepare, invoke, 0};
