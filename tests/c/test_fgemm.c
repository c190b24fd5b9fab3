/* Every fgemm kernel that this processor can run equals the definition within rounding, gives the same bits wherever in
 * its tiles an output lies, hands NaN on, and touches nothing beyond its operands. */
#include "check.h"

#include <float.h>
#include <math.h>

#include "kernels/fgemm/fgemm.h"

enum { MAX_TAPS = 4, MAX_M = 64, MAX_N = 512, MAX_X = 1 << 16, MAX_OUT = 1 << 16, MAX_WEIGHTS = 1 << 20 };

static check_memory x_memory, out_memory, weights_memory; /* sized in floats by the limits above */
static float raw_weights[MAX_WEIGHTS], bias[MAX_N];
static int cases;

typedef struct sizes {
  size_t m, n, taps, k;
} sizes;

typedef struct operands {
  const float *rows[MAX_M];
  ptrdiff_t tap_offset[MAX_TAPS];
} operands;

static size_t random_size(size_t most) { return (size_t)check_between(1, (int32_t)most); }
static float random_float(void) { return (float)check_between(-1000000, 1000000) * 1e-6f; }

static void fill(float *p, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = random_float();
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Rows and taps overlap and lie in any order; the last one touches the end (or the first one the begin) of the
 * readable memory. */
static float *place_rows(operands *o, sizes s) {
  const size_t row_step = (size_t)check_between(0, 1) * random_size(40);
  const size_t tap_step = check_between(0, 3) == 0 ? random_size(100) : s.k;
  const size_t used = (s.m - 1) * row_step + (s.taps - 1) * tap_step + s.k;
  float *x = check_place(x_memory, used * sizeof(float), check_between(0, 3) != 0);
  fill(x, used);
  const size_t row_turn = check_random() % s.m, tap_turn = check_random() % s.taps;
  for (size_t i = 0; i < s.m; i++) o->rows[i] = x + (i + row_turn) % s.m * row_step;
  for (size_t t = 0; t < s.taps; t++) o->tap_offset[t] = (ptrdiff_t)((t + tap_turn) % s.taps * tap_step);
  return x;
}

/* Packs raw_weights [n][taps * k] and runs; returns the output, whose surroundings it has checked. */
static const float *run(const ert_fgemm_kernel *kernel, sizes s, const operands *o, ert_fgemm_args args,
                        size_t out_stride, bool with_bias) {
  const size_t packed_bytes = ert_fgemm_packed_bytes(kernel, s.n, s.taps, s.k), depth = s.taps * s.k;
  float *packed = check_place(weights_memory, packed_bytes, true);
  if ((uintptr_t)packed % 64 != 0) check_fail("%zu bytes of packed weights are no multiple of 64", packed_bytes);
  ert_fgemm_pack(kernel, s.n, s.taps, s.k, raw_weights, depth, 1, with_bias ? bias : NULL, packed);
  args.weights = packed;
  const size_t out_bytes = ((s.m - 1) * out_stride + s.n) * sizeof(float);
  check_paint(out_memory);
  float *out = check_place(out_memory, out_bytes, check_between(0, 3) != 0);
  kernel->run(&args, s.m, o->rows, out, out_stride);
  check_painted_around(out_memory, (const uint8_t *)out, out_bytes);
  for (size_t i = 0; i + 1 < s.m; i++) {
    const uint8_t *gap = (const uint8_t *)(out + i * out_stride + s.n);
    for (size_t b = 0; b < (out_stride - s.n) * sizeof(float); b++) {
      if (gap[b] != CHECK_FILL) check_fail("row %zu: wrote byte %zu beyond its %zu channels", i, b, s.n);
    }
  }
  cases++;
  return out;
}

static void compare(const ert_fgemm_kernel *kernel, sizes s) {
  static operands o;
  check_begin("%s m=%zu n=%zu taps=%zu k=%zu", kernel->name, s.m, s.n, s.taps, s.k);
  const size_t depth = s.taps * s.k;
  place_rows(&o, s);
  fill(raw_weights, s.n * depth);
  fill(bias, s.n);
  const bool clamped = check_between(0, 3) == 0, with_bias = check_between(0, 3) != 0;
  const ert_fgemm_args args = {s.n, s.taps, s.k, o.tap_offset, NULL, clamped ? -0.25f : -INFINITY,
                               clamped ? 0.5f : INFINITY};
  const size_t out_stride = s.n + (size_t)check_between(0, 1) * random_size(70);
  const float *out = run(kernel, s, &o, args, out_stride, with_bias);
  for (size_t i = 0; i < s.m; i++) {
    for (size_t j = 0; j < s.n; j++) {
      double sum = with_bias ? bias[j] : 0.0, magnitude = fabs(sum);
      for (size_t t = 0; t < s.taps; t++) {
        for (size_t l = 0; l < s.k; l++) {
          const double product = (double)o.rows[i][o.tap_offset[t] + (ptrdiff_t)l] * raw_weights[j * depth + t * s.k + l];
          sum += product;
          magnitude += fabs(product);
        }
      }
      const double want = fmin(fmax(sum, args.out_min), args.out_max), got = out[i * out_stride + j];
      /* Each of the depth products and additions rounds once, by half an ulp of no more than the magnitude so far. */
      const double allowed = (double)(depth + 1) * FLT_EPSILON / 2 * magnitude * 1.01;
      if (!(fabs(got - want) <= allowed)) check_fail("row %zu, channel %zu is %.9g, needed %.9g", i, j, got, want);
    }
  }
}

/* One row and one channel repeated over whole tiles and blocks: every output has the bits of the tile of one. */
static void test_position(const ert_fgemm_kernel *kernel, size_t taps, size_t k) {
  static operands o;
  const size_t depth = taps * k, max_m = 2u * kernel->mr + 1, max_n = 5u * kernel->nr + 1;
  check_begin("%s one value at all positions, taps=%zu k=%zu", kernel->name, taps, k);
  float *x = place_rows(&o, (sizes){1, 1, taps, k});
  (void)x;
  for (size_t i = 1; i < max_m; i++) o.rows[i] = o.rows[0];
  fill(raw_weights, depth);
  bias[0] = random_float();
  for (size_t j = 1; j < max_n; j++) {
    memcpy(raw_weights + j * depth, raw_weights, depth * sizeof(float));
    bias[j] = bias[0];
  }
  ert_fgemm_args args = {1, taps, k, o.tap_offset, NULL, -INFINITY, INFINITY};
  const uint32_t want = bits_of(*run(kernel, (sizes){1, 1, taps, k}, &o, args, 1, true));
  args.n = max_n;
  for (size_t m = 1; m <= max_m; m++) {
    const float *out = run(kernel, (sizes){m, max_n, taps, k}, &o, args, max_n, true);
    for (size_t i = 0; i < m * max_n; i++) {
      if (bits_of(out[i]) != want) check_fail("%zu rows: row %zu, channel %zu differs from others", m, i / max_n, i % max_n);
    }
  }
}

/* NaN and infinity in one row, NaN in one channel's weights: they reach those outputs and no others. */
static void test_not_finite(const ert_fgemm_kernel *kernel) {
  static operands o;
  const sizes s = {2u * kernel->mr + 1, 2u * kernel->nr + 1, 2, 5};
  check_begin("%s NaN and infinity", kernel->name);
  float *x = check_place(x_memory, s.m * s.taps * s.k * sizeof(float), true);
  for (size_t i = 0; i < s.m * s.taps * s.k; i++) x[i] = fabsf(random_float()) + 0.01f;
  for (size_t i = 0; i < s.n * s.taps * s.k; i++) raw_weights[i] = fabsf(random_float()) + 0.01f;
  for (size_t i = 0; i < s.m; i++) o.rows[i] = x + i * s.taps * s.k;
  o.tap_offset[0] = 0;
  o.tap_offset[1] = (ptrdiff_t)s.k;
  fill(bias, s.n);
  for (size_t bad = 0; bad < s.m; bad++) {
    const size_t bad_channel = bad % s.n, infinite = (bad + 1) % s.m;
    float *const row = x + bad * s.taps * s.k, *const weight = raw_weights + bad_channel * s.taps * s.k + 7;
    const float row_was = row[4], weight_was = *weight;
    float *const other = x + infinite * s.taps * s.k + 9;
    const float other_was = *other;
    row[4] = NAN;
    *weight = NAN;
    *other = INFINITY;
    const ert_fgemm_args args = {s.n, s.taps, s.k, o.tap_offset, NULL, 0.0f, 6.0f};
    const float *out = run(kernel, s, &o, args, s.n, true);
    for (size_t i = 0; i < s.m; i++) {
      for (size_t j = 0; j < s.n; j++) {
        const float got = out[i * s.n + j];
        if ((i == bad || j == bad_channel) != (got != got)) check_fail("row %zu, channel %zu is %g", i, j, (double)got);
        if (i == infinite && j != bad_channel && got != 6.0f) check_fail("infinity was not clamped: %g", (double)got);
      }
    }
    row[4] = row_was;
    *weight = weight_was;
    *other = other_was;
  }
}

/* [K][N] packs to the same bytes as [N][K]. */
static void test_pack(const ert_fgemm_kernel *kernel) {
  const size_t n = 2u * kernel->nr + 1, taps = 2, k = 3, depth = taps * k;
  check_begin("%s packing a transposed matrix", kernel->name);
  static float transposed[MAX_WEIGHTS];
  fill(raw_weights, n * depth);
  for (size_t j = 0; j < n; j++) {
    for (size_t i = 0; i < depth; i++) transposed[i * n + j] = raw_weights[j * depth + i];
  }
  const size_t bytes = ert_fgemm_packed_bytes(kernel, n, taps, k);
  float *a = check_place(weights_memory, bytes, true), *b = check_place(weights_memory, bytes, false);
  ert_fgemm_pack(kernel, n, taps, k, raw_weights, depth, 1, NULL, a);
  ert_fgemm_pack(kernel, n, taps, k, transposed, 1, n, NULL, b);
  if (memcmp(a, b, bytes) != 0) check_fail("differs from packing the matrix itself");
  if (ert_fgemm_packed_bytes(kernel, SIZE_MAX / 4, 9, 1000) != 0) check_fail("a size that overflows was given as bytes");
  if (ert_fgemm_block_bytes(kernel, SIZE_MAX / 2, 3) != 0) check_fail("a block that overflows was given as bytes");
  cases++;
}

static void test_kernel(const ert_fgemm_kernel *kernel) {
  const size_t max_m = 2u * kernel->mr + 1, max_n = 2u * kernel->nr + 1;
  for (size_t m = 1; m <= max_m; m++) {
    for (size_t n = 1; n <= max_n; n += 1 + (m > 2 && n + 3 < max_n ? check_random() % 3 : 0)) {
      compare(kernel, (sizes){m, n, random_size(3), random_size(12)});
    }
  }
  for (size_t k = 1; k <= 17; k++) {
    for (size_t taps = 1; taps <= MAX_TAPS; taps++) compare(kernel, (sizes){random_size(max_m), random_size(max_n), taps, k});
  }
  for (int i = 0; i < 8; i++) {
    compare(kernel, (sizes){1, random_size(9u * kernel->nr), 1, random_size(60)});  /* several blocks at once */
    compare(kernel, (sizes){MAX_M, max_n, 1, (size_t)check_between(700, 900)});     /* several chunks of rows */
  }
  compare(kernel, (sizes){max_m, kernel->nr + 1u, 1, 12000}); /* one tile of rows is more than a chunk */
  for (size_t k = 1; k <= 8; k++) test_position(kernel, 1 + k % 3, k);
  test_not_finite(kernel);
  test_pack(kernel);
}

static void test_select(void) {
  const ert_isa_set isa = ert_isa_detect();
  for (ert_isa cap = ERT_ISA_SCALAR; cap < ERT_ISA_COUNT; cap++) {
    const ert_isa_set set = ert_isa_up_to(isa, cap);
    for (size_t n = 1; n < 80; n++) {
      const ert_fgemm_kernel *kernel = ert_fgemm_select(set, 10, n, 10);
      check_begin("select below %s, n=%zu", ert_isa_name(cap), n);
      if (kernel == NULL || !ert_isa_has(set, kernel->isa)) check_fail("a kernel outside of the set");
      if (set != 1u << ERT_ISA_SCALAR && n >= 32 && kernel->isa == ERT_ISA_SCALAR) check_fail("the scalar kernel");
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
  const ert_fgemm_kernel *const *kernels = ert_fgemm_kernels(&count);
  const ert_isa_set isa = ert_isa_detect();
  for (size_t i = 0; i < count; i++) {
    if (!ert_isa_has(isa, kernels[i]->isa)) {
      printf("test_fgemm: %s skipped: this processor lacks %s\n", kernels[i]->name, ert_isa_name(kernels[i]->isa));
      continue;
    }
    if (2u * kernels[i]->mr + 1 > MAX_M || 9u * kernels[i]->nr > MAX_N) check_fail("%s: tile too large", kernels[i]->name);
    test_kernel(kernels[i]);
  }
  test_select();
  printf("test_fgemm: %d cases passed\n", cases);
  return 0;
}
