#include <immintrin.h>

#include "kernels/fvec/body.h"

#define ERT_VB 16
typedef __m128i ert_vb;

static inline ert_vb vb_load(const int8_t *p) { return _mm_loadu_si128((const void *)p); }
static inline void vb_store(int8_t *p, ert_vb v) { _mm_storeu_si128((void *)p, v); }
static inline ert_vb vb_zero(void) { return _mm_setzero_si128(); }
static inline ert_vb vb_dup(int8_t value) { return _mm_set1_epi8(value); }
static inline ert_vb vb_repeat16(const int8_t *p) { return _mm_loadu_si128((const void *)p); }
static inline ert_vb vb_xor(ert_vb a, ert_vb b) { return _mm_xor_si128(a, b); }
static inline ert_vb vb_subtract_saturated(ert_vb a, ert_vb b) { return _mm_subs_epi8(a, b); }
static inline ert_vb vb_shuffle(ert_vb table, ert_vb index) { return _mm_shuffle_epi8(table, index); }
static inline ert_vb vb_sum8(ert_vb v) { return _mm_sad_epu8(v, _mm_setzero_si128()); }
static inline ert_vb vb_add64(ert_vb a, ert_vb b) { return _mm_add_epi64(a, b); }

#include "kernels/fvec/bytes_x86.h"
#include "kernels/fvec/rows_sse41.h"

ERT_FVEC_DEFINE(sse41, ERT_ISA_SSE41);
