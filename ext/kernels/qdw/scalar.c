/* The reference that every other kernel must equal. */
#include "kernels/qdw/layouts.h"
#include "requant/requant.h"

enum { NR = 4 };

static void run(const ert_qdw_args *args, size_t pixels, const int8_t *const *rows, int8_t *out) {
  const uint8_t *block = args->weights;
  for (size_t first = 0; first < args->channels; first += NR) {
    const int32_t *bias = (const int32_t *)block;
    const float *multiplier = (const float *)(bias + NR);
    const int16_t *weights = (const int16_t *)(multiplier + NR);
    const size_t valid = args->channels - first < NR ? args->channels - first : NR;
    for (size_t p = 0; p < pixels; p++) {
      uint32_t acc[NR]; /* unsigned, for sums wrap */
      for (int c = 0; c < NR; c++) acc[c] = (uint32_t)bias[c];
      const int16_t *w = weights;
      for (size_t i = 0; i < args->kernel_h; i++) {
        const int8_t *x = rows[i] + p * args->pixel_stride + first;
        for (size_t j = 0; j < args->kernel_w; j++, x += args->tap_stride, w += NR) {
          for (size_t c = 0; c < valid; c++) acc[c] += (uint32_t)(x[c] * w[c]);
        }
      }
      for (size_t c = 0; c < valid; c++) {
        out[p * args->channels + first + c] =
            ert_requant((int32_t)acc[c], multiplier[c], args->out_zero, args->out_min, args->out_max);
      }
    }
    const size_t taps = args->kernel_h * args->kernel_w;
    const size_t used = NR * (sizeof *bias + sizeof *multiplier + taps * sizeof *weights);
    block += (used + 63) / 64 * 64;
  }
}

const ert_qdw_kernel ert_qdw_scalar_4 = {ERT_QDW_LAYOUT_scalar_4, .run = run};
