#include "ops/conv_window.h"

#include <string.h>

static ert_status init_axis(ert_prepare *p, const char *axis, int32_t size, size_t kernel, int32_t stride,
                            int32_t dilation, int32_t before, int32_t after, int32_t *out, size_t *span,
                            size_t *needed) {
  ERT_REQUIRE(p, stride >= 1 && dilation >= 1, "stride along %s is %d and dilation %d, needed at least 1", axis,
              (int)stride, (int)dilation);
  ERT_REQUIRE(p, before >= 0 && after >= 0, "padding along %s is %d and %d, needed at least 0", axis, (int)before,
              (int)after);
  /* All factors are below 2^31: nothing here overflows 64 bits. */
  const int64_t window = (int64_t)dilation * ((int64_t)kernel - 1) + 1;
  const int64_t padded = (int64_t)size + before + after;
  ERT_REQUIRE(p, window <= padded, "the window covers %lld along %s, needed at most the padded input's %lld",
              (long long)window, axis, (long long)padded);
  const int64_t positions = (padded - window) / stride + 1;
  ERT_REQUIRE(p, padded <= INT32_MAX, "the padded input has %lld along %s, needed at most %d", (long long)padded, axis,
              INT32_MAX);
  *out = (int32_t)positions;
  *span = (size_t)window;
  *needed = (size_t)((positions - 1) * stride + window);
  return ERT_OK;
}

ert_status ert_window_init(ert_prepare *p, const ert_tensor *x, size_t kernel_h, size_t kernel_w,
                           const ert_window_attrs *attrs, int32_t out_channels, ert_tensor *y, ert_window *window) {
  ERT_TRY(ert_check_rank(p, x, "input", 4));
  int32_t out_h = 0, out_w = 0;
  ERT_TRY(init_axis(p, "height", x->dims[1], kernel_h, attrs->stride_h, attrs->dilation_h, attrs->pad_top,
                    attrs->pad_bottom, &out_h, &window->span_h, &window->needed_h));
  ERT_TRY(init_axis(p, "width", x->dims[2], kernel_w, attrs->stride_w, attrs->dilation_w, attrs->pad_left,
                    attrs->pad_right, &out_w, &window->span_w, &window->needed_w));
  window->batch = (size_t)x->dims[0];
  window->in_h = (size_t)x->dims[1];
  window->in_w = (size_t)x->dims[2];
  window->channels = (size_t)x->dims[3];
  window->out_h = (size_t)out_h;
  window->out_w = (size_t)out_w;
  window->kernel_h = kernel_h;
  window->kernel_w = kernel_w;
  window->stride_h = (size_t)attrs->stride_h;
  window->stride_w = (size_t)attrs->stride_w;
  window->dilation_h = (size_t)attrs->dilation_h;
  window->dilation_w = (size_t)attrs->dilation_w;
  window->pad_top = (size_t)attrs->pad_top;
  window->pad_left = (size_t)attrs->pad_left;
  window->padded = window->pad_top != 0 || window->pad_left != 0 || window->needed_h > window->in_h ||
                   window->needed_w > window->in_w;
  return ert_prepare_shape(p, y, 4, (const int32_t[]){x->dims[0], out_h, out_w, out_channels});
}

size_t ert_window_padded_bytes(const ert_window *window, size_t element) {
  size_t bytes;
  if (!ert_mul(window->batch, window->needed_h, &bytes) || !ert_mul(bytes, window->needed_w, &bytes) ||
      !ert_mul(bytes, window->channels, &bytes) || !ert_mul(bytes, element, &bytes) || bytes > PTRDIFF_MAX)
    return 0;
  return bytes;
}

void ert_window_pad_row(const ert_window *window, size_t element, size_t y, int fill, const void *x, void *padded) {
  const size_t pixel = window->channels * element, row_bytes = window->needed_w * pixel;
  uint8_t *out = (uint8_t *)padded + y * row_bytes;
  const size_t image = y / window->needed_h, row = y % window->needed_h;
  if (row < window->pad_top || row - window->pad_top >= window->in_h || window->pad_left >= window->needed_w) {
    memset(out, fill, row_bytes);
    return;
  }
  const size_t left = window->pad_left * pixel;
  const size_t inside = ert_min_size(window->in_w, window->needed_w - window->pad_left) * pixel;
  const size_t in_row = image * window->in_h + row - window->pad_top;
  memset(out, fill, left);
  memcpy(out + left, (const uint8_t *)x + in_row * window->in_w * pixel, inside);
  memset(out + left + inside, fill, row_bytes - left - inside);
}
