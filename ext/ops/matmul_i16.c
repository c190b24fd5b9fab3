#include "ops/matmul_i16.h"

#define COLUMNS 64                /* of y, summed up at once */
#define LONGEST ((size_t)1 << 16) /* products of two int16 numbers whose sum stays below 2^47 */
#define WORK_PER_TASK ((size_t)1 << 15)

typedef struct matmul_i16 {
  ert_product_shape shape;
  ert_fixed fixed;
  size_t rows, tasks; /* rows: of all matrices of y */
} matmul_i16;

ert_status ert_matmul_i16_prepare(ert_prepare *p, ert_op *op, const ert_product_shape *shape) {
  const ert_tensor *a = op->in[0], *b = op->in[1], *y = op->out[0];
  ERT_TRY(ert_check_dtype(p, y, "output", ERT_DTYPE_INT16));
  ERT_TRY(ert_check_symmetric(p, a, "first input"));
  ERT_TRY(ert_check_symmetric(p, b, "second input"));
  ERT_TRY(ert_check_symmetric(p, y, "output"));
  ERT_REQUIRE(p, shape->k <= LONGEST, "sums have %zu terms, needed at most %zu", shape->k, LONGEST);
  matmul_i16 *m = ert_prepare_alloc(p, sizeof *m);
  if (m == NULL) return ERT_OUT_OF_MEMORY;
  *m = (matmul_i16){.shape = *shape, .rows = shape->n == 0 ? 0 : y->elements / shape->n};
  const double product = (double)a->scales[0] * (double)b->scales[0];
  ERT_TRY(ert_fixed_init(p, product / (double)y->scales[0], ERT_FIXED_SHIFT_64, &m->fixed));
  const size_t work = shape->k > 0 && y->elements > SIZE_MAX / shape->k ? SIZE_MAX : y->elements * shape->k;
  m->tasks = ert_min_size((size_t)ert_prepare_threads(p), work / WORK_PER_TASK);
  m->tasks = ert_max_size(1, ert_min_size(m->tasks, m->rows));
  op->state = m;
  return ERT_OK;
}

/* Which matrix of an operand belongs to batch `batch` of y. */
static size_t matrix_of(const ert_product_shape *s, const size_t *strides, size_t batch) {
  size_t matrix = 0;
  for (int i = s->batch_rank - 1; i >= 0; i--) {
    matrix += batch % s->batch_dims[i] * strides[i];
    batch /= s->batch_dims[i];
  }
  return matrix;
}

static void run_task(void *arg, size_t task) {
  const ert_op *op = arg;
  const matmul_i16 *m = op->state;
  const ert_product_shape *s = &m->shape;
  const size_t a_step = s->transpose_a ? s->m : 1, a_row = s->transpose_a ? 1 : s->k;
  const size_t b_step = s->transpose_b ? 1 : s->n, b_column = s->transpose_b ? s->k : 1;
  size_t begin, end;
  ert_split(m->rows, 1, m->tasks, task, &begin, &end);
  for (size_t row = begin; row < end; row++) {
    const size_t batch = row / s->m;
    const int16_t *a = (const int16_t *)op->in[0]->data + matrix_of(s, s->a_strides, batch) * s->m * s->k;
    const int16_t *b = (const int16_t *)op->in[1]->data + matrix_of(s, s->b_strides, batch) * s->n * s->k;
    int16_t *y = (int16_t *)op->out[0]->data + row * s->n;
    a += row % s->m * a_row;
    for (size_t first = 0; first < s->n; first += COLUMNS) {
      const size_t n = ert_min_size(COLUMNS, s->n - first);
      int64_t sums[COLUMNS] = {0};
      for (size_t k = 0; k < s->k; k++) {
        const int16_t *from = b + k * b_step + first * b_column;
        for (size_t c = 0; c < n; c++) sums[c] += a[k * a_step] * from[c * b_column];
      }
      for (size_t c = 0; c < n; c++)
        y[first + c] = ert_clamp_i16(ert_rescale_64(sums[c], m->fixed), INT16_MIN, INT16_MAX);
    }
  }
}

ert_status ert_matmul_i16_invoke(ert_op *op) {
  ert_pool_run(op->pool, ((const matmul_i16 *)op->state)->tasks, run_task, op);
  return ERT_OK;
}
