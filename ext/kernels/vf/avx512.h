/* Sixteen floats, fused multiply-add; vf/scalar.h says what each function is. */
#ifndef ERT_KERNELS_VF_AVX512_H
#define ERT_KERNELS_VF_AVX512_H

#include <immintrin.h>
#include <stddef.h>

#define ERT_VF 16
typedef __m512 ert_vf;

static inline ert_vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline ert_vf vf_dup(const float *p) { return _mm512_set1_ps(*p); }
static inline ert_vf vf_hold(ert_vf v) {
#if defined(__GNUC__)
  __asm__("" : "+v"(v));
#endif
  return v;
}
static inline void vf_store(float *p, ert_vf v) { _mm512_storeu_ps(p, v); }
static inline void vf_store_part(float *p, ert_vf v, size_t count) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), v);
}
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return _mm512_fmadd_ps(w, x, a); }
/* VMAXPS and VMINPS give their second operand when either is NaN. */
static inline ert_vf vf_clamp(ert_vf v, float lo, float hi) {
  return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), v));
}

#endif
