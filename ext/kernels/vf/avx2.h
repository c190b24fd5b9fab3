/* Eight floats, fused multiply-add; vf/scalar.h says what each function is. */
#ifndef ERT_KERNELS_VF_AVX2_H
#define ERT_KERNELS_VF_AVX2_H

#include <immintrin.h>
#include <stddef.h>

#define ERT_VF 8
typedef __m256 ert_vf;

static inline ert_vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline ert_vf vf_dup(const float *p) { return _mm256_broadcast_ss(p); }
static inline ert_vf vf_hold(ert_vf v) {
#if defined(__GNUC__)
  __asm__("" : "+x"(v));
#endif
  return v;
}
static inline void vf_store(float *p, ert_vf v) { _mm256_storeu_ps(p, v); }
static inline void vf_store_part(float *p, ert_vf v, size_t count) { /* a masked store is slow on older AMD cores */
  __m128 rest = _mm256_castps256_ps128(v);
  if (count & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
  if (count & 2) {
    _mm_storel_pi((__m64 *)(void *)p, rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if (count & 1) _mm_store_ss(p, rest);
}
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return _mm256_fmadd_ps(w, x, a); }
/* VMAXPS and VMINPS give their second operand when either is NaN. */
static inline ert_vf vf_clamp(ert_vf v, float lo, float hi) {
  return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), v));
}

#endif
