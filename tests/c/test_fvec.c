/* Every fvec kernel that this processor can run gives the bits of the definition, for lengths up to twice its vector
 * plus one and more, in place and apart, and touches nothing beyond its operands. */
#include "check.h"

#include <float.h>
#include <math.h>

#include "kernels/fvec/fvec.h"
#include "requant/requant.h"

enum { MAX_N = 1 << 12, LONGEST = 2 * 64 + 1 };

static check_memory a_memory, b_memory, out_memory;
static int cases;

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Equal bits; which NaN it is does not matter. */
static bool same(float a, float b) { return (a != a && b != b) || bits_of(a) == bits_of(b); }

static float random_float(void) {
  static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, FLT_MIN, 0x1p-149f, -0x1p-140f, 1.0f, -0.5f};
  const int kind = check_between(0, 9);
  if (kind == 0) return special[check_random() % (sizeof special / sizeof *special)];
  if (kind == 1) return (float)check_between(-300, 300) * 0.5f; /* ties of quantisation, and equal values */
  return ldexpf((float)check_between(-1000000, 1000000), check_between(-30, -10));
}

static float *place_floats(check_memory memory, size_t n, bool at_end) {
  float *p = check_place(memory, n * sizeof(float), at_end);
  for (size_t i = 0; i < n; i++) p[i] = random_float();
  return p;
}

static int8_t *place_bytes(check_memory memory, size_t n, bool at_end) {
  int8_t *p = check_place(memory, n, at_end);
  check_fill_i8(p, n);
  return p;
}

static float define_clamp(float x, float lo, float hi) { return x != x ? x : x < lo ? lo : x > hi ? hi : x; }

static float define_binary(ert_fvec_op op, float a, float b) {
  volatile float result = 0.0f; /* rounded to float32, whatever the compiler makes of the rest */
  switch (op) {
    case ERT_FVEC_ADD: result = a + b; break;
    case ERT_FVEC_SUB: result = a - b; break;
    case ERT_FVEC_MUL: result = a * b; break;
    case ERT_FVEC_DIV: result = a / b; break;
    case ERT_FVEC_MAX: result = isnan(a) ? a : a > b ? a : b; break;
    case ERT_FVEC_MIN: result = isnan(a) ? a : a < b ? a : b; break;
    default: check_fail("no definition of operation %d", (int)op);
  }
  return result;
}

static void random_clamp(float *lo, float *hi) {
  *lo = -INFINITY;
  *hi = INFINITY;
  if (check_between(0, 1)) {
    *lo = (float)check_between(-10, 0);
    *hi = check_between(0, 1) ? INFINITY : (float)check_between(0, 10);
  }
}

static void compare_floats(const float *want, const float *got, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!same(want[i], got[i])) check_fail("element %zu is %.9g, needed %.9g", i, (double)got[i], (double)want[i]);
  }
  cases++;
}

static void test_binary(const ert_fvec_kernel *kernel, ert_fvec_op op, ert_fvec_form form, size_t n, bool in_place) {
  static float want[MAX_N];
  check_begin("%s operation %d, form %d, n=%zu%s", kernel->name, (int)op, (int)form, n, in_place ? ", in place" : "");
  const bool at_end = check_between(0, 3) != 0;
  const float *a = place_floats(a_memory, form == ERT_FVEC_SV ? 1 : n, at_end);
  const float *b = place_floats(b_memory, form == ERT_FVEC_VS ? 1 : n, at_end);
  float lo, hi;
  random_clamp(&lo, &hi);
  for (size_t i = 0; i < n; i++) {
    want[i] = define_clamp(define_binary(op, a[form == ERT_FVEC_SV ? 0 : i], b[form == ERT_FVEC_VS ? 0 : i]), lo, hi);
  }
  check_paint(out_memory);
  float *out = check_place(out_memory, n * sizeof(float), at_end);
  if (in_place) out = form == ERT_FVEC_SV ? (float *)b : (float *)a;
  kernel->binary[op][form](n, a, b, lo, hi, out);
  if (!in_place) check_painted_around(out_memory, (const uint8_t *)out, n * sizeof(float));
  compare_floats(want, out, n);
}

