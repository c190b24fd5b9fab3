/* Every qgemm kernel that this processor can run equals the scalar one, and the scalar one equals the definition. */
#include "check.h"
#include "kernels/qgemm/qgemm.h"

enum { MAX_TAPS = 4, MAX_M = 130, MAX_X = 1 << 16, MAX_OUT = 1 << 16, MAX_WEIGHTS = 3 << 19, MAX_N = 256 };

static check_memory x_memory, out_memory, expected_memory, weights_memory, scalar_weights_memory;
static int8_t raw_weights[MAX_WEIGHTS];
static int cases;

typedef struct sizes {
  size_t m, n, taps, k;
} sizes;

typedef struct operands {
  const int8_t *rows[MAX_M];
  ptrdiff_t tap_offset[MAX_TAPS];
  int32_t bias[MAX_N], row_sum[MAX_M];
  float multiplier[MAX_N];
  int32_t zero_x, w_zero;
  ptrdiff_t row_step; /* 0: rows lie in any order */
} operands;

/* Rows and taps overlap and lie in any order; the last one touches the end (or the first one the begin) of the
 * readable memory. */
static void place_rows(operands *o, sizes s, bool lowest) {
  const size_t row_step = (size_t)check_between(0, 1) * (size_t)check_between(1, 40);
  const size_t tap_step = check_between(0, 3) == 0 ? (size_t)check_between(1, 100) : s.k;
  const size_t used = (s.m - 1) * row_step + (s.taps - 1) * tap_step + s.k;
  const bool at_end = check_between(0, 3) != 0;
  int8_t *x = check_place(x_memory, used, at_end);
  check_fill_i8(x, used);
  if (lowest) memset(x, -128, used);
  o->row_step = check_between(0, 1) ? (ptrdiff_t)row_step : 0;
  const size_t row_turn = o->row_step != 0 ? 0 : check_random() % s.m, tap_turn = check_random() % s.taps;
  for (size_t i = 0; i < s.m; i++) o->rows[i] = x + (i + row_turn) % s.m * row_step;
  for (size_t t = 0; t < s.taps; t++) o->tap_offset[t] = (ptrdiff_t)((t + tap_turn) % s.taps * tap_step);
}

static void fill(operands *o, sizes s) {
  const float magnitude = 40.0f * (float)(s.taps * s.k + 1);
  const bool lowest = check_between(0, 15) == 0; /* all -128: a sum of two products leaves int16 */
  place_rows(o, s, lowest);
  check_fill_i8(raw_weights, s.n * s.taps * s.k);
  if (lowest) memset(raw_weights, -128, s.n * s.taps * s.k);
  const bool as_trained = !lowest && check_between(0, 1); /* no -128: kernels may take another way then */
  for (size_t i = 0; as_trained && i < s.n * s.taps * s.k; i++) raw_weights[i] += raw_weights[i] == -128;
  const bool extreme = check_between(0, 7) == 0;
  for (size_t j = 0; j < s.n; j++) {
    o->bias[j] = extreme ? (int32_t)(check_random() >> 32) : check_between(-5000, 5000);
    o->multiplier[j] = check_random_multiplier(extreme ? 2e7f : magnitude);
  }
  o->zero_x = check_random_zero();
  o->w_zero = check_between(0, 1) ? check_random_zero() : 0;
  if (check_between(0, 1)) { /* most weights fit int8 without their zero point, as those of real models do */
    for (size_t i = 0; i < s.n * s.taps * s.k; i++) {
      const int32_t value = raw_weights[i] - o->w_zero, fitting = value < -128 ? -128 : value > 127 ? 127 : value;
      if (check_between(0, 400) != 0) raw_weights[i] = (int8_t)(fitting + o->w_zero);
    }
  }
  for (size_t i = 0; i < s.m; i++) {
    uint32_t sum = 0;
    for (size_t t = 0; t < s.taps; t++) {
      for (size_t l = 0; l < s.k; l++) sum += (uint32_t)(int32_t)o->rows[i][o->tap_offset[t] + (ptrdiff_t)l];
    }
    o->row_sum[i] = (int32_t)sum;
  }
}

/* The definition, with both zero points taken off first. */
static int8_t define(const operands *o, sizes s, const ert_qgemm_args *args, size_t i, size_t j) {
  uint32_t acc = (uint32_t)o->bias[j];
  for (size_t t = 0; t < s.taps; t++) {
    for (size_t l = 0; l < s.k; l++) {
      const int32_t x = o->rows[i][o->tap_offset[t] + (ptrdiff_t)l] - o->zero_x;
      acc += (uint32_t)(x * (raw_weights[(j * s.taps + t) * s.k + l] - o->w_zero));
    }
  }
  return check_requant((int32_t)acc, o->multiplier[j], args->out_zero, args->out_min, args->out_max);
}

