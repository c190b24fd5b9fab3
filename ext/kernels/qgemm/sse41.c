#include <smmintrin.h>

#include "requant/requant_sse41.h"

enum { LANES = 4, VECTORS = 2, MAX_ROWS = 4 };
typedef __m128i vec;

static inline vec load(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline vec splat(int32_t x) { return _mm_set1_epi32(x); }
static inline vec add(vec a, vec b) { return _mm_add_epi32(a, b); }
static inline vec madd(vec a, vec b) { return _mm_madd_epi16(a, b); }
#define ADD_IN_PLACE "paddd %1, %0"
static inline vec widen_weights(const void *p) { return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)p)); }

typedef vec eight;
static inline void widen_8(eight *x, uint64_t bytes) { *x = _mm_cvtepi8_epi16(_mm_cvtsi64_si128((long long)bytes)); }
#define SPREAD(x, pair) _mm_shuffle_epi32(x, (pair) * 0x55)

#include "kernels/partial_x86.h"
#include "kernels/qgemm/x86_tiles.h"

typedef struct finish {
  ert_requant_sse41 rule;
  __m128 multiplier[2];
  int8_t *out;
  size_t out_stride, channels;
} finish;

ERT_INLINE finish make_finish(const ert_qgemm_tile *tile, int vectors) {
  const float *multiplier = (const float *)(const void *)(tile->block + vectors * (int)sizeof(vec));
  return (finish){ert_requant_sse41_init(tile->args->out_zero, tile->args->out_min, tile->args->out_max),
                  {_mm_loadu_ps(multiplier), _mm_loadu_ps(multiplier + 4)},
                  tile->out,
                  tile->out_stride,
                  tile->channels};
}

ERT_INLINE void store_tile(const finish *f, const vec *acc, int row_step, int rows, int vectors) {
  (void)vectors; /* 2 */
  int8_t *out = f->out;
  ERT_UNROLL for (int r = 0; r < rows; r++, out += f->out_stride) {
    const vec *row = acc + r * row_step;
    const __m128i q = ert_requant_sse41_x8(row[0], f->multiplier[0], row[1], f->multiplier[1], &f->rule);
    if (f->channels == 8) {
      _mm_storel_epi64((__m128i *)(void *)out, q);
    } else {
      ert_store_some(out, q, f->channels);
    }
  }
}

#include "kernels/qgemm/x86_madd.h"

TILE(1) TILE(2) TILE(3) TILE(4)

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  static const ert_qgemm_tile_fn tiles[] = {tile_1, tile_2, tile_3, tile_4};
  ert_qgemm_walk(args, m, rows, out, out_stride, tiles, 4, 4, NR, madd_block_bytes(args));
}

const ert_qgemm_kernel ert_qgemm_sse41_4x8 = {
    .name = "qgemm_sse41_4x8", .isa = ERT_ISA_SSE41, .mr = MAX_ROWS, .nr = NR, .kr = 2, .weight_bytes = 1, .run = run};
