/* Four floats; vf/scalar.h says what each function is. */
#ifndef ERT_KERNELS_VF_SSE41_H
#define ERT_KERNELS_VF_SSE41_H

#include <smmintrin.h>
#include <stddef.h>

#define ERT_VF 4
typedef __m128 ert_vf;

static inline ert_vf vf_load(const float *p) { return _mm_loadu_ps(p); }
static inline ert_vf vf_dup(const float *p) { return _mm_set1_ps(*p); }
static inline ert_vf vf_hold(ert_vf v) {
#if defined(__GNUC__)
  __asm__("" : "+x"(v));
#endif
  return v;
}
static inline void vf_store(float *p, ert_vf v) { _mm_storeu_ps(p, v); }
static inline void vf_store_part(float *p, ert_vf v, size_t count) {
  if (count & 2) {
    _mm_storel_pi((__m64 *)(void *)p, v);
    v = _mm_movehl_ps(v, v);
    p += 2;
  }
  if (count & 1) _mm_store_ss(p, v);
}
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return _mm_add_ps(a, _mm_mul_ps(w, x)); }
/* MAXPS and MINPS give their second operand when either is NaN. */
static inline ert_vf vf_clamp(ert_vf v, float lo, float hi) {
  return _mm_min_ps(_mm_set1_ps(hi), _mm_max_ps(_mm_set1_ps(lo), v));
}

#endif
