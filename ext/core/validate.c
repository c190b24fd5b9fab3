/* Does what the file says make sense? Runs on verified bytes; what the operators themselves need stands in their
 * prepare functions. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/internal.h"
#include "core/op_table.h"

#define REFUSE(...) return ert_report(error, ERT_INVALID_MODEL, __VA_ARGS__)

/* Scales are positive numbers and zero points lie in the type's range; without branches, for tens of thousands of them. */
static bool quantisation_fits(int dtype, uint32_t count, const float *scales, const int32_t *zero_points) {
  int32_t low = 0, high = -1; /* none */
  switch (dtype) {
    case ERT_DTYPE_INT8: low = -128, high = 127; break;
    case ERT_DTYPE_UINT8: low = 0, high = 255; break;
    case ERT_DTYPE_INT16: low = -32768, high = 32767; break;
    case ERT_DTYPE_INT32: low = 0, high = 0; break;
    default: break;
  }
  int wrong = 0;
  for (uint32_t i = 0; i < count; i++) {
    wrong |= !(scales[i] > 0.0f) | !(scales[i] <= FLT_MAX) | (zero_points[i] < low) | (zero_points[i] > high);
  }
  return wrong == 0;
}

static ert_status read_quantisation(ert_fb_table q, ert_tensor *t, ert_error *error) {
  ert_fb_vector scales = ert_file_quantization_scales(q), zero_points = ert_file_quantization_zero_points(q);
  if (scales.count == 0 && zero_points.count == 0) return ERT_OK;
  int32_t axis = ert_file_quantization_axis(q);
  if (scales.count != zero_points.count)
    REFUSE("tensor '%s': %u scales and %u zero points", t->name, scales.count, zero_points.count);
  if (scales.count > 1 && (axis < 0 || axis >= t->rank || (uint32_t)t->dims[axis] != scales.count))
    REFUSE("tensor '%s': %u scales do not fit axis %d of its shape", t->name, scales.count, (int)axis);
  t->scales = (const float *)(const void *)scales.data; /* verified to be aligned */
  t->zero_points = (const int32_t *)(const void *)zero_points.data;
  if (!quantisation_fits(t->dtype, scales.count, t->scales, t->zero_points)) {
    for (uint32_t i = 0; i < scales.count; i++) {
      if (!(isfinite(t->scales[i]) && t->scales[i] > 0.0f))
        REFUSE("tensor '%s': scale %g of channel %u is not a positive number", t->name, (double)t->scales[i], i);
      if (!quantisation_fits(t->dtype, 1, &t->scales[i], &t->zero_points[i]))
        REFUSE("tensor '%s': zero point %d does not fit %s", t->name, (int)t->zero_points[i], ert_dtype_name(t->dtype));
    }
  }
  t->quant_count = scales.count;
  t->quant_axis = axis;
  return ERT_OK;
}

