/* One matrix product, int8 or float32, over the qgemm and fgemm kernels: rows of taps (qgemm.h) times packed weights.
 * conv2d, fully_connected and matmul are drivers that make row pointers and share out the work.
 */
#ifndef ERT_OPS_DENSE_H
#define ERT_OPS_DENSE_H

#include "kernels/fgemm/fgemm.h"
#include "kernels/fvec/fvec.h"
#include "kernels/qgemm/qgemm.h"
#include "ops/weighted.h"

#define ERT_DENSE_ROWS 256      /* the most rows that a task hands to a kernel at once: their pointers lie on its stack */
#define ERT_DENSE_USUAL_ROWS 64 /* what most kernels are given, which keep all of their left side in the first cache */

typedef struct ert_dense {
  ert_output_rule rule;
  size_t n, taps, k;
  const ptrdiff_t *tap_offset; /* in elements */
  size_t row_step;             /* elements from row to row where all are equally far apart, or 0; set by the driver */
  const ert_qgemm_kernel *qgemm; /* int8 */
  const ert_fgemm_kernel *fgemm; /* float32 */
  const ert_fvec_kernel *fvec;
  size_t mr, nr;      /* the kernel's tile */
  size_t row_chunk;   /* rows that the kernel is best given at once: a multiple of mr */
  size_t block_bytes; /* of the packed weights of nr channels */
  size_t packed_bytes;
  bool row_bias; /* int8: sums of x are wanted, for weights with a zero point or an offset */
} ert_dense;

typedef union ert_dense_rows {
  const int8_t *i8[ERT_DENSE_ROWS];
  const float *f32[ERT_DENSE_ROWS];
} ert_dense_rows;

/* Chooses the kernel for m rows by n channels. rule and tap_offset must outlive `dense`. */
ert_status ert_dense_init(ert_prepare *p, ert_dense *dense, const ert_output_rule *rule, size_t m, size_t n,
                          size_t taps, size_t k, const ptrdiff_t *tap_offset);
const char *ert_dense_kernel_name(const ert_dense *dense);

/* Packs `count` channels of w, which is [count][taps][k]; bias (NULL: none) and rule multipliers start at channel
 * `first`. */
void ert_dense_pack(const ert_dense *dense, size_t first, size_t count, const void *w, const void *bias, void *packed);

/* Checks `count` groups or matrices of packed weights, one behind the other, that may come from a file, and finds out
 * what they need. */
ert_status ert_dense_use(ert_prepare *p, ert_dense *dense, size_t count, const void *packed);

/* out[i][c] for m <= ERT_DENSE_ROWS rows and `count` channels of `packed`; out rows are out_stride elements apart. */
void ert_dense_run(const ert_dense *dense, const void *packed, size_t count, size_t m, const ert_dense_rows *rows,
                   void *out, size_t out_stride);

/* How m rows by n channels are shared out: by rows, or by blocks of channels where there are few rows. */
typedef struct ert_dense_split {
  size_t tasks;
  bool by_rows;
} ert_dense_split;
ert_dense_split ert_dense_choose_split(const ert_dense *dense, size_t m, int threads);

static inline size_t ert_dense_element(const ert_dense *dense) { return dense->rule.is_int8 ? 1 : sizeof(float); }

#endif
