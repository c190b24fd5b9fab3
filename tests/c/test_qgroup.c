/* Every qgroup kernel that this processor can run gives the definition's bytes, and touches nothing beyond its operands. */
#include "check.h"
#include "kernels/qgroup/qgroup.h"

enum { MAX_CHANNELS = 64, MAX_TAPS = 25, MAX_GROUP = 16, MAX_X = 1 << 17, MAX_OUT = 1 << 14, MAX_WEIGHTS = 1 << 16 };

static check_memory x_memory, out_memory, weights_memory;
static int8_t weights[MAX_CHANNELS * MAX_TAPS * MAX_GROUP];
static int cases;

static void compare(const ert_qgroup_kernel *kernel, size_t channels, size_t group, size_t kernel_h, size_t kernel_w, size_t pixels,
                    size_t stride, size_t dilation) {
  check_begin("%s channels=%zu group=%zu window=%zux%zu pixels=%zu stride=%zu dilation=%zu", kernel->name, channels, group, kernel_h,
              kernel_w, pixels, stride, dilation);
  const size_t taps = kernel_h * kernel_w, span = ((pixels - 1) * stride + (kernel_w - 1) * dilation + 1) * channels;
  const bool at_end = check_between(0, 3) != 0;
  const size_t step = span + (size_t)check_between(0, 9);
  uint8_t *x = check_place(x_memory, (kernel_h - 1) * step + span, at_end);
  check_fill_i8((int8_t *)x, (kernel_h - 1) * step + span);
  const uint8_t *rows[5];
  for (size_t i = 0; i < kernel_h; i++) rows[i] = x + (kernel_h - 1 - i) * step;
  check_fill_i8(weights, channels * taps * group);
  int32_t bias[MAX_CHANNELS];
  float multiplier[MAX_CHANNELS];
  const int32_t zero_x = check_random_zero();
  ert_qgroup_args args = {.channels = channels, .group = group, .kernel_h = kernel_h, .kernel_w = kernel_w,
                          .tap_stride = dilation * channels, .pixel_stride = stride * channels,
                          .weights = weights_memory.data, .out_zero = check_random_zero()};
  const bool extreme = check_between(0, 7) == 0;
  for (size_t c = 0; c < channels; c++) {
    bias[c] = extreme ? (int32_t)(check_random() >> 32) : check_between(-5000, 5000);
    multiplier[c] = check_random_multiplier(extreme ? 2e7f : 40.0f * (float)(taps * group));
    args.wide = args.wide || multiplier[c] >= 1.0f;
  }
  check_random_clamp(&args.out_min, &args.out_max);
  if (ert_qgroup_packed_bytes(channels, group, taps) > weights_memory.bytes) check_fail("weights need more memory");
  const bool has_bias = check_between(0, 3) != 0;
  ert_qgroup_pack(channels, group, taps, weights, has_bias ? bias : NULL, multiplier, zero_x, weights_memory.data);
  check_paint(out_memory);
  int8_t *out = check_place(out_memory, pixels * channels, at_end);
  kernel->run(&args, pixels, rows, out);
  check_painted_around(out_memory, (const uint8_t *)out, pixels * channels);
  for (size_t at = 0; at < pixels * channels; at++) {
    const size_t p = at / channels, c = at % channels;
    uint32_t acc = has_bias ? (uint32_t)bias[c] : 0;
    for (size_t t = 0; t < taps; t++) {
      const uint8_t *tap = rows[t / kernel_w] + (p * stride + t % kernel_w * dilation) * channels + c / group * group;
      for (size_t g = 0; g < group; g++) acc += (uint32_t)((tap[g] - 128 - zero_x) * weights[(c * taps + t) * group + g]);
    }
    const int want = check_requant((int32_t)acc, multiplier[c], args.out_zero, args.out_min, args.out_max);
    if (out[at] != want) check_fail("pixel %zu, channel %zu is %d, needed %d", p, c, out[at], want);
  }
  cases++;
}

static void test_kernel(const ert_qgroup_kernel *kernel) {
  for (size_t group = 4; group <= MAX_GROUP; group *= 2) {
    for (size_t channels = 16; channels <= MAX_CHANNELS; channels += 16) {
      for (size_t pixels = 1; pixels <= 9; pixels++) {
        for (size_t stride = 1; stride <= 2; stride++) compare(kernel, channels, group, 3, 3, pixels, stride, 1);
        compare(kernel, channels, group, (size_t)check_between(1, 5), (size_t)check_between(1, 5), pixels, (size_t)check_between(1, 3),
                (size_t)check_between(1, 2));
      }
    }
  }
}

static void test_select(void) {
  check_begin("select");
  const ert_isa_set scalar = 1u << ERT_ISA_SCALAR, all = ert_isa_detect();
  if (ert_qgroup_select(scalar, 32, 4) != NULL) check_fail("a kernel outside of the set");
  const size_t refused[][2] = {{24, 4}, {32, 2}, {64, 32}, {40, 8}};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    if (ert_qgroup_select(all, refused[i][0], refused[i][1]) != NULL) check_fail("%zu channels by %zu", refused[i][0], refused[i][1]);
  }
}

int main(void) {
  check_start();
  x_memory = check_map(MAX_X);
  out_memory = check_map(MAX_OUT);
  weights_memory = check_map(MAX_WEIGHTS);
  size_t count;
  const ert_qgroup_kernel *const *kernels = ert_qgroup_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    if (!ert_isa_has(ert_isa_detect(), kernels[i]->isa)) {
      printf("test_qgroup: %s skipped: this processor lacks %s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa));
      continue;
    }
    test_kernel(kernels[i]);
  }
  test_select();
  printf("test_qgroup: %d cases passed\n", cases);
  return 0;
}
