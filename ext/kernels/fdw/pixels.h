/* The body of every fdw kernel: one vector of channels for several neighbouring pixels at once.
 *
 * A kernel file includes the vector header of its instruction set (kernels/vf), then this, and ends in ERT_FDW_DEFINE.
 * `count` and `step` are constants wherever the inline functions are expanded. A pixel is one chain of multiply-adds
 * from the bias through the taps in order, in every path; neighbouring pixels are independent chains, which hides the
 * latency of the multiply-add.
 */
#ifndef ERT_KERNELS_FDW_PIXELS_H
#define ERT_KERNELS_FDW_PIXELS_H

#include "base/memory.h"
#include "kernels/fdw/fdw.h"
#include "base/inline.h"

enum {
  ERT_FDW_MAX_PIXELS = 8,
  ERT_FDW_CHUNK_FLOATS = 4 * 1024 /* of the input: stays in a first-level cache while all channels pass by */
};

/* One vector of channels: its packed weights, and where its first channel lies in a row and in the output. */
typedef struct ert_fdw_block {
  const float *weights;
  size_t channel;
} ert_fdw_block;

/* Pixels of a 3x3 kernel at once: with 9 weights they fill the registers, and hide the latency of the multiply-add. */
#if ERT_VF >= 16
#define ERT_FDW_3X3_PIXELS 8
#else
#define ERT_FDW_3X3_PIXELS 4
#endif

/* How many of the pixels [*p, end) come next: 8, 4, 2 or 1, at most `most`. A tile that would not be whole begins earlier,
 * if there are as many pixels from `begin` on, and computes some a second time: a smaller one, with fewer chains of
 * multiply-adds, takes as long. */
ERT_INLINE size_t ert_fdw_tile(size_t most, size_t begin, size_t end, size_t *p) {
  for (size_t count = most; count >= 4; count /= 2) {
    if (end - *p > count / 2 && end - begin >= count) {
      *p = ert_min_size(*p, end - count);
      return count;
    }
  }
  return ert_min_size(end - *p, 2);
}

ERT_INLINE void ert_fdw_store(const ert_fdw_args *args, size_t count, const ert_vf *acc, float *out) {
  ERT_UNROLL for (size_t p = 0; p < count; p++) {
    vf_store(out + p * args->channels, vf_clamp(acc[p], args->out_min, args->out_max));
  }
}

/* `count` pixels from `pixel` on, of a 3x3 kernel whose weights w stay in registers. step is pixel_stride / tap_stride,
 * 1 or 2: neighbouring pixels share columns, and each column is loaded once. */
ERT_INLINE void ert_fdw_3x3_pixels(const ert_fdw_args *args, size_t count, size_t step, size_t pixel,
                                   const float *const *rows, ert_fdw_block block, const ert_vf *w, float *out) {
  ert_vf acc[ERT_FDW_MAX_PIXELS];
  ERT_UNROLL for (size_t p = 0; p < count; p++) acc[p] = vf_load(block.weights);
  ERT_UNROLL for (size_t i = 0; i < 3; i++) {
    const float *x = rows[i] + pixel * args->pixel_stride + block.channel;
    ERT_UNROLL for (size_t column = 0; column < step * (count - 1) + 3; column++) {
      const ert_vf value = vf_hold(vf_load(x + column * args->tap_stride));
      ERT_UNROLL for (size_t p = 0; p < count; p++) {
        if (column >= step * p && column < step * p + 3) {
          acc[p] = vf_multiply_add(acc[p], w[i * 3 + column - step * p], value);
        }
      }
    }
  }
  ert_fdw_store(args, count, acc, out + pixel * args->channels + block.channel);
}

ERT_INLINE void ert_fdw_3x3_run(const ert_fdw_args *args, size_t step, size_t begin, size_t end,
                                const float *const *rows, ert_fdw_block block, float *out) {
  const float *const row[3] = {rows[0], rows[1], rows[2]};
  ert_vf w[9];
  ERT_UNROLL for (size_t t = 0; t < 9; t++) w[t] = vf_load(block.weights + (t + 1) * ERT_VF);
  for (size_t p = begin; p < end;) {
    switch (ert_fdw_tile(ERT_FDW_3X3_PIXELS, begin, end, &p)) {
#if ERT_FDW_3X3_PIXELS == 8
      case 8: ert_fdw_3x3_pixels(args, 8, step, p, row, block, w, out); p += 8; break;
#endif
      case 4: ert_fdw_3x3_pixels(args, 4, step, p, row, block, w, out); p += 4; break;
      case 2: ert_fdw_3x3_pixels(args, 2, step, p, row, block, w, out); p += 2; break;
      default: ert_fdw_3x3_pixels(args, 1, step, p, row, block, w, out); p += 1; break;
    }
  }
}

