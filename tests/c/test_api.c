/* The public C API with nothing but its header: the usage that edgert.h describes, every error it documents, and what
 * a program may rely on afterwards. */
#include "edgert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tiny_package.h"

static int cases;

#define EXPECT(condition)                                                         \
  do {                                                                            \
    if (!(condition)) {                                                           \
      fprintf(stderr, "test_api: line %d: %s is not so\n", __LINE__, #condition); \
      exit(1);                                                                    \
    }                                                                             \
    cases++;                                                                      \
  } while (0)

/* A failure has this status and a message with this text in it. */
#define EXPECT_FAILURE(call, expected, text) \
  do {                                       \
    error.message[0] = 0;                    \
    EXPECT((call) == (expected));            \
    EXPECT(strstr(error.message, text));     \
  } while (0)

static const float X[6] = {-1, 2, -3, 4, -5, 6}, RECTIFIED[6] = {0, 2, 0, 4, 0, 6}, START[6] = {1, 2, 3, 4, 5, 6};

static ert_model *open_tiny(void) {
  ert_error error;
  ert_model *model = NULL;
  EXPECT(ert_model_open_memory(tiny_package, sizeof tiny_package, &model, &error) == ERT_OK);
  EXPECT(model != NULL && error.message[0] == 0);
  return model;
}

static ert_tensor_info tensor(const ert_session *session, uint32_t index) {
  ert_tensor_info info;
  EXPECT(ert_session_tensor(session, index, &info) == ERT_OK);
  return info;
}

static bool holds(const ert_session *session, uint32_t index, const float *values) {
  ert_tensor_info info = tensor(session, index);
  return info.bytes == 6 * sizeof *values && memcmp(info.data, values, info.bytes) == 0;
}

/* The example of edgert.h, with a file. */
static void run_file(void) {
  char path[] = "/tmp/edgert-api-XXXXXX";
  const int descriptor = mkstemp(path);
  EXPECT(descriptor >= 0);
  EXPECT(write(descriptor, tiny_package, sizeof tiny_package) == (ssize_t)sizeof tiny_package);
  close(descriptor);

  ert_error error;
  ert_model *model = NULL;
  ert_session *session = NULL;
  ert_tensor_info in, out;
  bool reached_end = false;
  if (ert_model_open_file(path, &model, &error) != ERT_OK) goto failed;
  if (ert_session_create(model, NULL, &session, &error) != ERT_OK) goto failed;
  ert_session_tensor(session, ert_model_input(model, 0), &in);
  ert_session_tensor(session, ert_model_output(model, 0), &out);
  memcpy(in.data, X, in.bytes);
  if (ert_session_invoke(session, &error) != ERT_OK) goto failed;
  reached_end = memcmp(out.data, RECTIFIED, out.bytes) == 0;

failed:
  unlink(path);
  if (error.message[0]) fprintf(stderr, "%s\n", error.message);
  ert_session_destroy(session);
  ert_model_close(model);
  EXPECT(reached_end);
}

static void refuse_files(void) {
  ert_error error;
  ert_model *model = (ert_model *)&error; /* must become NULL */
  EXPECT_FAILURE(ert_model_open_file("/nonexistent/model.ert", &model, &error), ERT_IO_ERROR, "/nonexistent/model.ert");
  EXPECT(model == NULL);
  EXPECT_FAILURE(ert_model_open_file("/", &model, &error), ERT_IO_ERROR, "regular");
  EXPECT_FAILURE(ert_model_open_memory(NULL, 0, &model, &error), ERT_INVALID_FILE, "0 bytes");
  EXPECT_FAILURE(ert_model_open_memory("TFL3TFL3TFL3TFL3", 16, &model, &error), ERT_INVALID_FILE, "ERT1");
  for (size_t bytes = 8; bytes < sizeof tiny_package; bytes++) {
    uint8_t *part = malloc(bytes); /* of that size, so that ASan sees a read beyond it */
    EXPECT(part != NULL);
    memcpy(part, tiny_package, bytes);
    EXPECT_FAILURE(ert_model_open_memory(part, bytes, &model, &error), ERT_INVALID_FILE, "cut short");
    EXPECT(model == NULL);
    EXPECT(ert_model_open_memory(part, bytes, &model, NULL) == ERT_INVALID_FILE); /* no message wanted */
    free(part);
  }
}

static void open_at_any_address(void) {
  uint8_t *room = malloc(sizeof tiny_package + 16);
  EXPECT(room != NULL);
  for (size_t shift = 0; shift < 16; shift++) {
    memcpy(room + shift, tiny_package, sizeof tiny_package);
    ert_model *model;
    ert_session *session;
    EXPECT(ert_model_open_memory(room + shift, sizeof tiny_package, &model, NULL) == ERT_OK);
    EXPECT(ert_session_create(model, NULL, &session, NULL) == ERT_OK);
    EXPECT(ert_session_invoke(session, NULL) == ERT_OK);
    EXPECT(holds(session, ert_model_output(model, 1), START));
    ert_session_destroy(session);
    ert_model_close(model);
  }
  free(room);
}

static void describe(const ert_model *model) {
  EXPECT(ert_model_input_count(model) == 1 && ert_model_output_count(model) == 2);
  EXPECT(ert_model_tensor_count(model) == 4 && ert_model_op_count(model) == 3);
  EXPECT(ert_model_input(model, 1) == UINT32_MAX && ert_model_output(model, 2) == UINT32_MAX);
  ert_op_info op;
  EXPECT(ert_model_op(model, 3, &op) == ERT_INVALID_ARGUMENT);
  EXPECT(ert_model_op(model, 0, &op) == ERT_OK && strcmp(op.type, "unary") == 0 && strcmp(op.name, "rectify") == 0);
  EXPECT(op.input_count == 1 && op.output_count == 1 && op.inputs[0] == (int32_t)ert_model_input(model, 0));
  EXPECT(ert_model_op(model, 2, &op) == ERT_OK && op.input_count == 2 && op.output_count == 0);

  EXPECT(strcmp(ert_model_metadata(model, "name"), "tiny") == 0);
  EXPECT(strcmp(ert_model_metadata(model, "accuracy"), "0.5") == 0);
  EXPECT(ert_model_metadata(model, "licence") == NULL && ert_model_metadata(model, "nonsense") == NULL);
  EXPECT(ert_model_entry_count(model) == 1 && strcmp(ert_model_entry_key(model, 0), "accuracy") == 0);
  EXPECT(ert_model_entry_key(model, 1) == NULL);
  EXPECT(ert_model_label_count(model) == 2 && strcmp(ert_model_label(model, 1), "on") == 0);
  EXPECT(ert_model_label(model, 2) == NULL);
  const float *mean, *deviation;
  uint32_t count;
  ert_model_normalisation(model, &mean, &deviation, &count);
  EXPECT(count == 1 && mean[0] == 1.5f && deviation[0] == 2.0f);
}

static void golden(const ert_model *model) {
  ert_error error;
  ert_session *session = NULL;
  size_t bytes[3] = {0, 0, 0};
  EXPECT(ert_model_golden_count(model) == 1);
  const void *given = ert_model_golden_input(model, 0, 0, &bytes[0]);
  const void *wanted = ert_model_golden_output(model, 0, 0, &bytes[1]);
  const void *before = ert_model_golden_output(model, 0, 1, &bytes[2]);
  for (int i = 0; i < 3; i++) EXPECT(bytes[i] == sizeof X);
  EXPECT(memcmp(given, X, sizeof X) == 0 && memcmp(before, START, sizeof START) == 0);
  EXPECT(ert_model_golden_input(model, 0, 0, NULL) == given);
  EXPECT(ert_model_golden_input(model, 0, 1, &bytes[0]) == NULL && ert_model_golden_input(model, 1, 0, NULL) == NULL);
  EXPECT(ert_model_golden_output(model, 0, 2, NULL) == NULL && ert_model_golden_output(model, 1, 0, NULL) == NULL);
  EXPECT(ert_model_golden_output(model, UINT32_MAX, UINT32_MAX, NULL) == NULL);

  EXPECT(ert_session_create(model, NULL, &session, &error) == ERT_OK);
  memcpy(tensor(session, ert_model_input(model, 0)).data, given, sizeof X);
  EXPECT(ert_session_invoke(session, &error) == ERT_OK);
  EXPECT(memcmp(tensor(session, ert_model_output(model, 0)).data, wanted, sizeof X) == 0);
  ert_session_destroy(session);
}

static void step_and_remember(const ert_model *model) {
  ert_error error;
  ert_session *session = NULL;
  EXPECT(ert_session_create(model, &(ert_session_options){.threads = 2}, &session, &error) == ERT_OK);
  const uint32_t x = ert_model_input(model, 0), y = ert_model_output(model, 0), before = ert_model_output(model, 1);
  ert_tensor_info info = tensor(session, x);
  EXPECT(info.rank == 2 && info.dims[0] == 2 && info.dims[1] == 3 && info.bytes == sizeof X);
  EXPECT(info.dtype == ERT_FLOAT32 && info.kind == ERT_ACTIVATION && info.quant_count == 0);
  EXPECT(strcmp(info.name, "x") == 0 && (uintptr_t)info.data % 64 == 0);
  EXPECT(ert_session_tensor(session, 4, &info) == ERT_INVALID_ARGUMENT);
  EXPECT(ert_session_tensor(session, UINT32_MAX, &info) == ERT_INVALID_ARGUMENT);

  memcpy(tensor(session, x).data, X, sizeof X);
  for (int round = 0; round < 2; round++) {
    uint32_t op = 99;
    for (uint32_t i = 0; i < 3; i++) EXPECT(ert_session_step(session, &op, &error) == ERT_OK && op == i);
    EXPECT(ert_session_step(session, NULL, &error) == ERT_END && error.message[0] == 0);
    EXPECT(holds(session, y, RECTIFIED) && holds(session, before, round == 0 ? START : RECTIFIED));
  }
  uint32_t first = 99, count = 99; /* nothing here can run together */
  EXPECT(ert_session_step_group(session, &first, &count, &error) == ERT_OK && first == 0 && count == 1);
  EXPECT(ert_session_step_group(session, NULL, NULL, NULL) == ERT_OK);
  EXPECT(ert_session_group(session, 1, &first) == 1 && first == 1 && ert_session_group(session, 1, NULL) == 1);
  ert_session_rewind(session);
  ert_session_reset_variables(session);
  EXPECT(ert_session_step(session, NULL, NULL) == ERT_OK);
  ert_session_rewind(session);
  uint32_t op = 99;
  EXPECT(ert_session_step(session, &op, NULL) == ERT_OK && op == 0);
  EXPECT(ert_session_invoke(session, &error) == ERT_OK); /* from the first operator, wherever stepping was */
  EXPECT(holds(session, before, START));

  EXPECT(ert_session_arena_bytes(session) >= 3 * sizeof X);
  EXPECT(ert_session_total_bytes(session) > ert_session_arena_bytes(session));
  EXPECT(ert_session_kernel(session, 0)[0] != 0 && ert_session_kernel(session, 99)[0] == 0);
  ert_session_destroy(session);
}

/* The variable fixes the shape: every other one is refused, and the session goes on as if nothing had happened. */
static void refuse_shapes(const ert_model *model) {
  ert_error error;
  ert_session *session = NULL;
  EXPECT(ert_session_create(model, NULL, &session, &error) == ERT_OK);
  const uint32_t x = ert_model_input(model, 0);
  memcpy(tensor(session, x).data, X, sizeof X);
  EXPECT(ert_session_invoke(session, &error) == ERT_OK);
  const void *address = tensor(session, x).data;
  const int32_t larger[] = {3, 3}, zero[] = {0, 3}, negative[] = {-2, 3}, same[] = {2, 3};
  const int32_t huge[] = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}, big[] = {1 << 14, 1 << 14};
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 2, larger, &error), ERT_INVALID_MODEL, "remember");
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 2, zero, &error), ERT_INVALID_ARGUMENT, "'x'");
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 2, negative, &error), ERT_INVALID_ARGUMENT, "'x'");
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 4, huge, &error), ERT_INVALID_ARGUMENT, "'x'");
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 9, huge, &error), ERT_INVALID_ARGUMENT, "at most 8");
  EXPECT_FAILURE(ert_session_resize_input(session, 1, 2, same, &error), ERT_INVALID_ARGUMENT, "no input 1");
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 2, NULL, &error), ERT_INVALID_ARGUMENT, "none is given");
  EXPECT_FAILURE(ert_session_resize_input(session, 0, 0, NULL, &error), ERT_INVALID_MODEL, "remember"); /* a scalar */
  EXPECT(ert_session_resize_input(session, 0, 2, big, NULL) != ERT_OK);
  EXPECT(tensor(session, x).data == address && holds(session, x, X));
  EXPECT(ert_session_invoke(session, &error) == ERT_OK && holds(session, ert_model_output(model, 1), RECTIFIED));

  for (int i = 0; i < 3; i++) { /* variables keep their values */
    EXPECT(ert_session_resize_input(session, 0, 2, same, &error) == ERT_OK && error.message[0] == 0);
    memcpy(tensor(session, x).data, X, sizeof X);
    EXPECT(ert_session_invoke(session, &error) == ERT_OK && holds(session, ert_model_output(model, 1), RECTIFIED));
  }
  ert_session_destroy(session);
}

