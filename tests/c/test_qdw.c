/* Every qdw kernel that this processor can run equals the scalar one, and the scalar one equals the definition. */
#include "check.h"
#include "kernels/qdw/qdw.h"

enum { MAX_ROWS = 16, MAX_TAPS = 64, MAX_CHANNELS = 256, MAX_X = 1 << 18, MAX_OUT = 1 << 16, MAX_WEIGHTS = 1 << 17 };

static check_memory x_memory, out_memory, expected_memory, weights_memory, scalar_weights_memory;
static int8_t raw_weights[MAX_TAPS * MAX_CHANNELS];
static int cases;

typedef struct sizes {
  size_t channels, kernel_h, kernel_w, pixels, stride, dilation;
  size_t left, right; /* columns of the padded row that do not exist, for kernels with borders */
  size_t out_rows;
} sizes;

/* Of the padded row. */
static size_t columns_of(sizes s) { return (s.pixels - 1) * s.stride + (s.kernel_w - 1) * s.dilation + 1; }

typedef struct operands {
  const int8_t *rows[MAX_ROWS];
  int32_t bias[MAX_CHANNELS], w_zero[MAX_CHANNELS];
  float multiplier[MAX_CHANNELS];
  int32_t zero_x;
  bool has_w_zero;
} operands;

/* Weights with zero points that a kernel of int8 weights may get: without it all but the last row fit int8, and the last
 * row fits twice. */
static void fit_spare_slots(operands *o, sizes s) {
  o->has_w_zero = true;
  for (size_t i = 0; i < s.kernel_h * s.kernel_w * s.channels; i++) {
    const bool last_row = i / (s.kernel_w * s.channels) + 1 == s.kernel_h;
    const int32_t value = raw_weights[i] - o->w_zero[i % s.channels], most = last_row ? 254 : 127;
    const int32_t least = last_row ? -255 : -128, fitting = value > most ? most : value < least ? least : value;
    raw_weights[i] = (int8_t)(fitting + o->w_zero[i % s.channels]);
  }
}

static void fill(operands *o, sizes s, bool symmetric, bool spare) {
  const size_t span = (columns_of(s) - s.left - s.right) * s.channels;
  const size_t row_step = check_between(0, 1) ? span + (size_t)check_between(0, 9) : (size_t)check_between(0, 30);
  const size_t rows = s.kernel_h + s.out_rows - 1, used = (rows - 1) * row_step + span;
  int8_t *x = check_place(x_memory, used, check_between(0, 3) != 0);
  check_fill_i8(x, used);
  const size_t turn = check_random() % rows;
  for (size_t i = 0; i < rows; i++) o->rows[i] = x + (i + turn) % rows * row_step;
  check_fill_i8(raw_weights, s.kernel_h * s.kernel_w * s.channels);
  const bool extreme = check_between(0, 7) == 0;
  o->has_w_zero = !symmetric && check_between(0, 1);
  for (size_t c = 0; c < s.channels; c++) {
    o->bias[c] = extreme ? (int32_t)(check_random() >> 32) : check_between(-5000, 5000);
    o->multiplier[c] = check_random_multiplier(extreme ? 2e7f : 40.0f * (float)(s.kernel_h * s.kernel_w + 1));
    o->w_zero[c] = check_random_zero();
  }
  o->zero_x = check_random_zero();
  if (spare && check_between(0, 1)) fit_spare_slots(o, s);
}

/* The definition, with both zero points taken off first. */
static int8_t define(const operands *o, sizes s, const ert_qdw_args *args, size_t row, size_t p, size_t c) {
  uint32_t acc = (uint32_t)o->bias[c];
  for (size_t i = 0; i < s.kernel_h; i++) {
    for (size_t j = 0; j < s.kernel_w; j++) {
      const size_t column = p * s.stride + j * s.dilation;
      const bool exists = column >= s.left && column + s.right < columns_of(s);
      const int32_t x = exists ? o->rows[row + i][(column - s.left) * s.channels + c] - o->zero_x : 0;
      const int32_t w = raw_weights[(i * s.kernel_w + j) * s.channels + c] - (o->has_w_zero ? o->w_zero[c] : 0);
      acc += (uint32_t)(x * w);
    }
  }
  return check_requant((int32_t)acc, o->multiplier[c], args->out_zero, args->out_min, args->out_max);
}

static void run_kernel(const ert_qdw_kernel *kernel, check_memory packed, check_memory into, sizes s, const operands *o,
                       ert_qdw_args args, bool at_end) {
  const size_t out_bytes = s.out_rows * s.pixels * s.channels;
  if (ert_qdw_packed_bytes(kernel, s.channels, s.kernel_h, s.kernel_w) > packed.bytes) check_fail("weights need more memory");
  ert_qdw_pack(kernel, s.channels, s.kernel_h, s.kernel_w, raw_weights, o->has_w_zero ? o->w_zero : NULL, o->bias, o->multiplier,
               o->zero_x, packed.data);
  args.weights = packed.data;
  check_paint(into);
  int8_t *out = check_place(into, out_bytes, at_end);
  kernel->run(&args, s.pixels, o->rows, out);
  check_painted_around(into, (const uint8_t *)out, out_bytes);
}

