/* The emulator that stands in for AMX and AVX-VNNI (emulate_x86.h) does what these instructions are defined to do, and
 * calls faults what they call faults. On a processor that has them the same definitions are checked on it. */
#include "emulate_x86.h"

#include "base/isa.h"

#if defined(__x86_64__) && defined(__linux__)
#include <stddef.h>
#include <sys/wait.h>

static int cases;

static void set_tile(uint8_t config[64], int tile, int rows, int colsb) {
  config[16 + 2 * tile] = (uint8_t)colsb;
  config[48 + tile] = (uint8_t)rows;
}

static void load_config(const uint8_t config[64]) { __asm__ volatile("ldtilecfg (%0)" : : "r"(config) : "memory"); }

/* --- products --- */

enum { NAME_SIZE = 8 };

#define PRODUCTS(name) \
  static void name(void) { __asm__ volatile(#name " %%tmm2, %%tmm1, %%tmm0" : :); }
PRODUCTS(tdpbuud)
PRODUCTS(tdpbusd)
PRODUCTS(tdpbsud)
PRODUCTS(tdpbssd)

static const struct {
  char name[NAME_SIZE];
  void (*run)(void);
  bool a_signed, b_signed;
} KINDS[] = {{"tdpbuud", tdpbuud, false, false},
             {"tdpbusd", tdpbusd, false, true},
             {"tdpbsud", tdpbsud, true, false},
             {"tdpbssd", tdpbssd, true, true}};

/* c[m][n] += sum over k of a[m][k] b[k][n], with b laid out as [k / 4][n][4]; rows lie some bytes apart. */
static void test_products(int kind, int m, int n, int k) {
  enum { STEP = 80 };
  static uint8_t a[16 * STEP], b[16 * STEP], c[16 * STEP], expected[16 * STEP];
  check_begin("%s m=%d n=%d k=%d", KINDS[kind].name, m, n, k);
  check_fill_i8((int8_t *)a, sizeof a);
  check_fill_i8((int8_t *)b, sizeof b);
  check_fill_i8((int8_t *)c, sizeof c);
  memcpy(expected, c, sizeof c);
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) {
      uint32_t sum;
      memcpy(&sum, &c[i * STEP + 4 * j], 4);
      for (int l = 0; l < k; l++) {
        const int x = a[i * STEP + l], y = b[l / 4 * STEP + 4 * j + l % 4];
        const int x_value = KINDS[kind].a_signed && x > 127 ? x - 256 : x;
        const int y_value = KINDS[kind].b_signed && y > 127 ? y - 256 : y;
        sum += (uint32_t)(x_value * y_value);
      }
      memcpy(&expected[i * STEP + 4 * j], &sum, 4);
    }
  }
  uint8_t config[64] = {1}, stored[64];
  set_tile(config, 0, m, 4 * n);
  set_tile(config, 1, m, k);
  set_tile(config, 2, k / 4, 4 * n);
  load_config(config);
  __asm__ volatile("sttilecfg (%0)" : : "r"(stored) : "memory");
  if (memcmp(config, stored, sizeof config) != 0) check_fail("sttilecfg stores another configuration");
  const ptrdiff_t step = STEP / 2;
  __asm__ volatile("tileloadd (%0,%1,2), %%tmm0" : : "r"(c), "r"(step) : "memory");
  __asm__ volatile("tileloaddt1 (%0,%1,2), %%tmm1" : : "r"(a), "r"(step) : "memory");
  __asm__ volatile("tileloadd -16(%0,%1,2), %%tmm2" : : "r"(b + 16), "r"(step) : "memory");
  KINDS[kind].run();
  __asm__ volatile("tilestored %%tmm0, -64(%0,%1,2)" : : "r"(c + 64), "r"(step) : "memory");
  if (memcmp(c, expected, sizeof c) != 0) check_fail("wrong sums, or bytes written beyond them");
  __asm__ volatile("tilezero %%tmm0\n\ttilestored %%tmm0, (%0,%1,2)" : : "r"(c), "r"(step) : "memory");
  for (int i = 0; i < 4 * n; i++)
    if (c[(m - 1) * STEP + i] != 0) check_fail("tilezero leaves something");
  __asm__ volatile("tilerelease");
  cases++;
}

/* --- faults, each in a process of its own --- */

static void config_of(int palette, int reserved, int rows, int colsb) {
  uint8_t config[64] = {(uint8_t)palette, 0, (uint8_t)reserved};
  set_tile(config, 0, rows, colsb);
  load_config(config);
}
static void products_of(int sums_rows, int sums_colsb, int a_rows, int a_colsb, int b_rows, int b_colsb) {
  uint8_t config[64] = {1};
  set_tile(config, 0, sums_rows, sums_colsb);
  set_tile(config, 1, a_rows, a_colsb);
  set_tile(config, 2, b_rows, b_colsb);
  load_config(config);
  tdpbssd();
}
static void palette(void) { config_of(2, 0, 1, 4); }
static void reserved_byte(void) { config_of(1, 1, 1, 4); }
static void many_rows(void) { config_of(1, 0, 17, 4); }
static void many_columns(void) { config_of(1, 0, 1, 65); }
static void no_columns(void) { config_of(1, 0, 1, 0); }
static void ninth_tile(void) {
  uint8_t config[64] = {1};
  set_tile(config, 8, 1, 4);
  load_config(config);
}
static void no_config(void) { tdpbssd(); }
static void released(void) {
  config_of(1, 0, 1, 4);
  __asm__ volatile("tilerelease\n\ttilezero %%tmm0" : :);
}
static void unused_tile(void) {
  config_of(1, 0, 1, 4);
  __asm__ volatile("tilezero %%tmm1" : :);
}
static void rows_differ(void) { products_of(3, 16, 4, 8, 2, 16); }
static void depth_differs(void) { products_of(4, 16, 4, 8, 3, 16); }
static void columns_differ(void) { products_of(4, 16, 4, 8, 2, 12); }
static void part_of_a_group(void) { products_of(4, 16, 4, 9, 2, 16); }
static void same_tile(void) {
  config_of(1, 0, 16, 64);
  __asm__ volatile(".byte 0xc4, 0xe2, 0x7b, 0x5e, 0xc0" : :); /* tdpbssd tmm0, tmm0, tmm0, which assemblers refuse */
}