static ert_status read_tensor(const ert_model *model, ert_fb_table file, uint32_t index, ert_tensor *t,
                              ert_error *error) {
  t->name = ert_fb_str(ert_file_tensor_name(file));
  t->dtype = ert_file_tensor_dtype(file);
  t->kind = ert_file_tensor_kind(file);
  ert_fb_vector shape = ert_file_tensor_shape(file);
  if (t->dtype >= ERT_DTYPE_COUNT)
    return ert_report(error, ERT_UNSUPPORTED, "tensor '%s' has element type %d, which this build does not know", t->name,
                      t->dtype);
  if (t->kind >= ERT_TENSOR_KIND_COUNT) REFUSE("tensor %u '%s' is of the unknown kind %d", index, t->name, t->kind);
  if (shape.count > ERT_MAX_RANK)
    REFUSE("tensor '%s' has %u dimensions; at most %d are possible", t->name, shape.count, ERT_MAX_RANK);
  t->rank = (uint8_t)shape.count;
  t->elements = 1;
  for (uint32_t i = 0; i < shape.count; i++) {
    t->dims[i] = ert_fb_i32_at(shape, i);
    if (t->dims[i] < 1) REFUSE("tensor '%s': dimension %u is %d; at least 1 is needed", t->name, i, (int)t->dims[i]);
    if (!ert_mul(t->elements, (size_t)t->dims[i], &t->elements)) REFUSE("tensor '%s' is too large", t->name);
  }
  if (!ert_mul(t->elements, ert_dtype_size(t->dtype), &t->bytes) || t->bytes > ERT_MAX_TENSOR_BYTES)
    REFUSE("tensor '%s' is too large", t->name);
  ERT_TRY(read_quantisation(ert_file_tensor_quantization(file), t, error));

  ert_fb_vector buffers = ert_file_model_buffers(model->root);
  uint32_t buffer = ert_file_tensor_buffer(file);
  if (buffer != 0 && buffer >= buffers.count)
    REFUSE("tensor '%s' names buffer %u of %u", t->name, buffer, buffers.count);
  ert_fb_vector data = {NULL, 0};
  if (buffer != 0) data = ert_file_buffer_data(ert_fb_table_at(buffers, buffer));
  bool needs_data = t->kind == ERT_TENSOR_KIND_CONSTANT || (t->kind == ERT_TENSOR_KIND_VARIABLE && buffer != 0);
  if (needs_data && data.count != t->bytes)
    REFUSE("tensor '%s': its buffer has %u bytes, its shape needs %zu", t->name, data.count, t->bytes);
  if (t->kind == ERT_TENSOR_KIND_ACTIVATION && buffer != 0)
    REFUSE("tensor '%s' is an activation and has a buffer", t->name);
  t->data = (void *)(uintptr_t)data.data;
  return ERT_OK;
}

/* Where each tensor stands while the operators are read in order. EXPANDED + n: what an operator on constants alone
 * writes, behind n others of them. */
enum { UNWRITTEN = 0, WRITTEN = 1, EXPANDED = 2 };

/* Whether the operator runs when the model is bound, and then how many such ones its inputs come through. */
static bool expands(const ert_model *model, const ert_model_op_entry *op, const uint8_t *written, uint8_t *behind) {
  *behind = 0;
  if ((op->def->traits & ERT_TRAIT_EXPANDS) == 0) return false;
  for (uint32_t i = 0; i < op->in_count; i++) {
    const int32_t t = op->in[i];
    if (t < 0 || model->tensors[t].kind == ERT_TENSOR_KIND_CONSTANT) continue;
    if (written[t] < EXPANDED || written[t] - EXPANDED + 1 >= ERT_MAX_EXPANSION_DEPTH) return false;
    if (written[t] - EXPANDED >= *behind) *behind = (uint8_t)(written[t] - EXPANDED + 1);
  }
  return true;
}

