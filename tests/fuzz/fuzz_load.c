/* libFuzzer: open, verify, validate, plan and bind any bytes. Start it from real packages. */
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ert_model *model;
  ert_session *session;
  void *copy;
  fuzz_bind(data, bytes, &model, &session, &copy);
  fuzz_release(model, session, copy);
  return 0;
}