/* Each step of binding meets the memory limit once. */
static void meet_every_limit(const ert_model *model) {
  ert_error error;
  ert_session *session = NULL;
  size_t least = 0;
  for (size_t bytes = 1; least == 0 && bytes < 1 << 20; bytes += 4) {
    const ert_status status =
        ert_session_create(model, &(ert_session_options){.memory_limit = bytes}, &session, &error);
    EXPECT(status == ERT_OK || (status == ERT_OUT_OF_MEMORY && session == NULL && error.message[0] != 0));
    if (status == ERT_OK) least = bytes;
  }
  EXPECT(least != 0 && ert_session_peak_bytes(session) <= least);
  ert_session_destroy(session);
}

static void limit(const ert_model *model) {
  ert_error error;
  ert_session *session = NULL;
  EXPECT_FAILURE(ert_session_create(model, &(ert_session_options){.threads = -1}, &session, &error),
                 ERT_INVALID_ARGUMENT, "-1 threads");
  EXPECT_FAILURE(ert_session_create(model, &(ert_session_options){.threads = 100000}, &session, &error),
                 ERT_INVALID_ARGUMENT, "100000 threads");
  EXPECT_FAILURE(ert_session_create(model, &(ert_session_options){.isa_max = "z80"}, &session, &error),
                 ERT_INVALID_ARGUMENT, "z80");
  EXPECT_FAILURE(ert_session_create(model, &(ert_session_options){.fusion = (ert_fusion)3}, &session, &error),
                 ERT_INVALID_ARGUMENT, "fusion is 3");
  meet_every_limit(model);

  for (uint32_t i = 0; ert_cpu_isa(i) != NULL; i++) {
    EXPECT(ert_session_create(model, &(ert_session_options){.isa_max = ert_cpu_isa(i)}, &session, &error) == ERT_OK);
    EXPECT(strcmp(ert_session_isa(session), ert_cpu_isa(i)) == 0);
    memcpy(tensor(session, ert_model_input(model, 0)).data, X, sizeof X);
    EXPECT(ert_session_invoke(session, &error) == ERT_OK && holds(session, ert_model_output(model, 0), RECTIFIED));
    ert_session_destroy(session);
  }
  EXPECT(strcmp(ert_cpu_isa(0), "scalar") == 0);
  EXPECT(ert_session_create(model, &(ert_session_options){.keep_all_tensors = true}, &session, &error) == ERT_OK);
  EXPECT(ert_session_invoke(session, &error) == ERT_OK);
  ert_session_destroy(session);
}