static ert_status read_op(const ert_model *model, ert_fb_table file, uint32_t index, uint8_t *written,
                          ert_model_op_entry *op, ert_error *error) {
  uint8_t behind;
  uint16_t code = ert_file_op_code(file);
  op->name = ert_fb_str(ert_file_op_name(file));
  op->def = ert_op_by_code(code);
  if (op->def == NULL)
    return ert_report(error, ERT_UNSUPPORTED,
                      "operator %u '%s' has code %u, which this build does not know; update edgert on the device", index,
                      op->name, code);
  const char *type = op->def->name;
  uint8_t attrs_type = ert_file_op_attrs_type(file);
  op->attrs = ert_file_op_attrs(file);
  if (attrs_type == 0)
    op->attrs = (ert_fb_table){NULL};
  else if (attrs_type != code) /* member k of the union belongs to code k */
    REFUSE("operator %u '%s' (%s) has the attributes of another operator (%d)", index, op->name, type, attrs_type);
  ert_fb_vector in = ert_file_op_inputs(file), out = ert_file_op_outputs(file);
  op->in_count = in.count;
  op->out_count = out.count;
  op->in = (const int32_t *)(const void *)in.data;
  op->out = (const int32_t *)(const void *)out.data;
  if (in.count < op->def->min_inputs || in.count > op->def->max_inputs)
    REFUSE("operator %u '%s' (%s) has %u inputs; %d to %d are needed", index, op->name, type, in.count,
           op->def->min_inputs, op->def->max_inputs);
  if (op->def->outputs == ERT_ANY_NUMBER ? out.count == 0 : out.count != op->def->outputs)
    REFUSE("operator %u '%s' (%s) has %u outputs; %d are needed", index, op->name, type, out.count, op->def->outputs);
  for (uint32_t i = 0; i < in.count; i++) {
    int32_t t = ert_fb_i32_at(in, i);
    if (t == -1 && i >= op->def->min_inputs) continue;
    if (t < 0 || (uint32_t)t >= model->tensor_count)
      REFUSE("operator %u '%s' (%s): input %u is tensor %d of %u", index, op->name, type, i, (int)t, model->tensor_count);
    if (model->tensors[t].kind == ERT_TENSOR_KIND_ACTIVATION && written[t] == UNWRITTEN)
      REFUSE("operator %u '%s' (%s) reads tensor '%s' before anything writes it", index, op->name, type,
             model->tensors[t].name);
  }
  op->expands = expands(model, op, written, &behind);
  for (uint32_t i = 0; i < out.count; i++) {
    int32_t t = ert_fb_i32_at(out, i);
    if (t < 0 || (uint32_t)t >= model->tensor_count)
      REFUSE("operator %u '%s' (%s): output %u is tensor %d of %u", index, op->name, type, i, (int)t, model->tensor_count);
    if (model->tensors[t].kind != ERT_TENSOR_KIND_ACTIVATION || written[t] != UNWRITTEN)
      REFUSE("operator %u '%s' (%s) writes tensor '%s', which %s", index, op->name, type, model->tensors[t].name,
             written[t] != UNWRITTEN ? "is an input or another operator's output" : "is no activation");
    written[t] = op->expands ? (uint8_t)(EXPANDED + behind) : WRITTEN;
  }
  return ERT_OK;
}

/* Operators that expand constants run before anybody asks for a result, and many may read one constant: their work must
 * not be far more than the file's size lets one expect. */
static ert_status count_expansions(ert_model *model, ert_error *error) {
  size_t bytes = 0, most;
  for (uint32_t i = 0; i < model->op_count; i++) {
    if (!model->ops[i].expands) continue;
    model->expansion_count++;
    if (!ert_add(bytes, model->tensors[model->ops[i].out[0]].bytes, &bytes)) bytes = SIZE_MAX;
  }
  if (!ert_mul(model->bytes, ERT_MAX_EXPANSION, &most) || !ert_add(most, ERT_FREE_EXPANSION, &most)) most = SIZE_MAX;
  if (bytes > most)
    REFUSE("the model's constants expand to %zu bytes, which is out of proportion to a file of %zu", bytes, model->bytes);
  return ERT_OK;
}

/* Tensors, operators and labels may all name one long string: whoever copies them must not do far more than the
 * file's size lets one expect. The packer shares a string between an operator and its outputs. */
static ert_status read_strings(const ert_model *model, ert_error *error) {
  ert_fb_vector tensors = ert_file_model_tensors(model->root), ops = ert_file_model_ops(model->root);
  ert_fb_vector labels = ert_file_metadata_labels(ert_file_model_metadata(model->root));
  if (labels.count > ERT_MAX_TENSORS)
    REFUSE("the metadata has %u labels; at most %d are possible", labels.count, ERT_MAX_TENSORS);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < tensors.count; i++) bytes += ert_file_tensor_name(ert_fb_table_at(tensors, i)).count;
  for (uint32_t i = 0; i < ops.count; i++) bytes += ert_file_op_name(ert_fb_table_at(ops, i)).count;
  for (uint32_t i = 0; i < labels.count; i++) bytes += ert_fb_string_at(labels, i).count;
  if (bytes / ERT_MAX_SHARING > model->bytes)
    REFUSE("the model's names take %llu bytes, which is out of proportion to a file of %zu", (unsigned long long)bytes,
           model->bytes);
  return ERT_OK;
}

