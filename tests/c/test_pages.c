/* Blocks of pages under kernels whose pages have 4, 16 and 64 KiB (Raspberry Pi 5, Android 15, servers): the system calls
 * of base/memory.c answered by a table of pages, which refuses what such a kernel refuses. Emulators of processes run with
 * the page size of the machine that they run on. */
#include "check.h"

#include "base/memory.h"
#undef ERT_PLAIN_PAGES /* what sanitized builds have in the place of pages is not meant here */

enum { REGION = 64 << 20, SMALLEST_PAGE = 4096 };

static size_t page;
static size_t first_page; /* where the next mapping begins, in pages of the region */
static uint8_t *region;   /* nothing is ever read or written there */
static bool mapped[REGION / SMALLEST_PAGE];

static long fake_sysconf(int name) {
  if (name != _SC_PAGESIZE) check_fail("sysconf(%d)", name);
  return (long)page;
}

static size_t place(const void *at, const char *what) {
  const size_t offset = (size_t)((const uint8_t *)at - region);
  if (offset % page != 0) check_fail("%s at %zu, which is no page's beginning", what, offset);
  return offset / page;
}

static void *fake_mmap(void *at, size_t bytes, int protection, int flags, int file, long offset) {
  if (at != NULL || bytes == 0 || protection != (PROT_READ | PROT_WRITE) || file != -1 || offset != 0)
    check_fail("mmap of %zu bytes", bytes);
  if (!(flags & MAP_ANONYMOUS)) check_fail("mmap of a file");
  for (size_t i = 0; i < (bytes + page - 1) / page; i++) mapped[first_page + i] = true;
  return region + first_page * page;
}

static int fake_munmap(void *at, size_t bytes) {
  const size_t begin = place(at, "munmap");
  if (bytes == 0) check_fail("munmap of nothing"); /* EINVAL */
  for (size_t i = 0; i < (bytes + page - 1) / page; i++) {
    if (!mapped[begin + i]) check_fail("munmap of page %zu, which is another's", begin + i);
    mapped[begin + i] = false;
  }
  return 0;
}

static int fake_madvise(void *at, size_t bytes, int advice) {
  const size_t begin = place(at, "madvise");
  for (size_t i = 0; i < (bytes + page - 1) / page; i++)
    if (!mapped[begin + i]) check_fail("madvise(%d) of page %zu, which is another's", advice, begin + i);
  return 0;
}

#define sysconf fake_sysconf
#define mmap fake_mmap
#define munmap fake_munmap
#define madvise fake_madvise
#include "base/memory.c"

/* Exactly the pages of this block are there. */
static void check_mapped(const uint8_t *block, size_t bytes) {
  const size_t begin = bytes != 0 ? place(block, "the block") : 0, count = (bytes + page - 1) / page;
  for (size_t i = 0; i < REGION / page; i++)
    if (mapped[i] != (i >= begin && i < begin + count)) check_fail("page %zu is %s", i, mapped[i] ? "left" : "gone");
}

int main(void) {
  int cases = 0;
  /* As the real one: aligned to the largest page. */
  void *memory = malloc(REGION + (2 << 20));
  if (memory == NULL) check_fail("no memory");
  region = (uint8_t *)(((uintptr_t)memory + (2 << 20) - 1) / (2 << 20) * (2 << 20));
  const size_t edges[] = {1, 64, 4095, 4096, 4097, 16384, 16385, 65536, 65537, 1 << 20, (1 << 20) + 1, 2 << 20};
  for (page = SMALLEST_PAGE; page <= 65536; page *= 4) {
    for (int i = 0; i < 600; i++, cases++) {
      const size_t edge = edges[(size_t)check_between(0, sizeof edges / sizeof *edges - 1)];
      size_t bytes = edge + (size_t)check_between(0, 2) * (2 << 20) + (i % 3 ? 0 : (size_t)check_between(0, 300000));
      first_page = (size_t)check_between(0, (int32_t)((8 << 20) / page));
      check_begin("%zu bytes at page %zu of %zu bytes", bytes, first_page, page);
      uint8_t *block = i % 2 ? ert_pages_alloc(bytes) : ert_pages_reserve(bytes);
      if (block == NULL || (uintptr_t)block % ERT_ALIGN != 0) check_fail("block at %p", (void *)block);
      check_mapped(block, bytes);
      if (i % 5 == 0) {
        const size_t kept = (size_t)check_between(0, (int32_t)bytes);
        bytes = ert_pages_trim(block, bytes, kept);
        if (bytes < kept) check_fail("%zu bytes stay of the %zu that are kept", bytes, kept);
        check_mapped(block, bytes);
      }
      ert_pages_free(block, bytes);
      check_mapped(block, 0);
    }
  }
  free(memory);
  printf("test_pages: %d cases passed\n", cases);
  return 0;
}