static void compare(const ert_qdw_kernel *scalar, const ert_qdw_kernel *kernel, sizes s) {
  static operands o;
  s.out_rows = kernel->out_rows == 2 ? (size_t)check_between(1, 2) : 1;
  if (kernel->out_rows == 2 && (s.stride != 1 || s.dilation != 1)) return;
  check_begin("%s channels=%zu window=%zux%zu pixels=%zu stride=%zu dilation=%zu left=%zu right=%zu rows=%zu", kernel->name,
              s.channels, s.kernel_h, s.kernel_w, s.pixels, s.stride, s.dilation, s.left, s.right, s.out_rows);
  const bool borders = s.left + s.right != 0, alone = borders || s.out_rows == 2; /* scalar has neither */
  const bool by_definition = kernel == scalar || alone;
  fill(&o, s, kernel->int8_weights, kernel->spare);
  ert_qdw_args args = {.channels = s.channels, .kernel_h = s.kernel_h, .kernel_w = s.kernel_w,
                       .tap_stride = s.dilation * s.channels, .pixel_stride = s.stride * s.channels,
                       .out_rows = s.out_rows, .out_row_bytes = s.pixels * s.channels,
                       .out_zero = check_random_zero()};
  if (borders) {
    args.row_bytes = (columns_of(s) - s.left - s.right) * s.channels;
    args.first = -(ptrdiff_t)(s.left * s.channels);
    args.padding = (int8_t)o.zero_x;
  }
  check_random_clamp(&args.out_min, &args.out_max);
  for (size_t j = 0; j < s.channels; j++) args.wide = args.wide || o.multiplier[j] >= 1.0f;
  const bool at_end = check_between(0, 3) != 0;
  if (!alone) run_kernel(scalar, scalar_weights_memory, expected_memory, s, &o, args, at_end);
  if (kernel != scalar) run_kernel(kernel, weights_memory, out_memory, s, &o, args, at_end);
  const size_t outputs = s.out_rows * s.pixels * s.channels;
  const int8_t *expected = check_place(expected_memory, outputs, at_end);
  const int8_t *found = check_place(out_memory, outputs, at_end);
  for (size_t at = 0; at < outputs; at++) {
    const size_t row = at / (s.pixels * s.channels), p = at / s.channels % s.pixels, c = at % s.channels;
    const int want = by_definition ? define(&o, s, &args, row, p, c) : expected[at];
    const int got = kernel == scalar ? expected[at] : found[at];
    if (want != got) check_fail("row %zu, pixel %zu, channel %zu is %d, needed %d", row, p, c, got, want);
  }
  cases++;
}

static void test_kernel(const ert_qdw_kernel *scalar, const ert_qdw_kernel *kernel) {
  static const uint8_t windows[][2] = {{3, 3}, {1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 3},
                                       {3, 1}, {3, 5}, {5, 5}, {7, 7}, {10, 4}, {1, 9}, {9, 1},
                                       {4, 3}, {5, 2}, {6, 6}, {1, 50}};
  for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
    const size_t h = windows[w][0], width = windows[w][1];
    if (kernel->kernel_h != 0 && (kernel->kernel_h != h || kernel->kernel_w != width)) continue;
    if (kernel->strip && ert_qdw_strip_cells(kernel->tap_group, h, width) > ERT_QDW_STRIP_CELLS) check_fail("no test");
    for (size_t channels = 1; channels <= 2u * kernel->nr + 1; channels++) {
      const int rounds = w == 0 ? 4 : 1;
      for (int i = 0; i < rounds; i++) {
        const sizes s = {channels, h, width, (size_t)check_between(1, 9), (size_t)check_between(1, 2),
                         check_between(0, 2) == 0 ? (size_t)check_between(1, 3) : 1, 0, 0, 1};
        compare(scalar, kernel, s);
      }
    }
    for (int i = 0; kernel->borders && i < 300; i++) {
      sizes s = {(size_t)check_between(1, 2 * kernel->nr + 1), h, width, (size_t)check_between(1, 9),
                 (size_t)check_between(1, 3), (size_t)check_between(1, 2), 0, 0, 1};
      s.left = check_random() % columns_of(s);
      s.right = check_random() % (columns_of(s) - s.left); /* at least one column exists */
      compare(scalar, kernel, s);
    }
    for (size_t pixels = 1; pixels <= 17; pixels++) {
      for (size_t stride = 1; stride <= 3; stride++) {
        compare(scalar, kernel, (sizes){(size_t)check_between(1, kernel->nr + 8), h, width, pixels, stride, 1, 0, 0, 1});
      }
    }
    for (int i = 0; i < 8; i++) { /* several strips */
      sizes s = {(size_t)check_between(1, kernel->nr + 8), h, width, (size_t)check_between(40, 90),
                 (size_t)check_between(1, 2), 1, 0, 0, 1};
      if (kernel->borders && i % 2 != 0) s.left = s.right = width / 2;
      compare(scalar, kernel, s);
    }
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
  const ert_qdw_kernel *const *kernels = ert_qdw_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < count; i++) {
    if (!ert_isa_has(isa, kernels[i]->isa)) {
      printf("test_qdw: %s skipped: this processor lacks %s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa));
      continue;
    }
    if (2u * kernels[i]->nr + 1 > MAX_CHANNELS) check_fail("%s: block too large", kernels[i]->name);
    test_kernel(kernels[0], kernels[i]);
  }
  printf("test_qdw: %d cases passed\n", cases);
  return 0;
}
#endif
