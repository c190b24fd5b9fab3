/* Every fdw kernel that this processor can run equals the definition within rounding, gives the same bits wherever in a
 * run of pixels an output lies, hands NaN on, and touches nothing beyond its operands. */
#include "check.h"

#include <float.h>
#include <math.h>

#include "kernels/fdw/fdw.h"

enum { MAX_KERNEL = 7, MAX_CHANNELS = 80, MAX_PIXELS = 20, MAX_X = 1 << 18, MAX_OUT = 1 << 14, MAX_WEIGHTS = 1 << 14 };

static check_memory x_memory, out_memory, weights_memory;
static float raw_weights[MAX_KERNEL * MAX_KERNEL * MAX_CHANNELS], bias[MAX_CHANNELS];
static int cases;

typedef struct sizes {
  size_t channels, kernel_h, kernel_w, pixels, stride, dilation;
} sizes;

static size_t random_size(size_t most) { return (size_t)check_between(1, (int32_t)most); }
static float random_float(void) { return (float)check_between(-1000000, 1000000) * 1e-6f; }

static void fill(float *p, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = random_float();
}

/* Input rows back to back in any order, so that the last touches the end (or the first the begin) of the memory. */
static float *place_rows(const float **rows, sizes s, size_t *row_floats) {
  *row_floats = ((s.pixels - 1) * s.stride + (s.kernel_w - 1) * s.dilation + 1) * s.channels;
  float *x = check_place(x_memory, s.kernel_h * *row_floats * sizeof(float), check_between(0, 3) != 0);
  fill(x, s.kernel_h * *row_floats);
  const size_t turn = check_random() % s.kernel_h;
  for (size_t i = 0; i < s.kernel_h; i++) rows[i] = x + (i + turn) % s.kernel_h * *row_floats;
  return x;
}

static const float *run(const ert_fdw_kernel *kernel, sizes s, const float *const *rows, ert_fdw_args args,
                        bool with_bias) {
  const size_t taps = s.kernel_h * s.kernel_w, packed_bytes = ert_fdw_packed_bytes(kernel, s.channels, taps);
  float *packed = check_place(weights_memory, packed_bytes, true);
  if ((uintptr_t)packed % 64 != 0) check_fail("%zu bytes of packed weights are no multiple of 64", packed_bytes);
  ert_fdw_pack(kernel, s.channels, taps, raw_weights, with_bias ? bias : NULL, packed);
  args.weights = packed;
  const size_t out_bytes = s.pixels * s.channels * sizeof(float);
  check_paint(out_memory);
  float *out = check_place(out_memory, out_bytes, check_between(0, 3) != 0);
  kernel->run(&args, s.pixels, rows, out);
  check_painted_around(out_memory, (const uint8_t *)out, out_bytes);
  cases++;
  return out;
}

static ert_fdw_args args_of(sizes s, float lo, float hi) {
  return (ert_fdw_args){s.channels, s.kernel_h, s.kernel_w, s.dilation * s.channels, s.stride * s.channels, NULL, lo, hi};
}

static void compare(const ert_fdw_kernel *kernel, sizes s) {
  const float *rows[MAX_KERNEL];
  size_t row_floats;
  check_begin("%s channels=%zu kernel=%zux%zu pixels=%zu stride=%zu dilation=%zu", kernel->name, s.channels, s.kernel_h,
              s.kernel_w, s.pixels, s.stride, s.dilation);
  const size_t taps = s.kernel_h * s.kernel_w;
  place_rows(rows, s, &row_floats);
  fill(raw_weights, taps * s.channels);
  fill(bias, s.channels);
  const bool clamped = check_between(0, 3) == 0, with_bias = check_between(0, 3) != 0;
  const ert_fdw_args args = args_of(s, clamped ? -0.25f : -INFINITY, clamped ? 0.5f : INFINITY);
  const float *out = run(kernel, s, rows, args, with_bias);
  for (size_t p = 0; p < s.pixels; p++) {
    for (size_t c = 0; c < s.channels; c++) {
      double sum = with_bias ? bias[c] : 0.0, magnitude = fabs(sum);
      for (size_t t = 0; t < taps; t++) {
        const size_t column = p * s.stride + t % s.kernel_w * s.dilation;
        const double product = (double)rows[t / s.kernel_w][column * s.channels + c] * raw_weights[t * s.channels + c];
        sum += product;
        magnitude += fabs(product);
      }
      const double want = fmin(fmax(sum, args.out_min), args.out_max), got = out[p * s.channels + c];
      const double allowed = (double)(taps + 1) * FLT_EPSILON / 2 * magnitude * 1.01;
      if (!(fabs(got - want) <= allowed)) check_fail("pixel %zu, channel %zu is %.9g, needed %.9g", p, c, got, want);
    }
  }
}

