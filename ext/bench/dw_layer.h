/* Depthwise layers, over an input that holds the border. */
#ifndef ERT_BENCH_DW_LAYER_H
#define ERT_BENCH_DW_LAYER_H

#include <stddef.h>

typedef struct ert_dw_layer {
  const char *name;
  size_t channels, kernel_h, kernel_w, stride, out_h, out_w;
} ert_dw_layer;

enum { ERT_DW_KERNEL_MAX = 9 };

static inline size_t ert_dw_layer_taps(const ert_dw_layer *l) { return l->kernel_h * l->kernel_w; }

static inline double ert_dw_layer_macs(const ert_dw_layer *l) {
  return (double)(l->out_h * l->out_w * l->channels) * (double)ert_dw_layer_taps(l);
}

/* Elements of a row of the input. */
static inline size_t ert_dw_layer_row(const ert_dw_layer *l) {
  return ((l->out_w - 1) * l->stride + l->kernel_w) * l->channels;
}

#endif
