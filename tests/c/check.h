/* What the kernel tests share: reproducible random data, memory whose ends are guarded, and a report that names the
 * case at work even when a kernel faults.
 *
 * Each test is a program of its own: it prints what differs and exits with 1, or prints how many cases passed. */
#ifndef ERT_TESTS_CHECK_H
#define ERT_TESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Says what is under test; printed by check_fail and when the program gets SIGSEGV, SIGBUS or SIGILL. */
static char check_context[512] = "start";

static inline void check_begin(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(check_context, sizeof check_context, format, args);
  va_end(args);
}

static inline void check_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "FAILED %s: ", check_context);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static inline void check_on_signal(int signal_number) {
  const char *what = signal_number == SIGILL ? "FAILED (instruction that the processor lacks) "
                                             : "FAILED (access outside of the buffers) ";
  ssize_t ignored = write(2, what, strlen(what));
  ignored = write(2, check_context, strlen(check_context));
  ignored = write(2, "\n", 1);
  (void)ignored;
  _exit(1);
}

static inline void check_start(void) {
  signal(SIGSEGV, check_on_signal);
  signal(SIGBUS, check_on_signal);
  signal(SIGILL, check_on_signal);
}

/* --- random numbers: xorshift64*, Vigna 2016 --- */

static uint64_t check_random_state = 0x9E3779B97F4A7C15u;

static inline uint64_t check_random(void) {
  uint64_t x = check_random_state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  check_random_state = x;
  return x * 0x2545F4914F6CDD1Du;
}

/* Uniform in [lo, hi]. */
static inline int32_t check_between(int32_t lo, int32_t hi) {
  return (int32_t)(lo + (int64_t)((check_random() >> 32) % (uint64_t)((int64_t)hi - lo + 1)));
}

/* Full range with many values at its ends, where saturation goes wrong; now and then all bytes are an end. */
static inline void check_fill_i8(int8_t *p, size_t n) {
  const int kind = check_between(0, 9);
  for (size_t i = 0; i < n; i++) {
    const uint64_t r = check_random() >> 20;
    int value = (int)(r & 255) - 128;
    if (kind == 0) value = -128;
    if (kind == 1) value = 127;
    if (kind == 2) value = r & 256 ? -128 : 127;
    p[i] = (int8_t)value;
  }
}

/* --- memory between two pages that may not be touched --- */

enum { CHECK_FILL = 0xA5 };

typedef struct check_memory {
  uint8_t *data; /* writable: bytes */
  size_t bytes;
} check_memory;

static inline check_memory check_map(size_t bytes) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t inner = (bytes + page - 1) / page * page;
  uint8_t *map = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED || mprotect(map + page, inner, PROT_READ | PROT_WRITE) != 0) {
    perror("mmap");
    exit(1);
  }
  return (check_memory){map + page, inner};
}

/* A place for `bytes` bytes in the memory that ends (or else begins) at the forbidden page. */
static inline void *check_place(check_memory memory, size_t bytes, bool at_end) {
  if (bytes > memory.bytes) check_fail("the test needs %zu bytes and mapped %zu", bytes, memory.bytes);
  return at_end ? memory.data + memory.bytes - bytes : memory.data;
}

static inline void check_paint(check_memory memory) { memset(memory.data, CHECK_FILL, memory.bytes); }

/* Fails when a byte near [begin, begin + bytes) no longer has the colour of check_paint. */
static inline void check_painted_around(check_memory memory, const uint8_t *begin, size_t bytes) {
  const uint8_t *first = begin - memory.data > 256 ? begin - 256 : memory.data;
  const uint8_t *end = begin + bytes, *limit = memory.data + memory.bytes;
  const uint8_t *last = limit - end > 256 ? end + 256 : limit;
  for (const uint8_t *p = first; p < last; p++) {
    if ((p < begin || p >= end) && *p != CHECK_FILL) check_fail("wrote byte %td of an output of %zu", p - begin, bytes);
  }
}

/* --- the rounding rule, written independently of requant.h --- */

static inline int8_t check_requant(int32_t acc, float multiplier, int32_t out_zero, int8_t out_min, int8_t out_max) {
  const volatile float value = (float)acc * multiplier; /* rounded once to float32 */
  double q = (double)value + out_zero;                  /* exact or far outside of every bound */
  if (q < -1000.0) q = -1000.0;
  if (q > 1000.0) q = 1000.0;
  /* A tie is a tie of value, not of value + out_zero: round value itself. */
  double whole = (double)(int64_t)(q - out_zero), rest = (q - out_zero) - whole;
  if (rest > 0.5 || (rest == 0.5 && (int64_t)whole % 2 != 0)) whole += 1.0;
  if (rest < -0.5 || (rest == -0.5 && (int64_t)whole % 2 != 0)) whole -= 1.0;
  const double result = whole + out_zero;
  return (int8_t)(result < out_min ? out_min : result > out_max ? out_max : result);
}

/* Bounds of a fused activation: mostly the full range, sometimes tight or a single value. */
static inline void check_random_clamp(int8_t *lo, int8_t *hi) {
  const int a = check_between(-128, 127), b = check_between(-128, 127);
  *lo = -128;
  *hi = 127;
  if (check_between(0, 2) == 0) {
    *lo = (int8_t)(a < b ? a : b);
    *hi = (int8_t)(a < b ? b : a);
  }
}

static inline int32_t check_random_zero(void) {
  static const int8_t ends[] = {-128, 127, 0, -1};
  return check_between(0, 3) == 0 ? ends[check_between(0, 3)] : check_between(-128, 127);
}

/* A multiplier for accumulators of about +-magnitude; sometimes one that gives ties, saturates or is 0. */
static inline float check_random_multiplier(float magnitude) {
  switch (check_between(0, 15)) {
    case 0: return 0.5f;
    case 1: return 0.0f;
    case 2: return 1e30f;
    case 3: return 1.0f;
    case 4: return 0x1p-9f;
    case 5: return 3e38f;
    case 6: return 1e-40f; /* subnormal */
    default: return (float)check_between(1000, 300000) / 1000.0f / magnitude;
  }
}

#endif
