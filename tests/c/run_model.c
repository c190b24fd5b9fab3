/* Runs a package on many inputs through the C API alone, for comparing machines.
 *
 * usage: run_model MODEL.ert THREADS ISA|- INPUTS.bin OUTPUTS.bin
 *
 * Prints how many operators use weights that lie packed in the file. INPUTS.bin holds, for every run, the raw bytes of all inputs in model order; OUTPUTS.bin receives the raw bytes of
 * all outputs likewise. Exit status: 0 done, 2 an error, with one line on stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgert.h"

static int fail(const char *what, const char *detail) {
  fprintf(stderr, "run_model: %s: %s\n", what, detail);
  return 2;
}

int main(int argc, char **argv) {
  if (argc != 6) return fail("usage", "run_model MODEL.ert THREADS ISA|- INPUTS.bin OUTPUTS.bin");
  ert_error error;
  ert_model *model = NULL;
  ert_session *session = NULL;
  FILE *in = NULL, *out = NULL;
  int result = 2;
  ert_session_options options = {.threads = atoi(argv[2]), .isa_max = strcmp(argv[3], "-") == 0 ? NULL : argv[3]};
  if (ert_model_open_file(argv[1], &model, &error) != ERT_OK ||
      ert_session_create(model, &options, &session, &error) != ERT_OK) {
    fail(argv[1], error.message);
    goto cleanup;
  }
  uint32_t packed = 0;
  for (uint32_t i = 0; i < ert_model_op_count(model); i++) packed += ert_session_packed_in_file(session, i);
  printf("packed in the file: %u\n", packed);
  in = fopen(argv[4], "rb");
  out = fopen(argv[5], "wb");
  if (in == NULL || out == NULL) {
    fail("cannot open", in == NULL ? argv[4] : argv[5]);
    goto cleanup;
  }
  for (;;) {
    ert_tensor_info info;
    for (uint32_t i = 0; i < ert_model_input_count(model); i++) {
      ert_session_tensor(session, ert_model_input(model, i), &info);
      size_t got = fread(info.data, 1, info.bytes, in);
      if (i == 0 && got == 0 && feof(in)) {
        result = 0;
        goto cleanup;
      }
      if (got != info.bytes) {
        fail(argv[4], "the last run is cut short");
        goto cleanup;
      }
    }
    if (ert_session_invoke(session, &error) != ERT_OK) {
      fail("invoke", error.message);
      goto cleanup;
    }
    for (uint32_t i = 0; i < ert_model_output_count(model); i++) {
      ert_session_tensor(session, ert_model_output(model, i), &info);
      if (fwrite(info.data, 1, info.bytes, out) != info.bytes) {
        fail(argv[5], "cannot write");
        goto cleanup;
      }
    }
  }
cleanup:
  if (in != NULL) fclose(in);
  if (out != NULL && fclose(out) != 0) result = fail(argv[5], "cannot write");
  ert_session_destroy(session);
  ert_model_close(model);
  return result;
}
