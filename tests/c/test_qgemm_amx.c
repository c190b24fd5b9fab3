/* The qgemm kernels for AMX, on processors that lack it too: there their instructions are emulated (emulate_x86.h). */
#define CHECK_NO_MAIN
#include "emulate_x86.h"
#include "kernels/peak/peak.h"
#include "kernels/qgemm/spills.h"
#include "test_qgemm.c"

#if defined(ERT_ARCH_X86_64) && defined(__linux__)

/* Every k up to some steps of 64, where they are cut in parts of equal size; few other sizes, for emulation is slow. */
static void test_steps(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  for (size_t k = 1; k <= 200; k++) {
    compare(scalar, kernel, (sizes){random_size(40), random_size(2u * kernel->nr + 1), random_size(MAX_TAPS), k});
  }
}

static void test_rows_and_channels(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  for (size_t m = 1; m <= 130; m++) {
    compare(scalar, kernel, (sizes){m, random_size(2u * kernel->nr + 1), random_size(2), random_size(70)});
  }
  for (size_t n = 1; n <= 200; n++) {
    compare(scalar, kernel, (sizes){random_size(40), n, random_size(2), random_size(70)});
  }
}

/* So much k that the left side of all rows does not fit the first-level cache: rows are taken in chunks. */
static void test_chunks(const ert_qgemm_kernel *scalar, const ert_qgemm_kernel *kernel) {
  for (int i = 0; i < 10; i++) {
    const size_t k = (size_t)check_between(400, 1500), m = (size_t)check_between(20, 130);
    compare(scalar, kernel, (sizes){m, random_size(2u * kernel->nr + 1), random_size(2), k});
  }
}

/* Sums that are the bias alone, for the ways in which they are rounded: those of a ReLU can be rounded more quickly
 * where sums are small, or where multipliers are not. Few multipliers are random, most put a sum near a tie. */
static void test_rounding(const ert_qgemm_kernel *kernel) {
  enum { N = 70, M = 5, ROUNDS = 300 };
  static int8_t weights[N], x[1], out[M * N];
  const ptrdiff_t tap_offset = 0;
  const int8_t *const rows[M] = {x, x, x, x, x};
  for (int round = 0; round < ROUNDS; round++) {
    static const int32_t mosts[] = {1 << 22, 1 << 23, 1 << 24, INT32_MAX};
    const int32_t most = mosts[check_between(0, 3)];
    const bool large = check_between(0, 1), biased = check_between(0, 1);
    int32_t bias[N], row_bias[M];
    float multiplier[N];
    for (int i = 0; i < M; i++) row_bias[i] = check_between(-128 * 128, 128 * 128);
    for (int j = 0; j < N; j++) {
      bias[j] = check_between(0, 3) == 0 ? check_between(-most, most) : check_between(0, most >> check_between(0, 22));
      if (check_between(0, 9) == 0) bias[j] = most - check_between(0, 1);
      const int32_t sum = bias[j] == 0 ? 1 : bias[j];
      multiplier[j] = ((float)check_between(0, 260) + 0.5f) / (float)(sum < 0 ? -(int64_t)sum : (int64_t)sum);
      if (check_between(0, 9) == 0) multiplier[j] = check_between(0, 1) ? 0.0f : check_random_multiplier(1e6f);
      if (large && multiplier[j] < 0x1p-15f) multiplier[j] = check_between(0, 1) ? 0x1p-15f : 0.0f;
      if (multiplier[j] >= 1.0f) multiplier[j] = 0x1.fffffep-1f;
    }
    ert_qgemm_args args = {.n = N, .taps = 1, .k = 1, .tap_offset = &tap_offset, .weights = weights_memory.data,
                           .row_bias = biased ? row_bias : NULL, .out_min = -128, .out_max = 127};
    args.out_zero = check_between(0, 3) == 0 ? check_random_zero() : -128;
    check_begin("%s rounding, sums up to %d, %s multipliers", kernel->name, most, large ? "large" : "any");
    memset(weights, -128, sizeof weights); /* with a zero point of 127 too many to take it off: of use is row_bias */
    ert_qgemm_pack(kernel, N, 1, 1, weights, bias, multiplier, 0, biased ? 127 : 0, weights_memory.data);
    kernel->run(&args, M, rows, out, N);
    for (int i = 0; i < M * N; i++) {
      const int32_t sum = (int32_t)((uint32_t)bias[i % N] + (uint32_t)(biased ? row_bias[i / N] : 0));
      const int want = check_requant(sum, multiplier[i % N], args.out_zero, args.out_min, args.out_max);
      if (out[i] != want) {
        const double m = multiplier[i % N];
        check_fail("sum %d, multiplier %a, zero %d: %d, needed %d", sum, m, args.out_zero, out[i], want);
      }
    }
    cases++;
  }
}