static void run_kernel(const ert_qgemm_kernel *kernel, check_memory packed, check_memory into, sizes s,
                       const operands *o, ert_qgemm_args args, size_t out_bytes, size_t out_stride, bool at_end) {
  if (ert_qgemm_packed_bytes(kernel, s.n, s.taps, s.k) > packed.bytes) check_fail("weights need more memory");
  args.weights = packed.data;
  const int32_t w_zero = o->w_zero + kernel->w_offset;
  int32_t row_bias[MAX_M];
  for (size_t i = 0; i < s.m; i++) row_bias[i] = (int32_t)(0u - (uint32_t)w_zero * (uint32_t)o->row_sum[i]);
  ert_qgemm_pack(kernel, s.n, s.taps, s.k, raw_weights, o->bias, o->multiplier, o->zero_x, o->w_zero, packed.data);
  if (ert_qgemm_takes_row_bias(kernel, s.n, s.taps, s.k, o->w_zero, packed.data)) args.row_bias = row_bias;
  if (!ert_qgemm_check_packed(kernel, s.n, s.taps, s.k, packed.data)) check_fail("packed weights are not accepted");
  check_paint(into);
  int8_t *out = check_place(into, out_bytes, at_end);
  kernel->run(&args, s.m, o->rows, out, out_stride);
  check_painted_around(into, (const uint8_t *)out, out_bytes);
  for (size_t i = 0; i + 1 < s.m; i++) {
    for (size_t j = s.n; j < out_stride; j++) {
      if ((uint8_t)out[i * out_stride + j] != CHECK_FILL) check_fail("row %zu: wrote channel %zu of %zu", i, j, s.n);
    }
  }
}

static void compare(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel, sizes s) {
  static operands o;
  check_begin("%s m=%zu n=%zu taps=%zu k=%zu", kernel->name, s.m, s.n, s.taps, s.k);
  fill(&o, s);
  ert_qgemm_args args = {.n = s.n, .taps = s.taps, .k = s.k, .tap_offset = o.tap_offset};
  args.out_zero = check_random_zero();
  args.row_step = o.row_step;
  check_random_clamp(&args.out_min, &args.out_max);
  for (size_t j = 0; j < s.n; j++) args.wide = args.wide || o.multiplier[j] >= 1.0f;
  const size_t out_stride = s.n + (size_t)check_between(0, 1) * (size_t)check_between(0, 70);
  const size_t out_bytes = (s.m - 1) * out_stride + s.n;
  const bool at_end = check_between(0, 3) != 0;
  run_kernel(scalar, scalar_weights_memory, expected_memory, s, &o, args, out_bytes, out_stride, at_end);
  if (kernel != scalar) run_kernel(kernel, weights_memory, out_memory, s, &o, args, out_bytes, out_stride, at_end);
  const int8_t *expected = check_place(expected_memory, out_bytes, at_end);
  const int8_t *found = check_place(out_memory, out_bytes, at_end);
  for (size_t i = 0; i < s.m; i++) {
    for (size_t j = 0; j < s.n; j++) {
      const int want = kernel == scalar ? define(&o, s, &args, i, j) : expected[i * out_stride + j];
      const int got = kernel == scalar ? expected[i * out_stride + j] : found[i * out_stride + j];
      if (want != got) check_fail("row %zu, channel %zu is %d, needed %d", i, j, got, want);
    }
  }
  cases++;
}

static size_t random_size(size_t most) { return (size_t)check_between(1, (int32_t)most); }

static void test_kernel(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  const size_t max_m = 2u * kernel->mr + 1, max_n = 2u * kernel->nr + 1, max_k = 2u * kernel->kr * 8 + 1;
  for (size_t m = 1; m <= max_m; m++) {
    for (size_t n = 1; n <= max_n; n += 1 + (m > 2 && n + 3 < max_n ? check_random() % 3 : 0)) {
      compare(scalar, kernel, (sizes){m, n, random_size(3), random_size(24)});
    }
  }
  for (size_t k = 1; k <= max_k; k++) {
    for (int i = 0; i < 3; i++) {
      compare(scalar, kernel, (sizes){random_size(max_m), random_size(max_n), random_size(MAX_TAPS), k});
    }
  }
  for (size_t m = 1; m <= max_m; m++) { /* 3x3 over three channels, for which a kernel may have a way of its own */
    for (int i = 0; i < 8; i++) compare(scalar, kernel, (sizes){m, random_size(max_n), 3, 9});
  }
  for (int i = 0; i < 20; i++) {
    const size_t k = (size_t)check_between(200, 900);
    compare(scalar, kernel, (sizes){random_size(max_m), random_size(max_n), random_size(2), k});
  }
  for (int i = 0; i < 3; i++) { /* rows beyond what a kernel may have a buffer for */
    compare(scalar, kernel, (sizes){random_size(3), random_size(9), 2, (size_t)check_between(8000, 9000)});
  }
  for (int i = 0; i < 20; i++) { /* rows that a kernel takes in several chunks */
    const size_t k = (size_t)check_between(100, 700), m = (size_t)check_between(17, 80);
    compare(scalar, kernel, (sizes){m, random_size(max_n), random_size(2), k});
  }
}

static void set_up(void) {
  check_start();
  x_memory = check_map(MAX_X);
  out_memory = check_map(MAX_OUT);
  expected_memory = check_map(MAX_OUT);
  weights_memory = check_map(MAX_WEIGHTS);
  scalar_weights_memory = check_map(MAX_WEIGHTS);
}

#ifndef CHECK_NO_MAIN /* another test includes this file for a kernel that is not in the list */
int main(void) {
  set_up();
  size_t count;
  const ert_qgemm_kernel *const *kernels = ert_qgemm_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < count; i++) {
    if (!ert_isa_has(isa, kernels[i]->isa)) {
      printf("test_qgemm: %s skipped: this processor lacks %s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa));
      continue;
    }
    if (2u * kernels[i]->mr + 1 > MAX_M || 2u * kernels[i]->nr + 1 > MAX_N) {
      check_fail("%s: tile too large", kernels[i]->name);
    }
    test_kernel(kernels[0], kernels[i]);
  }
  printf("test_qgemm: %d cases passed\n", cases);
  return 0;
}
#endif