/* Equal pixels and channels: every output has the bits of a run of one pixel. */
static void test_position(const ert_fdw_kernel *kernel, sizes s) {
  const float *rows[MAX_KERNEL];
  size_t row_floats;
  const size_t taps = s.kernel_h * s.kernel_w;
  check_begin("%s one value at all positions, kernel=%zux%zu stride=%zu", kernel->name, s.kernel_h, s.kernel_w, s.stride);
  for (s.pixels = 1; s.pixels <= MAX_PIXELS; s.pixels++) {
    place_rows(rows, s, &row_floats);
    for (size_t i = 0; i < s.kernel_h; i++) {
      for (size_t at = 0; at < row_floats; at++) ((float *)rows[i])[at] = 0.1f + 0.3f * (float)i;
    }
    for (size_t t = 0; t < taps; t++) {
      for (size_t c = 0; c < s.channels; c++) raw_weights[t * s.channels + c] = 0.7f - 0.13f * (float)t;
    }
    for (size_t c = 0; c < s.channels; c++) bias[c] = 0.01f;
    const float *out = run(kernel, s, rows, args_of(s, -INFINITY, INFINITY), true);
    for (size_t i = 1; i < s.pixels * s.channels; i++) {
      if (memcmp(out, out + i, sizeof *out) != 0) {
        check_fail("%zu pixels: pixel %zu, channel %zu differs from others", s.pixels, i / s.channels, i % s.channels);
      }
    }
  }
}

/* NaN in one column reaches the pixels over it, in its channel, and no others. */
static void test_not_finite(const ert_fdw_kernel *kernel, sizes s) {
  const float *rows[MAX_KERNEL];
  size_t row_floats;
  check_begin("%s NaN, kernel=%zux%zu stride=%zu", kernel->name, s.kernel_h, s.kernel_w, s.stride);
  place_rows(rows, s, &row_floats);
  fill(raw_weights, s.kernel_h * s.kernel_w * s.channels);
  for (size_t at = 0; at < row_floats; at++) {
    float *const bad = (float *)rows[at % s.kernel_h] + at;
    const float was = *bad;
    *bad = NAN;
    const float *out = run(kernel, s, rows, args_of(s, 0.0f, 6.0f), true);
    for (size_t p = 0; p < s.pixels; p++) {
      for (size_t c = 0; c < s.channels; c++) {
        const size_t column = at / s.channels, first = p * s.stride;
        const bool touched = c == at % s.channels && column >= first && column < first + s.kernel_w;
        const float got = out[p * s.channels + c];
        if (touched != (got != got)) check_fail("pixel %zu, channel %zu is %g", p, c, (double)got);
      }
    }
    *bad = was;
  }
}

static void test_kernel(const ert_fdw_kernel *kernel) {
  const size_t nr = kernel->nr, max_channels = 2 * nr + 1;
  for (size_t channels = nr; channels <= max_channels; channels++) {
    for (size_t pixels = 1; pixels <= MAX_PIXELS; pixels++) {
      compare(kernel, (sizes){channels, 3, 3, pixels, random_size(3), 1});
      compare(kernel, (sizes){channels, random_size(MAX_KERNEL), random_size(MAX_KERNEL), pixels, random_size(3), random_size(3)});
    }
  }
  for (int i = 0; i < 60; i++) {
    const size_t channels = (size_t)check_between((int32_t)nr, MAX_CHANNELS);
    compare(kernel, (sizes){channels, 3, 3, random_size(MAX_PIXELS), random_size(4), random_size(2)});
  }
  for (size_t stride = 1; stride <= 3; stride++) {
    test_position(kernel, (sizes){max_channels, 3, 3, 0, stride, 1});
    test_position(kernel, (sizes){max_channels, 5, 2, 0, stride, 1});
    test_not_finite(kernel, (sizes){nr + 1, 3, 3, 7, stride, 1});
    test_not_finite(kernel, (sizes){nr + 1, 2, 5, 7, stride, 1});
  }
  if (ert_fdw_packed_bytes(kernel, SIZE_MAX / 2, 9) != 0) check_fail("a size that overflows was given as bytes");
}

static void test_select(void) {
  const ert_isa_set isa = ert_isa_detect();
  for (ert_isa cap = ERT_ISA_SCALAR; cap < ERT_ISA_COUNT; cap++) {
    for (size_t channels = 1; channels < 40; channels++) {
      const ert_fdw_kernel *kernel = ert_fdw_select(ert_isa_up_to(isa, cap), channels);
      check_begin("select below %s, channels=%zu", ert_isa_name(cap), channels);
      if (!ert_isa_has(ert_isa_up_to(isa, cap), kernel->isa)) check_fail("a kernel outside of the set");
      if (kernel->nr > channels) check_fail("%s needs %u channels", kernel->name, (unsigned)kernel->nr);
      cases++;
    }
  }
}

int main(void) {
  check_start();
  x_memory = check_map(MAX_X * sizeof(float));
  out_memory = check_map(MAX_OUT * sizeof(float));
  weights_memory = check_map(MAX_WEIGHTS * sizeof(float));
  size_t count;
  const ert_fdw_kernel *const *kernels = ert_fdw_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < count; i++) {
    if (!ert_isa_has(isa, kernels[i]->isa)) {
      printf("test_fdw: %s skipped: this processor lacks %s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa));
      continue;
    }
    test_kernel(kernels[i]);
  }
  test_select();
  printf("test_fdw: %d cases passed\n", cases);
  return 0;
}