static void test_clamp(const ert_fvec_kernel *kernel, size_t n) {
  static float want[MAX_N];
  check_begin("%s clamp, n=%zu", kernel->name, n);
  const bool at_end = check_between(0, 3) != 0;
  float *x = place_floats(a_memory, n, at_end), lo, hi;
  random_clamp(&lo, &hi);
  for (size_t i = 0; i < n; i++) want[i] = define_clamp(x[i], lo, hi);
  check_paint(out_memory);
  float *out = check_place(out_memory, n * sizeof(float), at_end);
  kernel->clamp(n, x, lo, hi, out);
  check_painted_around(out_memory, (const uint8_t *)out, n * sizeof(float));
  compare_floats(want, out, n);
  kernel->clamp(n, x, lo, hi, x);
  compare_floats(want, x, n);
}

static float random_scale(void) {
  static const float scales[] = {1.0f, 0.5f, 0x1p-149f, 1e-40f, FLT_MAX, 1.0f / 255.0f};
  return check_between(0, 3) == 0 ? scales[check_random() % 6] : (float)check_between(1, 100000) * 1e-5f;
}

static void test_quantize(const ert_fvec_kernel *kernel, size_t n) {
  check_begin("%s quantize, n=%zu", kernel->name, n);
  const bool at_end = check_between(0, 3) != 0;
  const float *x = place_floats(a_memory, n, at_end), scale = random_scale();
  const int32_t zero_point = check_random_zero();
  check_paint(out_memory);
  int8_t *out = check_place(out_memory, n, at_end);
  kernel->quantize_i8(n, x, scale, zero_point, out);
  check_painted_around(out_memory, (const uint8_t *)out, n);
  for (size_t i = 0; i < n; i++) {
    const volatile float y = x[i] / scale;
    const double q = isnan(y) ? zero_point : nearbyint((double)y) + zero_point;
    const int want = q < -128.0 ? -128 : q > 127.0 ? 127 : (int)q;
    if (out[i] != want) check_fail("%.9g / %.9g + %d is %d, needed %d", (double)x[i], (double)scale, (int)zero_point, out[i], want);
  }
  cases++;
}

static void test_dequantize(const ert_fvec_kernel *kernel, size_t n) {
  static float want[MAX_N];
  check_begin("%s dequantize, n=%zu", kernel->name, n);
  const bool at_end = check_between(0, 3) != 0;
  const int8_t *q = place_bytes(a_memory, n, at_end);
  const float scale = random_scale();
  const int32_t zero_point = check_random_zero();
  for (size_t i = 0; i < n; i++) {
    const volatile float product = (float)(q[i] - zero_point) * scale;
    want[i] = product;
  }
  check_paint(out_memory);
  float *out = check_place(out_memory, n * sizeof(float), at_end);
  kernel->dequantize_i8(n, q, scale, zero_point, out);
  check_painted_around(out_memory, (const uint8_t *)out, n * sizeof(float));
  compare_floats(want, out, n);
}

static double define_function(ert_fvec_function function, double x) {
  switch (function) {
    case ERT_FVEC_EXP: return exp(x);
    case ERT_FVEC_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case ERT_FVEC_SILU: return x / (1.0 + exp(-x));
    case ERT_FVEC_TANH: return tanh(x);
    case ERT_FVEC_HARD_SWISH: return x * fmin(fmax(x + 3.0, 0.0), 6.0) / 6.0;
    default: check_fail("no definition of function %d", (int)function);
  }
  return 0.0;
}

/* Within 3 * 2^-24 of the function and a slack: exp(-x) is infinite where the sigmoid is still a number, and x + 3 cancels.
 * The bits of the scalar kernel. */
static void test_function(const ert_fvec_kernel *kernel, ert_fvec_function function, size_t n) {
  static float scalar[MAX_N];
  static const double slacks[ERT_FVEC_FUNCTION_COUNT] = {
      [ERT_FVEC_EXP] = 0x1p-149, [ERT_FVEC_SIGMOID] = 1e-38, [ERT_FVEC_SILU] = 1e-36, [ERT_FVEC_HARD_SWISH] = 1e-6};
  check_begin("%s function %d, n=%zu", kernel->name, (int)function, n);
  const bool at_end = check_between(0, 3) != 0;
  float *x = check_place(a_memory, n * sizeof *x, at_end);
  for (size_t i = 0; i < n; i++) {
    const int kind = check_between(0, 3);
    x[i] = kind == 0 ? random_float() : (float)check_between(-1000000, 1000000) * (kind == 1 ? 1e-4f : kind == 2 ? 1e-5f : 1e-6f);
  }
  check_paint(out_memory);
  float *out = check_place(out_memory, n * sizeof *out, at_end);
  kernel->unary[function](n, x, out);
  check_painted_around(out_memory, (const uint8_t *)out, n * sizeof *out);
  ert_fvec_select(1u << ERT_ISA_SCALAR)->unary[function](n, x, scalar);
  for (size_t i = 0; i < n; i++) {
    const double want = define_function(function, (double)x[i]), slack = slacks[function];
    const bool undefined = function == ERT_FVEC_SILU && x[i] == -INFINITY; /* infinity times 0 */
    const bool near = isnan(want) ? isnan(out[i]) : (float)want == out[i] || fabs((double)out[i] - want) <= 3 * 0x1p-24 * fabs(want) + slack;
    if (!undefined && !near && fabs(want) < 3e38) check_fail("of %.9g is %.9g, needed %.9g", (double)x[i], (double)out[i], want);
  }
  compare_floats(scalar, out, n);
  kernel->unary[function](n, x, x);
  compare_floats(scalar, x, n);
}

