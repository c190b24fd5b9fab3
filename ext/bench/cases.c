/* Every family's cases in one sequence, and the memory that they work on. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bench/family.h"
#include "core/internal.h"

static const ert_bench_family *const FAMILIES[] = {&ert_bench_qgemm, &ert_bench_qdw,  &ert_bench_qadd,
                                                   &ert_bench_fgemm, &ert_bench_fdw, &ert_bench_fvec};
enum { FAMILY_COUNT = sizeof FAMILIES / sizeof *FAMILIES };

ert_status ert_bench_isa(const char *isa_max, ert_isa_set *isa, ert_error *error) {
  const ert_status status = ert_allowed_isa(isa_max, isa, error);
  return status == ERT_OK ? ert_clear(error) : status;
}

uint32_t ert_bench_case_count(void) {
  size_t count = 0;
  for (int f = 0; f < FAMILY_COUNT; f++) count += FAMILIES[f]->layers * FAMILIES[f]->kernels();
  return (uint32_t)count;
}

/* NULL when there is no case i. */
static const ert_bench_family *find(size_t i, size_t *layer, size_t *kernel) {
  for (int f = 0; f < FAMILY_COUNT; f++) {
    const size_t kernels = FAMILIES[f]->kernels(), count = FAMILIES[f]->layers * kernels;
    if (i < count) {
      *layer = i / kernels;
      *kernel = i % kernels;
      return FAMILIES[f];
    }
    i -= count;
  }
  return NULL;
}

bool ert_bench_describe(uint32_t i, ert_isa_set isa, ert_bench_case *c) {
  size_t layer, kernel;
  const ert_bench_family *family = find(i, &layer, &kernel);
  return family != NULL && family->describe(layer, kernel, isa & ert_isa_detect(), c);
}

double ert_bench_run(ert_bench *bench, uint32_t i, unsigned runs) {
  size_t layer, kernel;
  const ert_bench_family *family = find(i, &layer, &kernel);
  return family == NULL ? 0 : family->run(bench, layer, kernel, runs);
}

static void fill(void *buffer, uint32_t *random) {
  for (size_t i = 0; i < ERT_BENCH_BYTES / sizeof(uint32_t); i++) {
    *random = *random * 1664525u + 1013904223u; /* Numerical Recipes, 7.1 */
    const uint32_t low = 1 + (*random >> 9) % 255, next = 1 + (*random >> 17) % 255, third = *random >> 25;
    const uint32_t word = (*random & 256 ? 0xbf000000u : 0x3f000000u) | third << 16 | (next ^ 128) << 8 | (low ^ 128);
    memcpy((char *)buffer + i * sizeof word, &word, sizeof word);
  }
}

ert_status ert_bench_create(ert_bench **out, ert_error *error) {
  ert_bench *b = *out = calloc(1, sizeof *b);
  if (b == NULL) goto no_memory;
  b->rows = malloc(ERT_BENCH_ROWS * sizeof *b->rows);
  b->multiplier = malloc(ERT_BENCH_CHANNELS * sizeof *b->multiplier);
  if (b->rows == NULL || b->multiplier == NULL) goto no_memory;
  for (int i = 0; i < ERT_BENCH_CHANNELS; i++) b->multiplier[i] = 0.0005f;
  uint32_t random = 1;
  void **const buffers[] = {&b->x, &b->w, &b->packed, &b->out};
  for (int i = 0; i < 4; i++) {
    *buffers[i] = ert_aligned_alloc(ERT_BENCH_BYTES);
    if (*buffers[i] == NULL) goto no_memory;
    fill(*buffers[i], &random);
  }
  return ert_clear(error);
no_memory:
  ert_bench_destroy(b);
  *out = NULL;
  return ert_report(error, ERT_OUT_OF_MEMORY, "no memory for the layers to measure: 32 MiB are needed");
}

void ert_bench_destroy(ert_bench *b) {
  if (b == NULL) return;
  ert_aligned_free(b->x);
  ert_aligned_free(b->w);
  ert_aligned_free(b->packed);
  ert_aligned_free(b->out);
  free(b->rows);
  free(b->multiplier);
  free(b);
}
