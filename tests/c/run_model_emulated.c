/* run_model on a processor with AVX-VNNI and AMX, where need be emulated ones (emulate_x86.h): linked so that the core
 * asks here what there is. Prints how many instructions were emulated. */
#define main run_model
#include "run_model.c"
#undef main

#include "base/isa.h"
#include "emulate_x86.h"

#if defined(ERT_ARCH_X86_64) && defined(__linux__)
/* Names that the linker's option --wrap gives to the function and to what takes its place. */
ert_isa_set __real_ert_isa_detect(void);
ert_isa_set __wrap_ert_isa_detect(void);

ert_isa_set __wrap_ert_isa_detect(void) {
  ert_isa_set set = __real_ert_isa_detect();
  if (ert_isa_has(set, ERT_ISA_AVX2)) set |= 1u << ERT_ISA_AVXVNNI;
  if (ert_isa_has(set, ERT_ISA_AVX512VNNI)) set |= 1u << ERT_ISA_AMX;
  return set;
}

int main(int argc, char **argv) {
  emulate_start();
  const int result = run_model(argc, argv);
  printf("%llu instructions emulated\n", (unsigned long long)emulate_count);
  return result;
}
#else
int main(void) { return fail("run_model_emulated", "there is nothing to emulate on this processor"); }
#endif
