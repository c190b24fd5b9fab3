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
