/* Every kernel has a layout, and what other builds know of the ARM kernels (layouts.h) is what those say of themselves. */
#include "check.h"

#include "kernels/fdw/layouts.h"
#include "kernels/fgemm/layouts.h"
#include "kernels/qdw/layouts.h"
#include "kernels/qgemm/layouts.h"

static int cases;

static void compare(const char *name, const char *known_name, ert_isa isa, ert_isa known_isa, uint64_t layout,
                    uint64_t known_layout) {
  check_begin("%s", name);
  if (strcmp(name, known_name) != 0 || isa != known_isa) check_fail("is known as %s", known_name);
  if (layout != known_layout) check_fail("packs otherwise than is known");
  cases++;
}

/* The lists of this build and of the set, of one family; selection looks at some more fields than packing. */
#define COMPARE(family, set, same_choice)                                                                  \
  do {                                                                                                     \
    size_t count, known_count;                                                                             \
    const ert_##family##_kernel *const *own = ert_##family##_kernels(&count);                              \
    const ert_##family##_kernel *const *known = ert_##family##_known(set, &known_count);                   \
    if (count != known_count) check_fail(#family ": %zu kernels, %zu are known", count, known_count);      \
    for (size_t i = 0; i < count; i++) {                                                                   \
      const ert_##family##_kernel *a = own[i], *b = known[i];                                              \
      compare(a->name, b->name, a->isa, b->isa, ert_##family##_layout(a), ert_##family##_layout(b));       \
      if (!(same_choice)) check_fail("is chosen otherwise than is known");                                 \
    }                                                                                                      \
  } while (0)

#define CHECK_ALL(family, set)                                                     \
  do {                                                                             \
    size_t count;                                                                  \
    const ert_##family##_kernel *const *known = ert_##family##_known(set, &count); \
    for (size_t i = 0; i < count; i++, cases++) {                                  \
      check_begin("%s", known[i]->name);                                           \
      if (ert_##family##_layout(known[i]) == 0) check_fail("has no layout");       \
    }                                                                              \
  } while (0)

int main(void) {
  const ert_isa_set sets[] = {0, ERT_ISA_OF_AARCH64, ERT_ISA_OF_ARMV7};
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
    CHECK_ALL(qgemm, sets[i]);
    CHECK_ALL(qdw, sets[i]);
    CHECK_ALL(fgemm, sets[i]);
    CHECK_ALL(fdw, sets[i]);
  }
#if defined(ERT_ARCH_AARCH64)
  const ert_isa_set own_set = ERT_ISA_OF_AARCH64;
#elif defined(ERT_ARCH_ARMV7)
  const ert_isa_set own_set = ERT_ISA_OF_ARMV7;
#else
  const ert_isa_set own_set = 0;
#endif
  COMPARE(qgemm, own_set, a->nr == b->nr && a->least_m == b->least_m && a->least_k == b->least_k);
  COMPARE(qdw, own_set,
          a->kernel_h == b->kernel_h && a->kernel_w == b->kernel_w && a->int8_weights == b->int8_weights &&
              a->spare == b->spare);
  COMPARE(fgemm, own_set, a->nr == b->nr);
  COMPARE(fdw, own_set, a->nr == b->nr);
  printf("test_layouts: %d cases passed\n", cases);
  return 0;
}
