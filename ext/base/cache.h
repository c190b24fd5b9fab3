/* What the processor keeps close to its cores. */
#ifndef ERT_BASE_CACHE_H
#define ERT_BASE_CACHE_H

#include <stddef.h>

typedef struct ert_cache {
  size_t bytes;
  int cores; /* that share it; at least 1 */
} ert_cache;

/* The second-level cache of core 0, and its last one before memory, as the system describes them; where it does not, that
 * of most small boards: 512 KiB for four cores (Cortex-A53). Each call reads a few files of /sys. */
ert_cache ert_cache_level2(void);
ert_cache ert_cache_last(void);

#endif