/* Exponentials as the function gives them, their sum in whatever order; the bits of the scalar kernel. */
static void test_softmax(const ert_fvec_kernel *kernel, size_t n) {
  static float scalar[MAX_N];
  check_begin("%s softmax row, n=%zu", kernel->name, n);
  const bool at_end = check_between(0, 3) != 0;
  float *x = check_place(a_memory, n * sizeof *x, at_end), most = -INFINITY;
  const float beta = check_between(0, 1) ? 1.0f : 0.3f;
  for (size_t i = 0; i < n; i++) x[i] = (float)check_between(-100000, 100000) * 1e-4f;
  for (size_t i = 0; i < n; i++) most = fmaxf(most, x[i]);
  check_paint(out_memory);
  float *out = check_place(out_memory, n * sizeof *out, at_end);
  const float sum = kernel->softmax_row(n, x, beta, out);
  check_painted_around(out_memory, (const uint8_t *)out, n * sizeof *out);
  double want = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double e = exp((double)((x[i] - most) * beta));
    want += e;
    if (fabs((double)out[i] - e) > 3 * 0x1p-24 * e) check_fail("element %zu is %.9g, needed %.9g", i, (double)out[i], e);
  }
  if (fabs((double)sum - want) > 1e-5 * want) check_fail("the sum is %.9g, needed %.9g", (double)sum, want);
  if (!same(sum, ert_fvec_select(1u << ERT_ISA_SCALAR)->softmax_row(n, x, beta, scalar))) check_fail("another sum than the scalar kernel's");
  compare_floats(scalar, out, n);
}

static void test_float_sums(const ert_fvec_kernel *kernel, size_t n, size_t rows) {
  check_begin("%s sums of floats, n=%zu rows=%zu", kernel->name, n, rows);
  const size_t stride = n + (size_t)check_between(0, 1) * (size_t)check_between(0, 9);
  const bool at_end = check_between(0, 3) != 0;
  float *x = check_place(a_memory, (rows == 0 ? 0 : (rows - 1) * stride + n) * sizeof *x, at_end);
  for (size_t i = 0; rows > 0 && i < (rows - 1) * stride + n; i++) x[i] = ldexpf((float)check_between(-1000000, 1000000), check_between(-30, -10));
  check_paint(out_memory);
  double *sums = check_place(out_memory, n * sizeof *sums, at_end);
  for (size_t c = 0; c < n; c++) sums[c] = (double)c;
  kernel->add_columns(rows, n, stride, x, sums);
  check_painted_around(out_memory, (const uint8_t *)sums, n * sizeof *sums);
  for (size_t c = 0; c < n; c++) {
    double want = (double)c;
    for (size_t r = 0; r < rows; r++) want += (double)x[r * stride + c];
    if (memcmp(&sums[c], &want, sizeof want) != 0) check_fail("column %zu is %.17g, needed %.17g", c, sums[c], want);
  }
  cases++;
}

