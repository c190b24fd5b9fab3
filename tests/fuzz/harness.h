/* What every fuzz program does with bytes that may be a model. */
#ifndef ERT_TESTS_FUZZ_HARNESS_H
#define ERT_TESTS_FUZZ_HARNESS_H

#include <stdlib.h>
#include <string.h>

#include "edgert.h"

#define FUZZ_MEMORY_LIMIT ((size_t)16 << 20)

/* "tests.copy": reads all of its inputs and options, and writes all of its outputs. */
static inline ert_status fuzz_custom(void *user, const ert_custom_call *call, ert_error *error) {
  (void)user, (void)error;
  unsigned sum = (unsigned)strlen(call->options);
  for (uint32_t i = 0; i < call->input_count; i++)
    for (size_t b = 0; call->inputs[i].name != NULL && b < call->inputs[i].bytes; b++)
      sum += ((const uint8_t *)call->inputs[i].data)[b];
  for (uint32_t i = 0; i < call->output_count; i++) memset(call->outputs[i].data, (int)(sum & 255), call->outputs[i].bytes);
  return ERT_OK;
}

static const ert_custom_op fuzz_custom_ops[] = {{"tests.copy", NULL, fuzz_custom, NULL}};

/* Reads from the golden runs that a model brings. */
static inline void fuzz_golden(const ert_model *model) {
  volatile unsigned sum = 0; /* or the reads are left out */
  for (uint32_t run = 0; run < ert_model_golden_count(model); run++) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < ert_model_input_count(model); i++) {
      const uint8_t *data = ert_model_golden_input(model, run, i, &bytes);
      if (data == NULL || bytes == 0) abort();
      sum += data[0] + data[bytes - 1]; /* not all: many runs may name one long buffer */
    }
    for (uint32_t i = 0; i < ert_model_output_count(model); i++) {
      const uint8_t *data = ert_model_golden_output(model, run, i, &bytes);
      if (data == NULL || bytes == 0) abort();
      sum += data[0] + data[bytes - 1]; /* not all: many runs may name one long buffer */
    }
  }
}

/* Opens the bytes, in memory of exactly their size so that the sanitizer sees a read beyond them, and binds them.
 * Both handles are NULL when the model was refused; a refusal must come with a message. Free *copy afterwards. */
static inline ert_status fuzz_bind(const uint8_t *data, size_t bytes, ert_model **model, ert_session **session,
                                   void **copy) {
  ert_error error = {""};
  *session = NULL;
  if (posix_memalign(copy, 64, bytes ? bytes : 1) != 0) abort(); /* as a mapped file: packed weights are used in place */
  memcpy(*copy, data, bytes);
  ert_status status = ert_model_open_memory(*copy, bytes, model, &error);
  if (status == ERT_OK) {
    ert_session_options options = {.threads = 1, .memory_limit = FUZZ_MEMORY_LIMIT, .fusion = ERT_FUSION_ALL,
                                   .custom_ops = fuzz_custom_ops, .custom_op_count = 1};
    status = ert_session_create(*model, &options, session, &error);
  }
  if (status != ERT_OK && error.message[0] == 0) abort();
  if (status == ERT_OK) fuzz_golden(*model);
  return status;
}

static inline void fuzz_release(ert_model *model, ert_session *session, void *copy) {
  ert_session_destroy(session);
  ert_model_close(model);
  free(copy);
}

/* Fills the inputs with a fixed pattern and runs once. A run may fail only with a message. */
static inline void fuzz_invoke(ert_model *model, ert_session *session) {
  ert_error error = {""};
  for (uint32_t i = 0; i < ert_model_input_count(model); i++) {
    ert_tensor_info info;
    ert_session_tensor(session, ert_model_input(model, i), &info);
    for (size_t b = 0; b < info.bytes; b++) ((uint8_t *)info.data)[b] = (uint8_t)(b * 37 + 11);
  }
  if (ert_session_invoke(session, &error) != ERT_OK && error.message[0] == 0) abort();
}

#endif