static void test_faults(void) {
  static void (*const faults[])(void) = {palette,    reserved_byte, many_rows,   many_columns,  no_columns,
                                         ninth_tile, no_config,     released,    unused_tile,   rows_differ,
                                         depth_differs, columns_differ, part_of_a_group, same_tile};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++, cases++) {
    check_begin("fault %zu", i);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      if (freopen("/dev/null", "w", stderr) == NULL) _exit(1);
      faults[i]();
      _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) check_fail("no process");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EMULATE_STATUS) check_fail("ended with %#x", status);
  }
}

/* --- VPDPBUSD with VEX encoding, all that addresses can say --- */

typedef struct vectors {
  uint8_t sums[64], x[32], y[32]; /* sums: all of a ZMM register */
} vectors;

/* Register 12 by 9 and by memory or register 3. */
#define DOT(name, instruction)                                                                                   \
  static void name(vectors *v, const uint8_t *base, ptrdiff_t index) {                                           \
    __asm__ volatile("vmovdqu64 %0, %%zmm12\n\tvmovdqu %1, %%ymm9\n\tvmovdqu %2, %%ymm3\n\t" instruction         \
                     "\n\tvmovdqu64 %%zmm12, %0"                                                                 \
                     : "+m"(v->sums)                                                                             \
                     : "m"(v->x), "m"(v->y), "r"(base), "r"(index)                                               \
                     : "xmm3", "xmm9", "xmm12", "memory");                                                       \
  }
DOT(dot_register, "%{vex%} vpdpbusd %%ymm3, %%ymm9, %%ymm12")
DOT(dot_128, "%{vex%} vpdpbusd %%xmm3, %%xmm9, %%xmm12")
DOT(dot_base, "%{vex%} vpdpbusd (%3), %%ymm9, %%ymm12")
DOT(dot_index, "%{vex%} vpdpbusd -96(%3,%4,4), %%ymm9, %%ymm12")
DOT(dot_far, "%{vex%} vpdpbusd 4096(%3), %%ymm9, %%ymm12")
DOT(dot_words, "%{vex%} vpdpwssd %%ymm3, %%ymm9, %%ymm12")

static void test_dot(const char *name, void (*run)(vectors *, const uint8_t *, ptrdiff_t), ptrdiff_t base,
                     ptrdiff_t index, size_t bytes, bool words) {
  vectors v, expected;
  check_begin("%s", name);
  check_fill_i8((int8_t *)&v, sizeof v);
  expected = v;
  memset(expected.sums + bytes, 0, sizeof expected.sums - bytes);
  for (size_t lane = 0; lane < bytes; lane += 4) {
    uint32_t sum;
    memcpy(&sum, v.sums + lane, 4);
    if (words) {
      for (size_t i = lane; i < lane + 4; i += 2)
        sum += (uint32_t)((int16_t)(v.x[i] | v.x[i + 1] << 8) * (int16_t)(v.y[i] | v.y[i + 1] << 8));
    } else {
      for (size_t i = lane; i < lane + 4; i++) sum += (uint32_t)(v.x[i] * (int8_t)v.y[i]);
    }
    memcpy(expected.sums + lane, &sum, 4);
  }
  run(&v, (const uint8_t *)((uintptr_t)v.y + (uintptr_t)base), index);
  if (memcmp(&v, &expected, sizeof v) != 0) check_fail("wrong sums");
  cases++;
}

int main(void) {
  const ert_isa_set isa = ert_isa_detect();
  check_start();
  emulate_start();
  for (int kind = 0; kind < 4; kind++) {
    test_products(kind, 16, 16, 64);
    for (int i = 0; i < 30; i++)
      test_products(kind, check_between(1, 16), check_between(1, 16), 4 * check_between(1, 16));
  }
  if (!ert_isa_has(isa, ERT_ISA_AMX)) test_faults();
  if (ert_isa_has(isa, ERT_ISA_AVX512VNNI)) { /* for their registers, to see what is left in them */
    for (int i = 0; i < 50; i++) {
      test_dot("register", dot_register, 0, 0, 32, false);
      test_dot("128 bits", dot_128, 0, 0, 16, false);
      test_dot("base", dot_base, 0, 0, 32, false);
      test_dot("index", dot_index, 0, 24, 32, false);
      test_dot("far", dot_far, -4096, 0, 32, false);
      test_dot("words", dot_words, 0, 0, 32, true);
    }
  } else {
    printf("test_emulate_x86: dot products skipped: this processor lacks avx512vnni\n");
  }
  printf("test_emulate_x86: %d cases passed\n", cases);
  return 0;
}

#else
int main(void) {
  printf("test_emulate_x86: skipped: not an x86-64 processor under Linux; 0 cases passed\n");
  return 0;
}
#endif