/* Multipliers around those of real layers, and such that products land on ties and far outside of int8. */
static void test_products(const ert_fvec_kernel *kernel, size_t n, bool scalar) {
  check_begin("%s products%s, n=%zu", kernel->name, scalar ? " with one" : "", n);
  const bool at_end = check_between(0, 3) != 0;
  int8_t *a = place_bytes(a_memory, n, at_end), *b = place_bytes(b_memory, scalar ? 1 : n, at_end);
  const float multipliers[] = {0.004f, 0.5f, 0x1p-9f, 0.0f, 1e-40f, FLT_MAX, 1.5f};
  const int low = check_between(-128, 127), high = check_between(low, 127);
  const bool open = check_between(0, 1);
  const ert_fvec_product rule = {check_random_zero(), check_random_zero(), check_random_zero(),
                                 multipliers[check_random() % 7], (int8_t)(open ? -128 : low), (int8_t)(open ? 127 : high)};
  check_paint(out_memory);
  int8_t *out = check_place(out_memory, n, at_end);
  (scalar ? kernel->mul_i8_scalar : kernel->mul_i8)(&rule, n, a, b, out);
  check_painted_around(out_memory, (const uint8_t *)out, n);
  for (size_t i = 0; i < n; i++) {
    const int32_t acc = (a[i] - rule.a_zero) * (b[scalar ? 0 : i] - rule.b_zero);
    const int want = ert_requant(acc, rule.multiplier, rule.out_zero, rule.out_min, rule.out_max);
    if (out[i] != want) check_fail("%d by %d is %d, needed %d", a[i], b[scalar ? 0 : i], out[i], want);
  }
  (scalar ? kernel->mul_i8_scalar : kernel->mul_i8)(&rule, n, a, b, a);
  if (memcmp(a, out, n) != 0) check_fail("in place it differs");
  cases++;
}

static void test_lut(const ert_fvec_kernel *kernel, size_t n) {
  check_begin("%s lut, n=%zu", kernel->name, n);
  const bool at_end = check_between(0, 3) != 0;
  int8_t *q = place_bytes(a_memory, n, at_end), *table = place_bytes(b_memory, 256, at_end);
  for (int i = 0; i < 256; i++) table[i] = (int8_t)check_between(-128, 127);
  check_paint(out_memory);
  int8_t *out = check_place(out_memory, n, at_end);
  kernel->lut_i8(n, q, table, out);
  check_painted_around(out_memory, (const uint8_t *)out, n);
  for (size_t i = 0; i < n; i++) {
    if (out[i] != table[q[i] + 128]) check_fail("entry %d is %d, needed %d", q[i], out[i], table[q[i] + 128]);
  }
  kernel->lut_i8(n, q, table, q);
  if (memcmp(q, out, n) != 0) check_fail("in place it differs");
  cases++;
}

static void test_sums(const ert_fvec_kernel *kernel, size_t n, size_t rows) {
  check_begin("%s sums, n=%zu rows=%zu", kernel->name, n, rows);
  const size_t stride = n + (size_t)check_between(0, 1) * (size_t)check_between(0, 9);
  const size_t used = rows == 0 ? 0 : (rows - 1) * stride + n;
  const bool at_end = check_between(0, 3) != 0;
  const int8_t *x = place_bytes(a_memory, used, at_end);
  int64_t total = 0;
  for (size_t i = 0; i < used; i++) total += x[i];
  if (kernel->sum_i8(used, x) != total) check_fail("sum is %d, needed %d", (int)kernel->sum_i8(used, x), (int)total);
  check_paint(out_memory);
  int32_t *sums = check_place(out_memory, n * sizeof *sums, at_end);
  kernel->column_sums_i8(rows, n, stride, x, sums);
  check_painted_around(out_memory, (const uint8_t *)sums, n * sizeof *sums);
  for (size_t c = 0; c < n; c++) {
    int32_t want = 0;
    for (size_t r = 0; r < rows; r++) want += x[r * stride + c];
    if (sums[c] != want) check_fail("column %zu is %d, needed %d", c, (int)sums[c], (int)want);
  }
  cases++;
}

static void test_row_sums(const ert_fvec_kernel *kernel, size_t m, size_t taps, size_t k) {
  enum { MAX_ROWS = 40, MAX_TAPS = 40 };
  check_begin("%s sums of rows, m=%zu taps=%zu k=%zu", kernel->name, m, taps, k);
  const bool equal = check_between(0, 1);
  const size_t row_step = equal ? k : (size_t)check_between(1, 40), tap_step = (size_t)check_between(1, 60);
  const size_t used = (m - 1) * row_step + (taps - 1) * tap_step + k;
  const bool at_end = check_between(0, 1);
  const int8_t *x = place_bytes(a_memory, used, at_end), *rows[MAX_ROWS];
  const int32_t factor = check_between(-256, 256);
  ptrdiff_t tap_offset[MAX_TAPS];
  for (size_t i = 0; i < m; i++) rows[i] = x + (equal ? i : m - 1 - i) * row_step;
  for (size_t t = 0; t < taps; t++) tap_offset[t] = (ptrdiff_t)(t * tap_step);
  check_paint(out_memory);
  int32_t *sums = check_place(out_memory, m * sizeof *sums, at_end);
  kernel->sum_rows_i8(m, rows, equal ? row_step : 0, taps, tap_offset, k, factor, sums);
  check_painted_around(out_memory, (const uint8_t *)sums, m * sizeof *sums);
  for (size_t i = 0; i < m; i++) {
    int32_t want = 0;
    for (size_t t = 0; t < taps; t++)
      for (size_t l = 0; l < k; l++) want += rows[i][tap_offset[t] + (ptrdiff_t)l];
    if (sums[i] != factor * want) check_fail("row %zu is %d, needed %d", i, (int)sums[i], (int)(factor * want));
  }
  cases++;
}