/* Weights of four bits: expanded when a session is made, and given back when they are packed. */
static void expand(void) {
  enum { UNPACK, DEQUANTIZE, MULTIPLY };
  static const float x[3] = {2, 4, 6}, wanted[2] = {6, 27}, weights[6] = {0.5f, -1, 1.5f, -2, 2.5f, 3.5f};
  ert_error error;
  ert_model *model = NULL;
  EXPECT(ert_model_open_memory(small_package, sizeof small_package, &model, &error) == ERT_OK);
  ert_op_info multiply, dequantize;
  EXPECT(ert_model_op(model, MULTIPLY, &multiply) == ERT_OK && ert_model_op(model, DEQUANTIZE, &dequantize) == ERT_OK);
  EXPECT(multiply.inputs[1] == dequantize.outputs[0]);
  const uint32_t made = (uint32_t)dequantize.outputs[0], unpacked = (uint32_t)dequantize.inputs[0];
  for (int keep = 0; keep < 2; keep++) {
    const ert_session_options options = {.keep_all_tensors = keep, .threads = 2};
    ert_session *session = NULL;
    EXPECT(ert_session_create(model, &options, &session, &error) == ERT_OK);
    ert_expansion first, second;
    EXPECT(ert_session_expansion(session, UNPACK, &first) && ert_session_expansion(session, DEQUANTIZE, &second));
    EXPECT(first.bytes == 6 && second.bytes == sizeof weights);
    EXPECT(first.kept_bytes == (keep ? 6 : 0) && second.kept_bytes == (keep ? sizeof weights : 0));
    EXPECT(!ert_session_expansion(session, MULTIPLY, &first) && !ert_session_expansion(session, 3, NULL));
    EXPECT(ert_session_expansion(session, UNPACK, NULL));
    EXPECT(ert_session_peak_bytes(session) >= ert_session_total_bytes(session));

    const ert_tensor_info info = tensor(session, made);
    EXPECT(info.kind == ERT_CONSTANT && tensor(session, unpacked).kind == ERT_CONSTANT);
    EXPECT(keep ? memcmp(info.data, weights, sizeof weights) == 0 : info.data == NULL);
    EXPECT((tensor(session, unpacked).data != NULL) == (keep != 0));

    memcpy(tensor(session, ert_model_input(model, 0)).data, x, sizeof x);
    uint32_t op = 0, count = 0;
    for (int run = 0; run < 2; run++) { /* they are no steps, whoever steps */
      EXPECT(ert_session_step(session, &op, &error) == ERT_OK && op == MULTIPLY);
      EXPECT(ert_session_step(session, &op, &error) == ERT_END);
      EXPECT(ert_session_step_group(session, &op, &count, &error) == ERT_OK && op == MULTIPLY && count == 1);
      EXPECT(ert_session_step_group(session, &op, &count, &error) == ERT_END);
    }
    EXPECT(ert_session_invoke(session, &error) == ERT_OK);
    EXPECT(memcmp(tensor(session, ert_model_output(model, 0)).data, wanted, sizeof wanted) == 0);
    const int32_t rows[2] = {5, 3};
    EXPECT(ert_session_resize_input(session, 0, 2, rows, &error) == ERT_OK);
    memcpy((float *)tensor(session, ert_model_input(model, 0)).data + 4 * 3, x, sizeof x);
    EXPECT(ert_session_invoke(session, &error) == ERT_OK);
    EXPECT(memcmp((float *)tensor(session, ert_model_output(model, 0)).data + 4 * 2, wanted, sizeof wanted) == 0);
    ert_session_destroy(session);
  }
  meet_every_limit(model);
  ert_model_close(model);
}

static void names(void) {
  EXPECT(ert_version()[0] != 0);
  for (int status = ERT_OK; status <= ERT_END; status++) EXPECT(ert_status_name((ert_status)status)[0] != 0);
  EXPECT(strcmp(ert_status_name((ert_status)99), "unknown status") == 0);
  ert_session_destroy(NULL);
  ert_model_close(NULL);
}

int main(void) {
  names();
  run_file();
  refuse_files();
  open_at_any_address();
  ert_model *model = open_tiny();
  describe(model);
  golden(model);
  step_and_remember(model);
  refuse_shapes(model);
  limit(model);
  ert_model_close(model);
  expand();
  printf("test_api: %d cases passed\n", cases);
  return 0;
}
