/* Plain C, one product at a time. The assembly is empty: it hides from the compiler what a register holds. */
#include "base/inline.h"
#include "kernels/peak/peak.h"

#if defined(ERT_ARCH_X86_64)
#define FLOAT_REGISTER "+x"
#elif defined(ERT_ARCH_AARCH64)
#define FLOAT_REGISTER "+w"
#elif defined(ERT_ARCH_ARMV7)
#define FLOAT_REGISTER "+t"
#else
#define FLOAT_REGISTER "+r"
#endif

enum { SUMS = 6 };

#define LOOP(function, type, operand)                             \
  static void function(size_t rounds) {                           \
    type sum[SUMS] = {0}, x = (type)1.25, w = (type)1.25;         \
    for (size_t i = 0; i < rounds; i++) {                         \
      ERT_UNROLL for (int j = 0; j < SUMS; j++) {                 \
        __asm__ volatile("" : operand(x), operand(w));            \
        sum[j] += x * w;                                          \
        __asm__ volatile("" : operand(sum[j]));                   \
      }                                                           \
    }                                                             \
  }

LOOP(run_i8, uint32_t, "+r") /* the sums wrap */
LOOP(run_f32, float, FLOAT_REGISTER)

const ert_peak_kernel ert_peak_scalar_i8 = {"multiply, add", ERT_ISA_SCALAR, false, SUMS, run_i8};
const ert_peak_kernel ert_peak_scalar_f32 = {"multiply, add", ERT_ISA_SCALAR, true, SUMS, run_f32};
