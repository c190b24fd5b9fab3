/* The rounding rule: ert_requant equals an independent statement of it, and so does the vector form inside of every
 * qgemm and qdw kernel. A kernel is handed its accumulators as biases over weights of 0, so that any 32-bit value
 * reaches its last step. */
#include "check.h"
#include "kernels/qdw/qdw.h"
#include "kernels/qgemm/qgemm.h"
#include "requant/requant.h"

enum { CHANNELS = 256, ROUNDS = 300, MAX_TAPS = 32, MAX_PACKED = 1 << 16 };

static _Alignas(64) uint8_t packed[MAX_PACKED];
static int8_t zero_weights[CHANNELS];
static long cases;

typedef struct values {
  int32_t acc[CHANNELS];
  float multiplier[CHANNELS];
  int32_t out_zero;
  int8_t out_min, out_max, expected[CHANNELS];
  bool wide;
} values;

/* Accumulators of every size, and multipliers that put the result near the int8 range, on ties and far outside. */
static void fill(values *v) {
  static const int32_t special[] = {0, 1, -1, INT32_MIN, INT32_MAX, INT32_MIN + 1, 16777217, -16777217, 33554433,
                                    8388609};
  v->out_zero = check_random_zero();
  check_random_clamp(&v->out_min, &v->out_max);
  const int most_bits = check_between(0, 1) ? 32 : 23; /* kernels finish small accumulators on shorter ways, too */
  v->wide = check_between(0, 1); /* else multipliers stay below 1, and kernels may take a shorter way */
  for (int i = 0; i < CHANNELS; i++) {
    const int bits = check_between(1, most_bits);
    v->acc[i] = (int32_t)(uint32_t)(check_random() >> 32) >> (32 - bits);
    if (most_bits == 32 && check_between(0, 9) == 0) v->acc[i] = special[check_between(0, 9)];
    const float size = v->acc[i] < 0 ? -(float)v->acc[i] : (float)v->acc[i] + 1.0f;
    v->multiplier[i] = check_random_multiplier(size);
    if (check_between(0, 3) == 0) v->multiplier[i] = ((float)check_between(0, 300) + 0.5f) / size; /* near a tie */
    if (!v->wide && v->multiplier[i] >= 1.0f) v->multiplier[i] = 0x1.fffffep-1f;
    v->expected[i] = check_requant(v->acc[i], v->multiplier[i], v->out_zero, v->out_min, v->out_max);
  }
}

static void expect(const values *v, int i, int got) {
  if (got != v->expected[i]) {
    check_fail("acc %d, multiplier %a, zero %d, [%d, %d]: %d, needed %d", v->acc[i], v->multiplier[i], v->out_zero,
               v->out_min, v->out_max, got, v->expected[i]);
  }
  cases++;
}

static void test_scalar(void) {
  values v;
  check_begin("ert_requant");
  for (int round = 0; round < 20 * ROUNDS; round++) {
    fill(&v);
    for (int i = 0; i < CHANNELS; i++) {
      expect(&v, i, ert_requant(v.acc[i], v.multiplier[i], v.out_zero, v.out_min, v.out_max));
    }
  }
}

static void test_qgemm(const ert_qgemm_kernel *kernel) {
  values v;
  const int8_t x = 1, *rows[3] = {&x, &x, &x};
  const ptrdiff_t tap_offset = 0;
  int8_t out[3][CHANNELS];
  check_begin("%s", kernel->name);
  if (ert_qgemm_packed_bytes(kernel, CHANNELS, 1, 1) > MAX_PACKED) check_fail("weights need more memory");
  for (int round = 0; round < ROUNDS; round++) {
    fill(&v);
    ert_qgemm_pack(kernel, CHANNELS, 1, 1, zero_weights, v.acc, v.multiplier, 0, 0, packed);
    const int32_t row_bias[3] = {-kernel->w_offset, -kernel->w_offset, -kernel->w_offset};
    const ert_qgemm_args args = {.n = CHANNELS, .taps = 1, .k = 1, .tap_offset = &tap_offset, .weights = packed,
                                 .row_bias = row_bias,
                                 .out_zero = v.out_zero, .out_min = v.out_min, .out_max = v.out_max, .wide = v.wide};
    kernel->run(&args, 3, rows, out[0], CHANNELS);
    for (int i = 0; i < 3 * CHANNELS; i++) expect(&v, i % CHANNELS, out[i / CHANNELS][i % CHANNELS]);
  }
}

static void test_qdw(const ert_qdw_kernel *kernel) {
  values v;
  static const int8_t x[CHANNELS];
  static const int8_t *rows[MAX_TAPS];
  static int8_t weights[MAX_TAPS * CHANNELS];
  int8_t out[2 * CHANNELS];
  const size_t h = kernel->kernel_h ? kernel->kernel_h : 1, w = kernel->kernel_w ? kernel->kernel_w : 1;
  check_begin("%s", kernel->name);
  if (h * w > MAX_TAPS || ert_qdw_packed_bytes(kernel, CHANNELS, h, w) > MAX_PACKED) check_fail("weights need more memory");
  for (size_t i = 0; i < h; i++) rows[i] = x;
  for (int round = 0; round < ROUNDS; round++) {
    fill(&v);
    ert_qdw_pack(kernel, CHANNELS, h, w, weights, NULL, v.acc, v.multiplier, 0, packed);
    const ert_qdw_args args = {.channels = CHANNELS, .kernel_h = h, .kernel_w = w, .weights = packed,
                               .out_zero = v.out_zero, .out_min = v.out_min, .out_max = v.out_max, .wide = v.wide};
    kernel->run(&args, 2, rows, out);
    for (int i = 0; i < 2 * CHANNELS; i++) expect(&v, i % CHANNELS, out[i]);
  }
}

int main(void) {
  check_start();
  const ert_isa_set isa = ert_isa_detect();
  size_t count;
  test_scalar();
  const ert_qgemm_kernel *const *qgemm = ert_qgemm_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    if (ert_isa_has(isa, qgemm[i]->isa)) test_qgemm(qgemm[i]);
  }
  const ert_qdw_kernel *const *qdw = ert_qdw_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    if (ert_isa_has(isa, qdw[i]->isa)) test_qdw(qdw[i]);
  }
  printf("test_requant: %ld cases passed\n", cases);
  return 0;
}
