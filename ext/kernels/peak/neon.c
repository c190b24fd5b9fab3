/* Products of bytes go to 16 bits, two are added there (they fit while no factor is -128) and then added in pairs to
 * 32 bits. Stages apart, so that a core that works in order waits for no result. */
#include <arm_neon.h>

#include "kernels/peak/loop.h"

typedef int32x4_t vec;
#define CLASS "w"

#if defined(__aarch64__)
enum { SUMS = 12 };
#define SMULL_LOW "smull %0.8h, %1.8b, %2.8b"
#define SMLAL_HIGH "smlal2 %0.8h, %1.16b, %2.16b"
#define SADALP "sadalp %0.4s, %1.8h"
#define FMLA(sum, x, w) __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum) : "w"(x), "w"(w))
#define NAMES_I8 "smull, smlal2, sadalp"
#define NAMES_F32 "fmla 4s"
#else
enum { SUMS = 6 };
#define SMULL_LOW "vmull.s8 %q0, %e1, %e2"
#define SMLAL_HIGH "vmlal.s8 %q0, %f1, %f2"
#define SADALP "vpadal.s16 %q0, %q1"
#define FMLA(sum, x, w) __asm__ volatile("vmla.f32 %q0, %q1, %q2" : "+w"(sum) : "w"(x), "w"(w))
#define NAMES_I8 "vmull.s8, vmlal.s8, vpadal.s16"
#define NAMES_F32 "vmla.f32"
#endif
#define EACH ERT_UNROLL for (int j = 0; j < SUMS; j++)

static void run_i8(size_t rounds) {
  int32x4_t sum[SUMS];
  int16x8_t product[SUMS];
  const int8x16_t x = vdupq_n_s8(ERT_PEAK_DATA), w = x;
  EACH sum[j] = vdupq_n_s32(0);
  for (size_t i = 0; i < rounds; i++) {
    EACH __asm__ volatile(SMULL_LOW : "=w"(product[j]) : "w"(x), "w"(w));
    EACH __asm__ volatile(SMLAL_HIGH : "+w"(product[j]) : "w"(x), "w"(w));
    EACH __asm__ volatile(SADALP : "+w"(sum[j]) : "w"(product[j]));
  }
  EACH __asm__ volatile("" : : "w"(sum[j]));
}

ERT_PEAK_LOOP(run_f32, 12, FMLA)

const ert_peak_kernel ert_peak_neon_i8 = {NAMES_I8, ERT_ISA_NEON, false, SUMS * 16, run_i8};
const ert_peak_kernel ert_peak_neon_f32 = {NAMES_F32, ERT_ISA_NEON, true, 12 * 4, run_f32};
