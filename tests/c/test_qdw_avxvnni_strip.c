/* As test_qdw_avxvnni.c, for another file. */
#define CHECK_NO_MAIN
#include "test_qdw.c"

#if defined(ERT_ARCH_X86_64)
#include "evex_twin_begin.h"
#define ert_qdw_avxvnni_32_strip twin_avxvnni_32_strip
#define fill fill_strip
#include "kernels/qdw/avxvnni_strip.c"
#undef fill
#include "evex_twin_end.h"

int main(void) {
  if (!ert_isa_has(ert_isa_detect(), ERT_ISA_AVX512VNNI)) {
    printf("test_qdw_avxvnni_strip: skipped: this processor lacks avx512vnni\n");
    return 0;
  }
  set_up();
  size_t count;
  const ert_qdw_kernel *const *kernels = ert_qdw_kernels(&count);
  test_kernel(kernels[0], &twin_avxvnni_32_strip);
  printf("test_qdw_avxvnni_strip: %d cases passed\n", cases);
  return 0;
}

#else
int main(void) {
  (void)set_up;
  (void)test_kernel;
  printf("test_qdw_avxvnni_strip: skipped: not an x86-64 processor\n");
  return 0;
}
#endif
