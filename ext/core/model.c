#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/internal.h"

#define ERT_MEMORY_ALIGN 16 /* of a file in memory: what malloc gives */

static ert_status open_bytes(ert_model *model, ert_model **out, ert_error *error) {
  ert_status status = ert_verify(model->data, model->bytes, error);
  if (status == ERT_OK) {
    model->root = ert_fb_root(model->data);
    status = ert_validate(model, error);
  }
  if (status != ERT_OK) {
    ert_model_close(model);
    return status;
  }
  *out = model;
  return ert_clear(error);
}

static ert_status map_file(const char *path, ert_model *model, ert_error *error) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return ert_report(error, ERT_IO_ERROR, "cannot open '%s': %s", path, strerror(errno));
  ert_status status = ERT_OK;
  struct stat info;
  if (fstat(file, &info) != 0) {
    status = ert_report(error, ERT_IO_ERROR, "cannot read '%s': %s", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = ert_report(error, ERT_IO_ERROR, "'%s' is not a regular file", path);
  } else if (info.st_size < 8) {
    status = ert_report(error, ERT_INVALID_FILE, "'%s' has %lld bytes: not an .ert file", path, (long long)info.st_size);
  } else {
    model->bytes = (size_t)info.st_size;
    model->map = mmap(NULL, model->bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (model->map == MAP_FAILED) {
      model->map = NULL;
      status = ert_report(error, ERT_IO_ERROR, "cannot map '%s': %s", path, strerror(errno));
    }
  }
  close(file);
  model->data = model->map;
  return status;
}

ert_status ert_model_open_file(const char *path, ert_model **out, ert_error *error) {
  *out = NULL;
  ert_model *model = calloc(1, sizeof *model);
  if (model == NULL) return ert_report(error, ERT_OUT_OF_MEMORY, "no memory to open '%s'", path);
  ert_status status = map_file(path, model, error);
  if (status != ERT_OK) {
    ert_model_close(model);
    return status;
  }
  return open_bytes(model, out, error);
}

ert_status ert_model_open_memory(const void *data, size_t bytes, ert_model **out, ert_error *error) {
  *out = NULL;
  if (data == NULL || bytes < 8)
    return ert_report(error, ERT_INVALID_FILE, "%zu bytes of memory hold no .ert file", bytes);
  ert_model *model = calloc(1, sizeof *model);
  if (model == NULL) return ert_report(error, ERT_OUT_OF_MEMORY, "no memory to open a model");
  model->data = data;
  model->bytes = bytes;
  if ((uintptr_t)data % ERT_MEMORY_ALIGN != 0) {
    model->copy = ert_aligned_alloc(bytes);
    if (model->copy == NULL) {
      ert_model_close(model);
      return ert_report(error, ERT_OUT_OF_MEMORY, "no memory to copy %zu bytes", bytes);
    }
    memcpy(model->copy, data, bytes);
    model->data = model->copy;
  }
  return open_bytes(model, out, error);
}

void ert_model_close(ert_model *model) {
  if (model == NULL) return;
  if (model->map != NULL) munmap(model->map, model->bytes);
  ert_aligned_free(model->copy);
  free(model->tensors);
  free(model->arena_offsets);
  free(model->ops);
  free(model);
}

uint32_t ert_model_input_count(const ert_model *model) { return model->input_count; }
uint32_t ert_model_output_count(const ert_model *model) { return model->output_count; }
uint32_t ert_model_tensor_count(const ert_model *model) { return model->tensor_count; }
uint32_t ert_model_op_count(const ert_model *model) { return model->op_count; }
uint32_t ert_model_input(const ert_model *model, uint32_t i) {
  return i < model->input_count ? model->inputs[i] : UINT32_MAX;
}
uint32_t ert_model_output(const ert_model *model, uint32_t i) {
  return i < model->output_count ? model->outputs[i] : UINT32_MAX;
}

ert_status ert_model_op(const ert_model *model, uint32_t index, ert_op_info *info) {
  if (index >= model->op_count) return ERT_INVALID_ARGUMENT;
  const ert_model_op_entry *op = &model->ops[index];
  *info = (ert_op_info){op->def->name, op->name, op->in_count, op->out_count, op->in, op->out};
  return ERT_OK;
}

uint32_t ert_model_golden_count(const ert_model *model) { return ert_file_model_golden(model->root).count; }

/* validate.c has seen that every run has a buffer for each input and output, of its bytes. */
static const void *golden_data(const ert_model *model, uint32_t run, bool outputs, uint32_t i, size_t *bytes) {
  ert_fb_vector runs = ert_file_model_golden(model->root);
  if (run >= runs.count) return NULL;
  ert_fb_table pair = ert_fb_table_at(runs, run);
  ert_fb_vector side = outputs ? ert_file_golden_outputs(pair) : ert_file_golden_inputs(pair);
  if (i >= side.count) return NULL;
  ert_fb_table buffer = ert_fb_table_at(ert_file_model_buffers(model->root), ert_fb_u32_at(side, i));
  ert_fb_vector data = ert_file_buffer_data(buffer);
  if (bytes != NULL) *bytes = data.count;
  return data.data;
}

const void *ert_model_golden_input(const ert_model *model, uint32_t run, uint32_t i, size_t *bytes) {
  return golden_data(model, run, false, i, bytes);
}

const void *ert_model_golden_output(const ert_model *model, uint32_t run, uint32_t i, size_t *bytes) {
  return golden_data(model, run, true, i, bytes);
}

uint32_t ert_model_target_count(const ert_model *model) { return ert_file_model_targets(model->root).count; }

ert_status ert_model_target(const ert_model *model, uint32_t index, ert_target_info *info) {
  if (index >= ert_model_target_count(model)) return ERT_INVALID_ARGUMENT;
  ert_fb_table target = ert_fb_table_at(ert_file_model_targets(model->root), index);
  *info = (ert_target_info){.name = ert_fb_str(ert_file_target_name(target)),
                            .architecture = ert_fb_str(ert_file_target_architecture(target)),
                            .instruction_sets = ert_fb_str(ert_file_target_instruction_sets(target))};
  ert_fb_vector packed = ert_file_model_packed(model->root);
  for (uint32_t i = 0; i < packed.count; i++) {
    ert_fb_table file = ert_fb_table_at(packed, i);
    ert_fb_vector served = ert_file_packed_targets(file);
    bool serves = false;
    for (uint32_t j = 0; j < served.count; j++) serves = serves || ert_fb_u32_at(served, j) == index;
    if (!serves) continue;
    info->ops++;
    info->bytes += ert_file_packed_data(file).count;
  }
  return ERT_OK;
}

static const char *string_or_null(ert_fb_vector v) { return v.data ? (const char *)v.data : NULL; }

const char *ert_model_metadata(const ert_model *model, const char *key) {
  ert_fb_table m = ert_file_model_metadata(model->root);
  if (strcmp(key, "name") == 0) return string_or_null(ert_file_metadata_name(m));
  if (strcmp(key, "description") == 0) return string_or_null(ert_file_metadata_description(m));
  if (strcmp(key, "licence") == 0) return string_or_null(ert_file_metadata_licence(m));
  if (strcmp(key, "toolchain") == 0) return string_or_null(ert_file_metadata_toolchain(m));
  if (strcmp(key, "source_sha256") == 0) return string_or_null(ert_file_metadata_source_sha256(m));
  if (strcmp(key, "calibration_sha256") == 0) return string_or_null(ert_file_metadata_calibration_sha256(m));
  ert_fb_vector entries = ert_file_metadata_entries(m);
  for (uint32_t i = 0; i < entries.count; i++) {
    ert_fb_table entry = ert_fb_table_at(entries, i);
    if (strcmp(key, ert_fb_str(ert_file_key_value_key(entry))) == 0)
      return ert_fb_str(ert_file_key_value_value(entry));
  }
  return NULL;
}

uint32_t ert_model_entry_count(const ert_model *model) {
  return ert_file_metadata_entries(ert_file_model_metadata(model->root)).count;
}

const char *ert_model_entry_key(const ert_model *model, uint32_t i) {
  ert_fb_vector entries = ert_file_metadata_entries(ert_file_model_metadata(model->root));
  return i < entries.count ? ert_fb_str(ert_file_key_value_key(ert_fb_table_at(entries, i))) : NULL;
}

uint32_t ert_model_label_count(const ert_model *model) {
  return ert_file_metadata_labels(ert_file_model_metadata(model->root)).count;
}

const char *ert_model_label(const ert_model *model, uint32_t i) {
  ert_fb_vector labels = ert_file_metadata_labels(ert_file_model_metadata(model->root));
  return i < labels.count ? ert_fb_str(ert_fb_string_at(labels, i)) : NULL;
}

void ert_model_normalisation(const ert_model *model, const float **mean, const float **std, uint32_t *count) {
  ert_fb_table m = ert_file_model_metadata(model->root);
  ert_fb_vector means = ert_file_metadata_input_mean(m);
  *mean = (const float *)(const void *)means.data;
  *std = (const float *)(const void *)ert_file_metadata_input_std(m).data;
  *count = means.count;
}
