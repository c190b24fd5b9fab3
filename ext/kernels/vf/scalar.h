/* A vector of one float, for the scalar kernels of fgemm and fdw.
 *
 * What each header of this folder gives: the type ert_vf of ERT_VF floats and
 *   vf_load, vf_store, vf_dup   of pointers that need no alignment; vf_dup repeats the float it points at
 *   vf_hold(v)                  v, in a register: the compiler does not load it again for each use
 *   vf_store_part               the first `count` floats, 1 <= count < ERT_VF; touches no more
 *   vf_multiply_add(a, w, x)    a + w * x, fused where the instruction set has it
 *   vf_clamp                    min(max(v, lo), hi); NaN stays NaN
 * and where a multiply-add can take one lane of a register, ERT_VF_LANES, ERT_VF_WEIGHTS and what neon.h has with them.
 */
#ifndef ERT_KERNELS_VF_SCALAR_H
#define ERT_KERNELS_VF_SCALAR_H

#include <stddef.h>

#define ERT_VF 1
typedef float ert_vf;

static inline ert_vf vf_load(const float *p) { return *p; }
static inline ert_vf vf_dup(const float *p) { return *p; }
static inline ert_vf vf_hold(ert_vf v) { return v; }
static inline void vf_store(float *p, ert_vf v) { *p = v; }
static inline void vf_store_part(float *p, ert_vf v, size_t count) { (void)p, (void)v, (void)count; }
static inline ert_vf vf_multiply_add(ert_vf a, ert_vf w, ert_vf x) { return a + w * x; }
static inline ert_vf vf_clamp(ert_vf v, float lo, float hi) {
  v = lo > v ? lo : v;
  return hi < v ? hi : v;
}

#endif