static ert_status read_metadata(const ert_model *model, ert_error *error) {
  ert_fb_table metadata = ert_file_model_metadata(model->root);
  uint32_t entries = ert_file_metadata_entries(metadata).count;
  if (entries > ERT_MAX_ENTRIES)
    REFUSE("the metadata has %u entries; at most %d are possible", entries, ERT_MAX_ENTRIES);
  ert_fb_vector mean = ert_file_metadata_input_mean(metadata), std = ert_file_metadata_input_std(metadata);
  if (mean.count != std.count) REFUSE("the metadata has %u means and %u standard deviations", mean.count, std.count);
  for (uint32_t i = 0; i < mean.count; i++) {
    float m = ert_fb_f32_at(mean, i), s = ert_fb_f32_at(std, i);
    if (!isfinite(m) || !isfinite(s) || s == 0.0f)
      REFUSE("the metadata's normalisation (mean %g, std %g) is not usable", (double)m, (double)s);
  }
  return ERT_OK;
}

static ert_status read_golden(const ert_model *model, ert_error *error) {
  ert_fb_vector golden = ert_file_model_golden(model->root);
  uint32_t buffers = ert_file_model_buffers(model->root).count;
  if (golden.count > ERT_MAX_GOLDEN) REFUSE("%u golden pairs; at most %d are possible", golden.count, ERT_MAX_GOLDEN);
  for (uint32_t g = 0; g < golden.count; g++) {
    ert_fb_table pair = ert_fb_table_at(golden, g);
    ert_fb_vector sides[2] = {ert_file_golden_inputs(pair), ert_file_golden_outputs(pair)};
    uint32_t needed[2] = {model->input_count, model->output_count};
    const uint32_t *tensors[2] = {model->inputs, model->outputs};
    for (int side = 0; side < 2; side++) {
      if (sides[side].count != needed[side]) REFUSE("golden pair %u does not have one buffer a model input and output", g);
      for (uint32_t i = 0; i < needed[side]; i++) {
        uint32_t b = ert_fb_u32_at(sides[side], i);
        size_t bytes = model->tensors[tensors[side][i]].bytes;
        if (b >= buffers ||
            ert_file_buffer_data(ert_fb_table_at(ert_file_model_buffers(model->root), b)).count != bytes)
          REFUSE("golden pair %u: buffer %u does not hold the %zu bytes of its tensor", g, b, bytes);
      }
    }
  }
  return ERT_OK;
}

/* Which packed constants belong to which operator; whether a kernel can use them is seen when it is chosen. */
static ert_status read_packed(ert_model *model, ert_error *error) {
  ert_fb_vector packed = ert_file_model_packed(model->root), targets = ert_file_model_targets(model->root);
  if (targets.count > ERT_MAX_TARGETS)
    REFUSE("the model is packed for %u targets; at most %d are possible", targets.count, ERT_MAX_TARGETS);
  for (uint32_t i = 0; i < targets.count; i++) {
    ert_fb_table target = ert_fb_table_at(targets, i);
    if (ert_file_target_name(target).count > ERT_MAX_TARGET_TEXT ||
        ert_file_target_architecture(target).count > ERT_MAX_TARGET_TEXT ||
        ert_file_target_instruction_sets(target).count > ERT_MAX_TARGET_TEXT)
      REFUSE("target %u has a name or instruction sets of over %d bytes", i, ERT_MAX_TARGET_TEXT);
  }
  uint32_t last_op = 0;
  for (uint32_t i = 0; i < packed.count; i++) {
    ert_fb_table file = ert_fb_table_at(packed, i);
    ert_fb_vector served = ert_file_packed_targets(file);
    uint32_t index = ert_file_packed_op(file);
    if (index >= model->op_count || index < last_op)
      REFUSE("packed weights %u belong to operator %u, after those of %u of %u", i, index, last_op, model->op_count);
    last_op = index;
    ert_model_op_entry *op = &model->ops[index];
    if (op->packed_count == 0) op->packed = i;
    if (++op->packed_count > ERT_MAX_TARGETS || served.count > ERT_MAX_TARGETS)
      REFUSE("operator %u '%s' has too many packed weights", index, op->name);
    for (uint32_t j = 0; j < served.count; j++)
      if (ert_fb_u32_at(served, j) >= targets.count)
        REFUSE("packed weights %u are for target %u of %u", i, ert_fb_u32_at(served, j), targets.count);
  }
  return ERT_OK;
}

