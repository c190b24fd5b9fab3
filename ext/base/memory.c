#include "base/memory.h"

#include <stdlib.h>

/* calloc gives untouched zero pages for large blocks: nothing is written until it is used. The block's own address
 * stands just below the aligned one. */
void *ert_aligned_alloc(size_t bytes) {
  size_t total;
  if (bytes == 0 || !ert_add(bytes, ERT_ALIGN + sizeof(void *), &total)) return NULL;
  void *block = calloc(1, total);
  if (block == NULL) return NULL;
  uintptr_t at = ((uintptr_t)block + sizeof(void *) + ERT_ALIGN - 1) / ERT_ALIGN * ERT_ALIGN;
  ((void **)at)[-1] = block;
  return (void *)at;
}

void ert_aligned_free(void *p) {
  if (p != NULL) free(((void **)p)[-1]);
}

#if !defined(ERT_PLAIN_PAGES)
#include <sys/mman.h>
#include <unistd.h>

/* Since Linux 5.14; older ones refuse it, and pages come at the first touch as ever. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
  LARGE_PAGE = 2 << 20,
  /* More than that is not handed out beforehand: a model may ask for memory that it never uses. */
  MOST_BEFOREHAND = 64 << 20
};

/* A large page that would stay half empty is memory wasted. */
static size_t large_bytes(size_t bytes) {
  const size_t rest = bytes % LARGE_PAGE;
  return bytes - rest + (rest > LARGE_PAGE / 2 ? LARGE_PAGE : 0);
}

static void *map_pages(size_t bytes, bool beforehand) {
  size_t whole;
  if (bytes == 0 || bytes > PTRDIFF_MAX || !ert_add(bytes, 2 * (size_t)LARGE_PAGE, &whole)) return NULL;
  bytes = ert_round_up(bytes, (size_t)sysconf(_SC_PAGESIZE));
  uint8_t *map = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return NULL;
  uint8_t *at = (uint8_t *)ert_round_up((uintptr_t)map, LARGE_PAGE);
  const size_t large = large_bytes(bytes), kept = ert_max_size(large, bytes);
  if (at != map) munmap(map, (size_t)(at - map));
  munmap(at + kept, (size_t)(map + whole - at) - kept);
  if (large != 0) madvise(at, large, MADV_HUGEPAGE);
  if (beforehand && bytes <= MOST_BEFOREHAND) madvise(at, bytes, MADV_POPULATE_WRITE);
  if (kept != bytes) munmap(at + bytes, kept - bytes); /* what is left over of the last large page */
  return at;
}

void *ert_pages_alloc(size_t bytes) { return map_pages(bytes, true); }
void *ert_pages_reserve(size_t bytes) { return map_pages(bytes, false); }

void ert_pages_free(void *p, size_t bytes) {
  if (p != NULL) munmap(p, ert_round_up(bytes, (size_t)sysconf(_SC_PAGESIZE)));
}

size_t ert_pages_trim(void *p, size_t bytes, size_t kept) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = ert_round_up(bytes, page);
  kept = ert_round_up(kept, page);
  if (kept == 0 || kept >= whole) return bytes;
  munmap((uint8_t *)p + kept, whole - kept);
  return kept;
}
#else
void *ert_pages_alloc(size_t bytes) { return ert_aligned_alloc(bytes); }
void *ert_pages_reserve(size_t bytes) { return ert_aligned_alloc(bytes); }
void ert_pages_free(void *p, size_t bytes) {
  (void)bytes;
  ert_aligned_free(p);
}
size_t ert_pages_trim(void *p, size_t bytes, size_t kept) {
  (void)p, (void)kept;
  return bytes;
}
#endif
