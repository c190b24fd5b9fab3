/* The qgemm kernels for AMX, on processors that lack it too: there their instructions are emulated (emulate_x86.h). */
#define CHECK_NO_MAIN
#include "emulate_x86.h"
#include "test_qgemm.c"

#if defined(ERT_ARCH_X86_64) && defined(__linux__)

/* Every k up to some steps of 64, where they are cut in parts of equal size; few other sizes, for emulation is slow. */
static void test_steps(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  for (size_t k = 1; k <= 200; k++) {
    compare(scalar, kernel, (sizes){random_size(40), random_size(2u * kernel->nr + 1), random_size(MAX_TAPS), k});
  }
}

static void test_rows_and_channels(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  for (size_t m = 1; m <= 130; m++) {
    compare(scalar, kernel, (sizes){m, random_size(2u * kernel->nr + 1), random_size(2), random_size(70)});
  }
  for (size_t n = 1; n <= 200; n++) {
    compare(scalar, kernel, (sizes){random_size(40), n, random_size(2), random_size(70)});
  }
}

/* So much k that the left side of all rows does not fit the first-level cache: rows are taken in chunks. */
static void test_chunks(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  for (int i = 0; i < 10; i++) {
    const size_t k = (size_t)check_between(400, 1500), m = (size_t)check_between(20, 130);
    compare(scalar, kernel, (sizes){m, random_size(2u * kernel->nr + 1), random_size(2), k});
  }
}

int main(void) {
  const ert_isa_set isa = ert_isa_detect();
  if (!ert_isa_has(isa, ERT_ISA_AVX512VNNI)) {
    printf("test_qgemm_amx: skipped: this processor lacks avx512vnni; 0 cases passed\n");
    return 0;
  }
  (void)test_kernel; /* its sizes are for kernels that run at speed */
  set_up();
  emulate_start();
  size_t count, tested = 0;
  const ert_qgemm_kernel *const *kernels = ert_qgemm_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    if (kernels[i]->isa != ERT_ISA_AMX) continue;
    test_steps(kernels[0], kernels[i]);
    test_rows_and_channels(kernels[0], kernels[i]);
    test_chunks(kernels[0], kernels[i]);
    tested++;
  }
  if (tested == 0) check_fail("no kernel for AMX");
  if ((emulate_count == 0) != ert_isa_has(isa, ERT_ISA_AMX)) check_fail("%llu emulated", (unsigned long long)emulate_count);
  printf("test_qgemm_amx: %d cases passed, %llu instructions emulated\n", cases, (unsigned long long)emulate_count);
  return 0;
}

#else
int main(void) {
  (void)set_up;
  (void)test_kernel;
  printf("test_qgemm_amx: skipped: not an x86-64 processor under Linux; 0 cases passed\n");
  return 0;
}
#endif
