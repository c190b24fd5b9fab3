/* libFuzzer: whatever binds must also run. Models of more multiplications than a fuzzer has time for are left out
 * by the memory limit of the harness. */
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ert_model *model;
  ert_session *session;
  void *copy;
  if (fuzz_bind(data, bytes, &model, &session, &copy) == ERT_OK) fuzz_invoke(model, session);
  fuzz_release(model, session, copy);
  return 0;
}