/* `count` pixels of any kernel and stride. */
ERT_INLINE void ert_fdw_any_pixels(const ert_fdw_args *args, size_t count, size_t pixel, const float *const *rows,
                                   ert_fdw_block block, float *out) {
  ert_vf acc[ERT_FDW_MAX_PIXELS];
  const float *w = block.weights;
  ERT_UNROLL for (size_t p = 0; p < count; p++) acc[p] = vf_load(w);
  for (size_t i = 0; i < args->kernel_h; i++) {
    const float *x = rows[i] + pixel * args->pixel_stride + block.channel;
    for (size_t j = 0; j < args->kernel_w; j++, x += args->tap_stride) {
      w += ERT_VF;
      const ert_vf weight = vf_load(w);
      ERT_UNROLL for (size_t p = 0; p < count; p++) {
        acc[p] = vf_multiply_add(acc[p], weight, vf_load(x + p * args->pixel_stride));
      }
    }
  }
  ert_fdw_store(args, count, acc, out + pixel * args->channels + block.channel);
}

ERT_INLINE void ert_fdw_any_run(const ert_fdw_args *args, size_t begin, size_t end, const float *const *rows,
                                ert_fdw_block block, float *out) {
  for (size_t p = begin; p < end;) {
    switch (ert_fdw_tile(8, begin, end, &p)) {
      case 8: ert_fdw_any_pixels(args, 8, p, rows, block, out); p += 8; break;
      case 4: ert_fdw_any_pixels(args, 4, p, rows, block, out); p += 4; break;
      case 2: ert_fdw_any_pixels(args, 2, p, rows, block, out); p += 2; break;
      default: ert_fdw_any_pixels(args, 1, p, rows, block, out); p += 1; break;
    }
  }
}

/* All channels of the pixels [begin, end). */
ERT_INLINE void ert_fdw_run(const ert_fdw_args *args, size_t begin, size_t end, const float *const *rows, float *out) {
  const size_t taps = args->kernel_h * args->kernel_w;
  const size_t block_floats = ert_round_up((taps + 1) * ERT_VF * sizeof(float), ERT_ALIGN) / sizeof(float);
  const int is_3x3 = args->kernel_h == 3 && args->kernel_w == 3;
  ert_fdw_block block = {args->weights, 0};
  for (size_t first = 0; first < args->channels; first += ERT_VF, block.weights += block_floats) {
    block.channel = ert_min_size(first, args->channels - ERT_VF);
    if (is_3x3 && args->pixel_stride == args->tap_stride) {
      ert_fdw_3x3_run(args, 1, begin, end, rows, block, out);
    } else if (is_3x3 && args->pixel_stride == 2 * args->tap_stride) {
      ert_fdw_3x3_run(args, 2, begin, end, rows, block, out);
    } else {
      ert_fdw_any_run(args, begin, end, rows, block, out);
    }
  }
}

/* Pixels whose input stays in a first-level cache while all channels pass by: a multiple of 8. A vector that is a line of
 * the cache shares none with the next one, and all pixels may pass by it. */
ERT_INLINE size_t ert_fdw_chunk_pixels(const ert_fdw_args *args) {
  if (ERT_VF * sizeof(float) >= ERT_ALIGN) return SIZE_MAX / 2;
  const size_t eights = ERT_FDW_CHUNK_FLOATS / 8 / (args->kernel_h * args->pixel_stride);
  return 8 * ert_max_size(eights, 1);
}

#define ERT_FDW_DEFINE(kernel_name, isa_id)                                                                      \
  static void run_##kernel_name(const ert_fdw_args *args, size_t pixels, const float *const *rows, float *out) { \
    const ert_fdw_args own = *args; /* a store of the output cannot change it: stays in registers */             \
    const size_t chunk = ert_fdw_chunk_pixels(&own);                                                             \
    for (size_t begin = 0; begin < pixels; begin += chunk) {                                                     \
      ert_fdw_run(&own, begin, ert_min_size(pixels, begin + chunk), rows, out);                                  \
    }                                                                                                            \
  }                                                                                                              \
  const ert_fdw_kernel ert_fdw_##kernel_name = {"fdw_" #kernel_name, isa_id, ERT_VF, run_##kernel_name}

#endif
