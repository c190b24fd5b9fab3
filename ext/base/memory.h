/* Sizes that cannot overflow, and aligned memory. */
#ifndef ERT_BASE_MEMORY_H
#define ERT_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERT_ALIGN 64 /* bytes: a cache line, and the widest vector */

static inline bool ert_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool ert_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline size_t ert_round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
static inline size_t ert_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t ert_max_size(size_t a, size_t b) { return a > b ? a : b; }

/* Aligned to ERT_ALIGN; NULL when there is no memory (or bytes is 0). ert_aligned_free takes NULL too. */
void *ert_aligned_alloc(size_t bytes);
void ert_aligned_free(void *p);

/* The same for a large block that will soon be used all over: the system hands out its pages now, in large pieces where it
 * can, and not one by one at the first touch, which costs as much as a small network takes to run. Zeroed. */
void *ert_pages_alloc(size_t bytes);
void ert_pages_free(void *p, size_t bytes);
/* The same, but pages come at the first touch: for a block that may not be used. */
void *ert_pages_reserve(size_t bytes);
/* Gives back what lies beyond the first `kept` bytes; returns how many stay, which ert_pages_free wants to know. */
size_t ert_pages_trim(void *p, size_t bytes, size_t kept);

/* Here they are ordinary blocks: no such system, or AddressSanitizer, whose heap sees what reads beyond the end. */
#if !defined(__linux__) || defined(__SANITIZE_ADDRESS__)
#define ERT_PLAIN_PAGES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ERT_PLAIN_PAGES 1
#endif
#endif

#endif
