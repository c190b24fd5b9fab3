/* Four floats; vf/scalar.h says what each function is. aarch64 fuses the multiply-add; armv7 has no fused one in the
 * NEON of a Cortex-A8 or A9, and flushes denormals. */
#ifndef ERT_KERNELS_VF_NEON_H
#define ERT_KERNELS_VF_NEON_H

#include <arm_neon.h>
#include <stddef.h>

#define ERT_VF 4
#define ERT_VF_HAS_LANES 1
typedef float32x4_t ert_vf;
typedef float32x2_t ert_vf2;

static inline ert_vf vf_load(const float *p) { return vld1q_f32(p); }
static inline ert_vf vf_dup(const float *p) { return vld1q_dup_f32(p); }
static inline ert_vf2 vf2_load(const float *p) {
  float32x2_t pair = vld1_f32(p);
#if defined(__GNUC__)
  __asm__("" : "+w"(pair)); /* GCC would split it into two loads of one float, and run out of registers */
#endif
  return pair;
}
static inline ert_vf vf_hold(ert_vf v) {
#if defined(__GNUC__)
  __asm__("" : "+w"(v));
#endif
  return v;
}
static inline void vf_store(float *p, ert_vf v) { vst1q_f32(p, v); }
static inline void vf_store_part(float *p, ert_vf v, size_t count) {
  float32x2_t rest = vget_low_f32(v);
  if (count & 2) {
    vst1_f32(p, rest);
    rest = vget_high_f32(v);
    p += 2;
  }
  if (count & 1) vst1_lane_f32(p, rest, 0);
}
#if defined(__aarch64__)
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return vfmaq_f32(a, w, x); }
#define vf_multiply_add_lane0(a, w, pair) vfmaq_lane_f32(a, w, pair, 0)
#define vf_multiply_add_lane1(a, w, pair) vfmaq_lane_f32(a, w, pair, 1)
#else
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return vmlaq_f32(a, w, x); }
#define vf_multiply_add_lane0(a, w, pair) vmlaq_lane_f32(a, w, pair, 0)
#define vf_multiply_add_lane1(a, w, pair) vmlaq_lane_f32(a, w, pair, 1)
#endif
/* VMAX and VMIN give NaN when either operand is. */
static inline ert_vf vf_clamp(ert_vf v, float lo, float hi) {
  return vminq_f32(vmaxq_f32(v, vdupq_n_f32(lo)), vdupq_n_f32(hi));
}

#endif
