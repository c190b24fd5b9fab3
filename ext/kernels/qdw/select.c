#include "kernels/qdw/layouts.h"

#define ERT_QDW(name) extern const ert_qdw_kernel ert_qdw_##name;
#include "kernels/qdw/kernels.inc"
#undef ERT_QDW

static const ert_qdw_kernel *const KERNELS[] = {
#define ERT_QDW(name) &ert_qdw_##name,
#include "kernels/qdw/kernels.inc"
#undef ERT_QDW
};

const ert_qdw_kernel *const *ert_qdw_kernels(size_t *count) {
  *count = sizeof KERNELS / sizeof *KERNELS;
  return KERNELS;
}

/* Kernels of two rows are for channels that fill half a vector, or of which several pixels fill it without a rest. */
static bool suits_two_rows(const ert_qdw_kernel *kernel, size_t channels) {
  return channels >= 24 || kernel->nr % channels == 0;
}

static bool serves(const ert_qdw_kernel *kernel, size_t channels, size_t kernel_h, size_t kernel_w, bool symmetric,
                   bool dense) {
  if (kernel->int8_weights && !symmetric) return false;
  if (kernel->out_rows == 2 && (!dense || !suits_two_rows(kernel, channels))) return false;
  if (kernel->kernel_h != 0) return kernel->kernel_h == kernel_h && kernel->kernel_w == kernel_w;
  if (!kernel->strip) return true;
  const size_t most = ERT_QDW_STRIP_CELLS;
  return kernel_h <= most * kernel->tap_group && kernel_w <= most &&
         ert_qdw_strip_cells(kernel->tap_group, kernel_h, kernel_w) <= most;
}

/* The highest instruction set wins, then a kernel for just this window, then the later in the list. */
const ert_qdw_kernel *ert_qdw_select(ert_isa_set isa, size_t channels, size_t kernel_h, size_t kernel_w, bool symmetric,
                                     bool dense) {
  size_t count;
  const ert_qdw_kernel *const *kernels = ert_qdw_known(isa, &count), *best = kernels[0];
  for (size_t i = 1; i < count; i++) {
    const ert_qdw_kernel *kernel = kernels[i];
    if (!ert_isa_has(isa, kernel->isa) || kernel->isa < best->isa) continue;
    if (!serves(kernel, channels, kernel_h, kernel_w, symmetric, dense)) continue;
    if (kernel->isa == best->isa && best->kernel_h != 0 && kernel->kernel_h == 0) continue;
    best = kernel;
  }
  return best;
}