/* Packed weights out of a file may say anything of what goes beyond int8. */
static void test_spills_from_file(const ert_qgemm_kernel *kernel) {
  enum { N = 20, TAPS = 2, K = 30 };
  static int8_t w[N * TAPS * K];
  static const int32_t bias[N];
  static const float multiplier[N];
  uint8_t *packed = weights_memory.data;
  check_begin("%s spills", kernel->name);
  w[(3 * TAPS + 1) * K + 7] = 100; /* 110 without the zero point */
  w[(5 * TAPS + 1) * K + 9] = 127; /* 137 */
  ert_qgemm_pack(kernel, N, TAPS, K, w, bias, multiplier, 0, -10, packed);
  ert_qgemm_spills good, bad;
  uint8_t *at = packed + ert_qgemm_block_bytes(kernel, TAPS, K) - ERT_QGEMM_SPILLS_BYTES;
  memcpy(&good, at, sizeof good);
  const ert_qgemm_spill *spill = &good.list[0];
  if (good.keeps_zero != 0 || good.count != 1 || spill->tap != 1 || spill->at != 9 || spill->rest != 10) {
    check_fail("the weight beyond int8 is not there");
  }
  if (ert_qgemm_takes_row_bias(kernel, N, TAPS, K, -10, packed)) check_fail("the zero point is still there");
  for (int change = 0; change < 5; change++, cases++) {
    bad = good;
    if (change == 0) bad.count = ERT_QGEMM_SPILLS + 1;
    if (change == 1) bad.list[0].tap = TAPS;
    if (change == 2) bad.list[0].at = K;
    if (change == 3) bad.list[0].lane = kernel->nr;
    memcpy(at, &bad, sizeof bad);
    if (ert_qgemm_check_packed(kernel, N, TAPS, K, packed) != (change == 4)) check_fail("change %d", change);
  }
}

/* The loop that measures the peak configures tiles of its own. */
static void test_peak(void) {
  size_t count;
  const ert_peak_kernel *const *peaks = ert_peak_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    if (peaks[i]->isa != ERT_ISA_AMX) continue;
    check_begin("the peak of %s", peaks[i]->instructions);
    const uint64_t before = emulate_count;
    peaks[i]->run(3); /* ldtilecfg, 4 loads, 3 times 4 products, tilerelease */
    if (emulate_count != before && emulate_count != before + 18) check_fail("other instructions than these");
    cases++;
  }
}

int main(void) {
  const ert_isa_set isa = ert_isa_detect();
  if (!ert_isa_has(isa, ERT_ISA_AVX512VNNI)) {
    printf("test_qgemm_amx: skipped: this processor lacks avx512vnni; 0 cases passed\n");
    return 0;
  }
  (void)test_kernel; /* its sizes are for kernels that run at speed */
  set_up();
  emulate_start();
  size_t count, tested = 0;
  const ert_qgemm_kernel *const *kernels = ert_qgemm_kernels(&count);
  for (size_t i = 0; i < count; i++) {
    if (kernels[i]->isa != ERT_ISA_AMX) continue;
    test_steps(kernels[0], kernels[i]);
    test_rows_and_channels(kernels[0], kernels[i]);
    test_chunks(kernels[0], kernels[i]);
    test_rounding(kernels[i]);
    test_spills_from_file(kernels[i]);
    tested++;
  }
  test_peak();
  if (tested == 0) check_fail("no kernel for AMX");
  if ((emulate_count == 0) != ert_isa_has(isa, ERT_ISA_AMX)) check_fail("emulated or not, and should not or should");
  printf("test_qgemm_amx: %d cases passed, %llu instructions emulated\n", cases, (unsigned long long)emulate_count);
  return 0;
}

#else
int main(void) {
  (void)set_up;
  (void)test_kernel;
  printf("test_qgemm_amx: skipped: not an x86-64 processor under Linux; 0 cases passed\n");
  return 0;
}
#endif
