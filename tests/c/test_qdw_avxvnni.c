/* The qdw kernels for AVX-VNNI on processors that have AVX512-VNNI: the same source, compiled here a second time with
 * the other encoding of the dot product instructions. On a processor with AVX-VNNI test_qdw runs the real ones. */
#define CHECK_NO_MAIN
#include "test_qdw.c"

#if defined(ERT_ARCH_X86_64)
#include "evex_twin_begin.h"
#define ert_qdw_avxvnni_32_3x3_int8 twin_avxvnni_32_3x3_int8
#include "kernels/qdw/avxvnni.c"
#include "evex_twin_end.h"

int main(void) {
  if (!ert_isa_has(ert_isa_detect(), ERT_ISA_AVX512VNNI)) {
    printf("test_qdw_avxvnni: skipped: this processor lacks avx512vnni\n");
    return 0;
  }
  set_up();
  size_t count;
  const ert_qdw_kernel *const *kernels = ert_qdw_kernels(&count);
  test_kernel(kernels[0], &twin_avxvnni_32_3x3_int8);
  printf("test_qdw_avxvnni: %d cases passed\n", cases);
  return 0;
}

#else
int main(void) {
  (void)set_up;
  (void)test_kernel;
  printf("test_qdw_avxvnni: skipped: not an x86-64 processor\n");
  return 0;
}
#endif