/* Five rows of bytes of -128: no lane that is narrower than the sum may overflow. */
static void test_least_row_sums(const ert_fvec_kernel *kernel, size_t taps, size_t k) {
  enum { ROWS = 5, MAX_TAPS = 300 };
  check_begin("%s sums of rows of the smallest values, taps=%zu k=%zu", kernel->name, taps, k);
  int8_t *x = check_place(a_memory, k, true);
  memset(x, 0x80, k);
  const int8_t *rows[ROWS];
  for (size_t i = 0; i < ROWS; i++) rows[i] = x;
  const ptrdiff_t tap_offset[MAX_TAPS] = {0};
  int32_t sums[ROWS];
  kernel->sum_rows_i8(ROWS, rows, 0, taps, tap_offset, k, 1, sums);
  for (size_t i = 0; i < ROWS; i++) {
    if (sums[i] != -128 * (int32_t)(taps * k)) check_fail("row %zu is %d", i, (int)sums[i]);
  }
  cases++;
}

static void test_kernel(const ert_fvec_kernel *kernel) {
  for (size_t k = 1; k <= 200; k++)
    for (size_t taps = 1; taps <= 3; taps++) test_row_sums(kernel, (size_t)check_between(1, 40), taps, k);
  for (size_t k = 1; k <= 20; k++) {
    test_row_sums(kernel, (size_t)check_between(1, 9), (size_t)check_between(28, 40), k);
    test_least_row_sums(kernel, 31, k);
    test_least_row_sums(kernel, 300, k);
  }
  test_least_row_sums(kernel, 1, 40000);
  test_least_row_sums(kernel, 130, 31);
  for (size_t n = 0; n <= LONGEST; n++) {
    for (int op = 0; op < ERT_FVEC_OP_COUNT; op++) {
      for (int form = 0; form < ERT_FVEC_FORM_COUNT; form++) {
        test_binary(kernel, (ert_fvec_op)op, (ert_fvec_form)form, n, (n + (size_t)form) % 2 != 0);
      }
    }
    test_clamp(kernel, n);
    for (int i = 0; i < 4; i++) test_quantize(kernel, n);
    test_dequantize(kernel, n);
    for (int function = 0; function < ERT_FVEC_FUNCTION_COUNT; function++)
      test_function(kernel, (ert_fvec_function)function, n);
    if (n > 0) test_softmax(kernel, n);
    test_float_sums(kernel, n, (size_t)check_between(0, 20));
    test_lut(kernel, n);
    for (int i = 0; i < 6; i++) test_products(kernel, n, i % 2 != 0);
    test_sums(kernel, n, (size_t)check_between(0, 20));
  }
  test_lut(kernel, MAX_N - 3);
  test_sums(kernel, 70, 700); /* longer than a 16-bit sum holds */
  test_sums(kernel, 1, 40000);
  check_begin("%s sum of the smallest values", kernel->name);
  int8_t *x = check_place(a_memory, 40000, true);
  memset(x, 0x80, 40000);
  if (kernel->sum_i8(40000, x) != -128 * 40000) check_fail("is %d", (int)kernel->sum_i8(40000, x));
}

int main(void) {
  check_start();
  a_memory = check_map(1 << 19);
  b_memory = check_map(1 << 15);
  out_memory = check_map(1 << 15);
  size_t count;
  const ert_fvec_kernel *const *kernels = ert_fvec_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < count; i++) {
    if (!ert_fvec_runs(kernels[i], isa)) {
      printf("test_fvec: %s skipped: this processor lacks %s%s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa),
             kernels[i]->marks != 0 ? " with what else it needs" : "");
      continue;
    }
    test_kernel(kernels[i]);
  }
  check_begin("select");
  if (ert_fvec_select(1u << ERT_ISA_SCALAR)->isa != ERT_ISA_SCALAR) check_fail("a kernel outside of the set");
  if (!ert_isa_has(isa, ert_fvec_select(isa)->isa)) check_fail("a kernel outside of the set");
  printf("test_fvec: %d cases passed\n", cases);
  return 0;
}
