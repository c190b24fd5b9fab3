/* Names, caps and the order of instruction sets; what this processor has is printed. */
#include "check.h"

#include "base/isa.h"

int main(void) {
  int cases = 0;
  for (int i = 0; i < ERT_ISA_COUNT; i++, cases++) {
    ert_isa parsed = ERT_ISA_COUNT;
    const char *name = ert_isa_name((ert_isa)i);
    if (!ert_isa_parse(name, &parsed) || (int)parsed != i) check_fail("%s does not parse", name);
    const ert_isa_set up_to = ert_isa_up_to((1u << ERT_ISA_COUNT) - 1, (ert_isa)i);
    for (int j = 0; j < ERT_ISA_COUNT; j++) {
      if (ert_isa_has(up_to, (ert_isa)j) != (j <= i)) check_fail("up to %s: %s", name, ert_isa_name((ert_isa)j));
    }
  }
  ert_isa parsed;
  if (ert_isa_parse("avx3", &parsed) || ert_isa_parse("", &parsed)) check_fail("an unknown name parses");
  const ert_isa_set set = ert_isa_detect();
  if (!ert_isa_has(set, ERT_ISA_SCALAR)) check_fail("scalar is missing");
  printf("test_isa: this processor has");
  for (int i = 0; i < ERT_ISA_COUNT; i++) {
    if (ert_isa_has(set, (ert_isa)i)) printf(" %s", ert_isa_name((ert_isa)i));
  }
  printf("\ntest_isa: %d cases passed\n", cases);
  return 0;
}
