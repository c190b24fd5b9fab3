#include "ops/packing.h"

#include "base/hash.h"
#include "kernels/fdw/layouts.h"
#include "kernels/fgemm/layouts.h"
#include "kernels/qdw/layouts.h"
#include "kernels/qgemm/layouts.h"

/* To be raised when what an operator hands to a kernel's packing changes its meaning: older packages are then packed
 * anew. */
enum { SOURCE_VERSION = 1 };

/* Sizes as the file's: the same on machines of 32 and of 64 bits. */
static uint64_t hash_source(size_t a, size_t b, size_t c, size_t d, const ert_output_rule *rule, size_t channels) {
  const uint64_t sizes[] = {SOURCE_VERSION, a, b, c, d};
  const uint64_t hash = ert_hash(0, sizes, sizeof sizes);
  if (rule == NULL || !rule->is_int8) return hash;
  const int32_t zero_points[] = {rule->zero_x, rule->zero_w};
  return ert_hash(ert_hash(hash, zero_points, sizeof zero_points), rule->multipliers, channels * sizeof(float));
}

ert_packing ert_dense_packing(const ert_dense *dense, size_t count, size_t channels, size_t bytes) {
  const bool int8 = dense->rule.is_int8;
  return (ert_packing){
      .kernel = int8 ? (const void *)dense->qgemm : (const void *)dense->fgemm,
      .kernel_name = ert_dense_kernel_name(dense),
      .isa = int8 ? dense->qgemm->isa : dense->fgemm->isa,
      .layout = int8 ? ert_qgemm_layout : ert_fgemm_layout,
      .source = hash_source(count, dense->n, dense->taps, dense->k, &dense->rule, channels),
      .bytes = bytes,
  };
}

ert_packing ert_qdw_packing(const ert_qdw_kernel *kernel, const ert_output_rule *rule, size_t channels,
                            size_t kernel_h, size_t kernel_w, unsigned turned, size_t bytes) {
  return (ert_packing){
      .kernel = kernel,
      .kernel_name = kernel->name,
      .isa = kernel->isa,
      .layout = ert_qdw_layout,
      .source = hash_source(channels, kernel_h, kernel_w, turned, rule, channels),
      .bytes = bytes,
  };
}

ert_packing ert_fdw_packing(const ert_fdw_kernel *kernel, size_t channels, size_t taps, size_t bytes) {
  return (ert_packing){
      .kernel = kernel,
      .kernel_name = kernel->name,
      .isa = kernel->isa,
      .layout = ert_fdw_layout,
      .source = hash_source(channels, taps, 0, 0, NULL, 0),
      .bytes = bytes,
  };
}
