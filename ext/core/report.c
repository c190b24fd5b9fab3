#include <stdio.h>

#include "core/internal.h"

ert_status ert_report(ert_error *error, ert_status status, const char *format, ...) {
  if (error != NULL) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
  }
  return status;
}

ert_status ert_clear(ert_error *error) {
  if (error != NULL) error->message[0] = 0;
  return ERT_OK;
}

const char *ert_version(void) { return "0.1.0"; }

const char *ert_status_name(ert_status status) {
  static const char *const names[] = {"ok",          "io error",      "invalid file",     "invalid model", "unsupported",
                                      "out of memory", "invalid argument", "runtime error", "end"};
  return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown status";
}

const char *ert_cpu_isa(uint32_t i) {
  ert_isa_set set = ert_isa_detect();
  for (int isa = 0; isa < ERT_ISA_COUNT; isa++)
    if (ert_isa_has(set, (ert_isa)isa) && i-- == 0) return ert_isa_name((ert_isa)isa);
  return NULL;
}
