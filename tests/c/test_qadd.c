/* Every qadd kernel that this processor can run equals the scalar one; the scalar one equals the definition in 64 bits
 * and is the sum in real numbers but for the rounding of the multipliers. */
#include "check.h"

#include <math.h>

#include "kernels/qadd/qadd.h"

enum { MAX_N = 600 };

static check_memory a_memory, b_memory, out_memory;
static int cases;

typedef struct scales {
  float a, b, out;
  int32_t a_zero, b_zero, out_zero;
  int b_sign;
} scales;

static float random_scale(void) { return ldexpf(1.0f + (float)check_between(0, 999999) / 1e6f, check_between(-8, 4)); }

static int8_t define(const ert_qadd_params *p, int a, int b) {
  const int64_t acc = p->bias + (int64_t)a * p->a_multiplier + (int64_t)b * p->b_multiplier;
  const int64_t q = (acc >> p->shift) + p->out_zero;
  if (acc < INT32_MIN || acc > INT32_MAX) check_fail("the sum leaves 32 bits");
  return (int8_t)(q < p->out_min ? p->out_min : q > p->out_max ? p->out_max : q);
}

static void check_near_real_sum(const scales *s, const ert_qadd_params *p, int a, int b, int got) {
  const double real = (double)s->a * (a - s->a_zero) + s->b_sign * ((double)s->b * (b - s->b_zero));
  const double q = real / s->out + s->out_zero;
  const double clamped = q < p->out_min ? p->out_min : q > p->out_max ? p->out_max : q;
  /* Each multiplier is off by at most half a unit of 2^-shift. */
  const double allowed = 0.5 + ldexp(0.5 * (abs(a - s->a_zero) + abs(b - s->b_zero)), -p->shift) + 1e-4;
  if (fabs(clamped - got) > allowed) check_fail("%d and %d give %d, in real numbers %g", a, b, got, clamped);
}

static void compare(const ert_qadd_kernel *kernel, size_t n) {
  scales s = {random_scale(), random_scale(), random_scale(), check_random_zero(), check_random_zero(),
              check_random_zero(), check_between(0, 1) ? 1 : -1};
  if (check_between(0, 7) == 0) s.a = s.b = s.out; /* multipliers that are powers of two: many ties */
  int8_t lo, hi;
  check_random_clamp(&lo, &hi);
  ert_qadd_params params;
  check_begin("%s n=%zu a=%g(%d) b=%g(%d) out=%g(%d)", kernel->name, n, s.a, s.a_zero, s.b, s.b_zero, s.out,
              s.out_zero);
  if (!ert_qadd_params_init(&params, s.a, s.a_zero, s.b, s.b_zero, s.b_sign, s.out, s.out_zero, lo, hi)) {
    check_fail("the parameters were refused");
  }
  const bool at_end = check_between(0, 3) != 0;
  for (int scalar_b = 0; scalar_b < 2; scalar_b++) {
    int8_t *a = check_place(a_memory, n, at_end), *b = check_place(b_memory, scalar_b ? 1 : n, at_end);
    check_fill_i8(a, n);
    check_fill_i8(b, scalar_b ? 1 : n);
    check_paint(out_memory);
    int8_t *out = check_place(out_memory, n, at_end);
    (scalar_b ? kernel->run_scalar : kernel->run)(&params, n, a, b, out);
    check_painted_around(out_memory, (const uint8_t *)out, n);
    for (size_t i = 0; i < n; i++) {
      const int second = b[scalar_b ? 0 : i], want = define(&params, a[i], second);
      if (out[i] != want) check_fail("element %zu is %d, needed %d", i, out[i], want);
      check_near_real_sum(&s, &params, a[i], second, out[i]);
    }
    for (int operand = 0; operand <= !scalar_b; operand++) { /* over one of them */
      int8_t *over = operand == 0 ? a : b;
      int8_t copy[MAX_N];
      memcpy(copy, over, n);
      (scalar_b ? kernel->run_scalar : kernel->run)(&params, n, a, b, over);
      if (memcmp(over, out, n) != 0) check_fail("written over operand %d, the sums differ", operand);
      memcpy(over, copy, n);
    }
    cases++;
  }
}

static void test_bounds_of_scales(void) {
  ert_qadd_params p;
  check_begin("bounds of scales");
  if (ert_qadd_params_init(&p, 0x1p16f, 0, 1.0f, 0, 1, 1.0f, 0, -128, 127)) check_fail("2^16 was taken");
  if (!ert_qadd_params_init(&p, 0x1.fffffep15f, -128, 0x1.fffffep15f, -128, 1, 1.0f, 0, -128, 127)) {
    check_fail("just below 2^16 was refused");
  }
  if (define(&p, 127, 127) != 127 || define(&p, -128, -128) != 0) check_fail("the largest scales go wrong");
  if (!ert_qadd_params_init(&p, 0x1p-20f, -128, 1e-30f, 0, -1, 1.0f, 5, -128, 127)) check_fail("2^-20 was refused");
  if (define(&p, 127, 127) != 5) check_fail("the smallest scales go wrong");
  if (ert_qadd_params_init(&p, 0x1p-21f, 0, 0x1p-22f, 0, 1, 1.0f, 0, -128, 127)) check_fail("2^-21 was taken");
  if (ert_qadd_params_init(&p, NAN, 0, NAN, 0, 1, 1.0f, 0, -128, 127)) check_fail("NaN was taken");
  cases += 5;
}

int main(void) {
  check_start();
  a_memory = check_map(MAX_N);
  b_memory = check_map(MAX_N);
  out_memory = check_map(MAX_N);
  test_bounds_of_scales();
  size_t count;
  const ert_qadd_kernel *const *kernels = ert_qadd_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < count; i++) {
    if (!ert_isa_has(isa, kernels[i]->isa)) {
      printf("test_qadd: %s skipped: this processor lacks %s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa));
      continue;
    }
    for (size_t n = 0; n <= 2 * 128 + 1; n++) {
      compare(kernels[i], n);
      compare(kernels[i], n);
    }
  }
  printf("test_qadd: %d cases passed\n", cases);
  return 0;
}