static ert_status read_all(ert_model *model, uint8_t *written, ert_error *error) {
  ERT_TRY(read_strings(model, error));
  ert_fb_vector tensors = ert_file_model_tensors(model->root), ops = ert_file_model_ops(model->root);
  uint32_t activations = 0;
  size_t scales = 0;
  for (uint32_t i = 0; i < model->tensor_count; i++) {
    ert_fb_table file = ert_fb_table_at(tensors, i);
    ERT_TRY(read_tensor(model, file, i, &model->tensors[i], error));
    model->arena_offsets[i] = ert_file_tensor_arena_offset(file);
    activations += model->tensors[i].kind == ERT_TENSOR_KIND_ACTIVATION;
    scales += model->tensors[i].quant_count; /* many tensors may name one long list: keep the work linear */
    if (scales > model->bytes) REFUSE("the tensors name more scales than a file of %zu bytes holds", model->bytes);
  }
  if (activations > ERT_MAX_ACTIVATIONS)
    REFUSE("the model has %u activations; at most %d are possible", activations, ERT_MAX_ACTIVATIONS);
  for (uint32_t i = 0; i < model->input_count; i++) {
    uint32_t t = model->inputs[i];
    if (t >= model->tensor_count) REFUSE("input %u is tensor %u of %u", i, t, model->tensor_count);
    if (model->tensors[t].kind != ERT_TENSOR_KIND_ACTIVATION || written[t] != UNWRITTEN)
      REFUSE("input %u, tensor '%s', is no activation of its own", i, model->tensors[t].name);
    written[t] = WRITTEN;
  }
  for (uint32_t i = 0; i < model->op_count; i++)
    ERT_TRY(read_op(model, ert_fb_table_at(ops, i), i, written, &model->ops[i], error));
  ERT_TRY(count_expansions(model, error));
  for (uint32_t i = 0; i < model->output_count; i++) {
    uint32_t t = model->outputs[i];
    if (t >= model->tensor_count) REFUSE("output %u is tensor %u of %u", i, t, model->tensor_count);
    if (model->tensors[t].kind == ERT_TENSOR_KIND_ACTIVATION && written[t] == UNWRITTEN)
      REFUSE("output %u, tensor '%s', is written by no operator", i, model->tensors[t].name);
  }
  ERT_TRY(read_packed(model, error));
  ERT_TRY(read_metadata(model, error));
  return read_golden(model, error);
}

ert_status ert_validate(ert_model *model, ert_error *error) {
  ert_fb_vector inputs = ert_file_model_inputs(model->root), outputs = ert_file_model_outputs(model->root);
  model->tensor_count = ert_file_model_tensors(model->root).count;
  model->op_count = ert_file_model_ops(model->root).count;
  model->input_count = inputs.count;
  model->output_count = outputs.count;
  model->inputs = (const uint32_t *)(const void *)inputs.data;
  model->outputs = (const uint32_t *)(const void *)outputs.data;
  if (model->tensor_count == 0 || model->output_count == 0) REFUSE("the model has no tensors or no outputs");
  if (model->tensor_count > ERT_MAX_TENSORS || model->op_count > ERT_MAX_TENSORS)
    REFUSE("the model has %u tensors and %u operators; at most %d are possible", model->tensor_count, model->op_count,
           ERT_MAX_TENSORS);
  if (model->input_count > ERT_MAX_TENSORS || model->output_count > ERT_MAX_TENSORS)
    REFUSE("the model has %u inputs and %u outputs; at most %d are possible", model->input_count, model->output_count,
           ERT_MAX_TENSORS);
  model->tensors = calloc(model->tensor_count, sizeof *model->tensors);
  model->arena_offsets = calloc(model->tensor_count, sizeof *model->arena_offsets);
  model->ops = calloc(model->op_count + 1, sizeof *model->ops);
  uint8_t *written = calloc(model->tensor_count, 1);
  ert_status status = ERT_OUT_OF_MEMORY;
  if (model->tensors == NULL || model->arena_offsets == NULL || model->ops == NULL || written == NULL)
    ert_report(error, status, "no memory for the model's %u tensors", model->tensor_count);
  else
    status = read_all(model, written, error);
  free(written);
  return status;
}
