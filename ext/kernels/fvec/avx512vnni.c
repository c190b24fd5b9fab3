#include <immintrin.h>

#include "kernels/fvec/body.h"

#define ERT_VB 64
typedef __m512i ert_vb;

static inline ert_vb vb_load(const int8_t *p) { return _mm512_loadu_si512((const void *)p); }
static inline void vb_store(int8_t *p, ert_vb v) { _mm512_storeu_si512((void *)p, v); }
static inline ert_vb vb_zero(void) { return _mm512_setzero_si512(); }
static inline ert_vb vb_dup(int8_t value) { return _mm512_set1_epi8(value); }
static inline ert_vb vb_repeat16(const int8_t *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)p)); }
static inline ert_vb vb_xor(ert_vb a, ert_vb b) { return _mm512_xor_si512(a, b); }
static inline ert_vb vb_subtract_saturated(ert_vb a, ert_vb b) { return _mm512_subs_epi8(a, b); }
static inline ert_vb vb_shuffle(ert_vb table, ert_vb index) { return _mm512_shuffle_epi8(table, index); }
static inline ert_vb vb_sum8(ert_vb v) { return _mm512_sad_epu8(v, _mm512_setzero_si512()); }
static inline ert_vb vb_add64(ert_vb a, ert_vb b) { return _mm512_add_epi64(a, b); }

#include "kernels/fvec/bytes_x86.h"
#include "kernels/fvec/rows_avx512vnni.h"

ERT_FVEC_DEFINE(avx512vnni, ERT_ISA_AVX512VNNI);

#include "kernels/fvec/lut_vbmi.h"

ERT_FVEC_DEFINE_WITH(avx512vnni_vbmi, ERT_ISA_AVX512VNNI, ERT_ISA_VBMI, lut_i8_vbmi);
