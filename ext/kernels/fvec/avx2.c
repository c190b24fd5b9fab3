#include <immintrin.h>

#include "kernels/fvec/body.h"

#define ERT_VB 32
typedef __m256i ert_vb;

static inline ert_vb vb_load(const int8_t *p) { return _mm256_loadu_si256((const void *)p); }
static inline void vb_store(int8_t *p, ert_vb v) { _mm256_storeu_si256((void *)p, v); }
static inline ert_vb vb_zero(void) { return _mm256_setzero_si256(); }
static inline ert_vb vb_dup(int8_t value) { return _mm256_set1_epi8(value); }
static inline ert_vb vb_repeat16(const int8_t *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)p)); }
static inline ert_vb vb_xor(ert_vb a, ert_vb b) { return _mm256_xor_si256(a, b); }
static inline ert_vb vb_subtract_saturated(ert_vb a, ert_vb b) { return _mm256_subs_epi8(a, b); }
static inline ert_vb vb_shuffle(ert_vb table, ert_vb index) { return _mm256_shuffle_epi8(table, index); }
static inline ert_vb vb_sum8(ert_vb v) { return _mm256_sad_epu8(v, _mm256_setzero_si256()); }
static inline ert_vb vb_add64(ert_vb a, ert_vb b) { return _mm256_add_epi64(a, b); }

#include "kernels/fvec/bytes_x86.h"
#include "kernels/fvec/rows_sse41.h"

ERT_FVEC_DEFINE(avx2, ERT_ISA_AVX2);
