/* The reference that every other kernel must equal. */
#include "kernels/qgemm/layouts.h"
#include "kernels/qgemm/qgemm.h"
#include "requant/requant.h"

enum { NR = 4 };

static void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride) {
  const uint8_t *block = args->weights;
  for (size_t first = 0; first < args->n; first += NR) {
    const int32_t *bias = (const int32_t *)block;
    const float *multiplier = (const float *)(bias + NR);
    const int8_t *weights = (const int8_t *)(multiplier + NR);
    const size_t valid = args->n - first < NR ? args->n - first : NR;
    for (size_t i = 0; i < m; i++) {
      uint32_t acc[NR]; /* unsigned, for sums wrap */
      const uint32_t row_bias = args->row_bias != NULL ? (uint32_t)args->row_bias[i] : 0;
      for (int j = 0; j < NR; j++) acc[j] = (uint32_t)bias[j] + row_bias;
      const int8_t *w = weights;
      for (size_t t = 0; t < args->taps; t++) {
        const int8_t *x = rows[i] + args->tap_offset[t];
        for (size_t l = 0; l < args->k; l++, w += NR) {
          for (int j = 0; j < NR; j++) acc[j] += (uint32_t)(x[l] * w[j]);
        }
      }
      for (size_t j = 0; j < valid; j++) {
        out[i * out_stride + first + j] =
            ert_requant((int32_t)acc[j], multiplier[j], args->out_zero, args->out_min, args->out_max);
      }
    }
    const size_t used = NR * (sizeof *bias + sizeof *multiplier) + args->taps * args->k * NR;
    block += (used + 63) / 64 * 64;
  }
}

const ert_qgemm_kernel ert_qgemm_scalar_1x4 = {ERT_QGEMM_LAYOUT_scalar_1x4, .run = run};
