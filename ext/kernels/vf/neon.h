/* Four floats; vf/scalar.h says what each function is. aarch64 fuses the multiply-add; armv7 has no fused one in the
 * NEON of a Cortex-A8 or A9, and flushes denormals. */
#ifndef ERT_KERNELS_VF_NEON_H
#define ERT_KERNELS_VF_NEON_H

#include <arm_neon.h>
#include <stddef.h>

#define ERT_VF 4
typedef float32x4_t ert_vf;

/* Makes the compiler load again from p what it has in a register: where many sums start from one bias, the load pipes
 * are idle and the vector pipes are not. */
#define VF_FORGET(p) __asm__("" : "+r"(p))

static inline ert_vf vf_load(const float *p) { return vld1q_f32(p); }
static inline ert_vf vf_dup(const float *p) { return vld1q_dup_f32(p); }
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
#else
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return vmlaq_f32(a, w, x); }
#endif

/* A multiply-add takes one lane of a register: a run of k is loaded at once, and so are the weights of two vectors or
 * four. Loads that step their pointer leave nothing to add; the assembly keeps GCC from splitting or merging them. */
#if defined(__aarch64__)
#define ERT_VF_LANES 4
#define ERT_VF_WEIGHTS 4 /* vectors that vf_load_weights loads */
typedef float32x4_t ert_vf_run;
static inline ert_vf_run vf_load_run(const float *p) { return vld1q_f32(p); }
static inline const float *vf_load_weights(const float *p, ert_vf w[ERT_VF_WEIGHTS]) {
  const float32x4x4_t loaded = vld1q_f32_x4(p);
  for (size_t i = 0; i < ERT_VF_WEIGHTS; i++) w[i] = loaded.val[i];
  p += ERT_VF_WEIGHTS * ERT_VF;
  VF_FORGET(p);
  return p;
}
#define vf_multiply_add_lane(a, w, run, lane) vfmaq_laneq_f32(a, w, run, lane)
#else
#define ERT_VF_LANES 2
#define ERT_VF_WEIGHTS 2
typedef float32x2_t ert_vf_run;
static inline ert_vf_run vf_load_run(const float *p) {
  float32x2_t pair = vld1_f32(p);
  __asm__("" : "+w"(pair)); /* GCC would split it into two loads of one float, and run out of registers */
  return pair;
}
static inline const float *vf_load_weights(const float *p, ert_vf w[ERT_VF_WEIGHTS]) {
  for (size_t i = 0; i < ERT_VF_WEIGHTS; i++) w[i] = vld1q_f32(p + i * ERT_VF);
  return p + ERT_VF_WEIGHTS * ERT_VF;
}
#define vf_multiply_add_lane(a, w, run, lane) vmlaq_lane_f32(a, w, run, lane)
#endif
/* VMAX and VMIN give NaN when either operand is. */
static inline ert_vf vf_clamp(ert_vf v, float lo, float hi) {
  return vminq_f32(vmaxq_f32(v, vdupq_n_f32(lo)), vdupq_n_f32(hi));
}

#endif
