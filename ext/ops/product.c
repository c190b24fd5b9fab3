#include "ops/product.h"

#include <string.h>

#include "ops/packing.h"

/* The one tap of a plain row. */
static const ptrdiff_t no_offset[1] = {0};

/* out[r][c] = in[c][r]: `columns` rows of in, in_stride elements apart, become the columns of out. */
static void transpose(size_t element, size_t rows, size_t columns, const uint8_t *in, size_t in_stride, uint8_t *out) {
  if (element == 1) {
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < columns; c++) out[r * columns + c] = in[c * in_stride + r];
  } else {
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < columns; c++) memcpy(out + (r * columns + c) * 4, in + (c * in_stride + r) * 4, 4);
  }
}

/* Packs `count` channels from `first` on of one matrix of b. turned: room for nr * k elements, used for [k, n]. */
static void pack_block(const ert_product *product, const uint8_t *b, size_t first, size_t count, uint8_t *turned,
                       void *packed) {
  const ert_dense *dense = &product->dense;
  const size_t element = ert_dense_element(dense), n = product->shape.n, k = product->shape.k;
  if (product->shape.transpose_b) {
    b += first * k * element;
  } else {
    transpose(element, count, k, b + first * element, n, turned);
    b = turned;
  }
  ert_dense_pack(dense, first, count, b, product->bias, packed);
}

typedef struct constants {
  const ert_product *product;
  const ert_tensor *b;
} constants;

static ert_status pack_matrices(const void *context, void *packed) {
  const constants *from = context;
  const ert_product *product = from->product;
  const ert_dense *dense = &product->dense;
  const size_t n = product->shape.n, k = product->shape.k, element = ert_dense_element(dense);
  uint8_t *turned = NULL;
  if (!product->shape.transpose_b) {
    size_t turned_bytes;
    if (!ert_mul(dense->nr * element, k, &turned_bytes) || (turned = ert_aligned_alloc(turned_bytes)) == NULL)
      return ERT_OUT_OF_MEMORY;
  }
  for (size_t i = 0; i < from->b->elements / (n * k); i++) {
    const uint8_t *matrix = (const uint8_t *)from->b->data + i * n * k * element;
    for (size_t block = 0; block < product->blocks; block++) {
      const size_t first = block * dense->nr;
      pack_block(product, matrix, first, ert_min_size(dense->nr, n - first), turned,
                 (uint8_t *)packed + (i * product->blocks + block) * dense->block_bytes);
    }
  }
  ert_aligned_free(turned);
  return ERT_OK;
}

static ert_status pack_constant(ert_prepare *p, ert_op *op, ert_product *product) {
  const ert_tensor *b = op->in[1];
  const size_t n = product->shape.n, k = product->shape.k, matrices = b->elements / (n * k);
  size_t bytes;
  ERT_REQUIRE(p, ert_mul(product->dense.packed_bytes, matrices, &bytes),
              "%zu matrices of %zu by %zu are too large to pack", matrices, n, k);
  const constants from = {product, b};
  ert_packing packing = ert_dense_packing(&product->dense, matrices, n, bytes);
  packing.pack = pack_matrices;
  packing.context = &from;
  packing.source += product->shape.transpose_b; /* [n, k] and [k, n] may have the same sizes */
  const void *packed;
  ERT_TRY(ert_prepare_packed(p, &packing, &packed));
  product->packed = packed;
  op->unread = ERT_WEIGHTS_AND_BIAS;
  return ert_dense_use(p, &product->dense, matrices, packed);
}

/* Scratch: [a turned][each task: a packed block, turned channels of b]. */
static ert_status plan_scratch(ert_prepare *p, ert_product *product, const ert_tensor *a) {
  const ert_dense *dense = &product->dense;
  product->turned_a_bytes = product->shape.transpose_a ? ert_round_up(a->bytes, ERT_ALIGN) : 0;
  size_t turned = 0, total = 0;
  bool fits = true;
  if (product->packed == NULL) {
    product->turned_b_offset = dense->block_bytes; /* a multiple of ERT_ALIGN */
    if (!product->shape.transpose_b)
      fits = ert_mul(dense->nr * ert_dense_element(dense), product->shape.k, &turned) && turned <= PTRDIFF_MAX;
    fits = fits && ert_add(dense->block_bytes, ert_round_up(turned, ERT_ALIGN), &product->task_bytes) &&
           ert_mul(product->task_bytes, product->tasks, &total);
  }
  ERT_REQUIRE(p, fits && ert_add(total, product->turned_a_bytes, &total), "a product over %zu elements is too large",
              product->shape.k);
  ert_prepare_scratch(p, total);
  return ERT_OK;
}

/* One matrix of b for all of a: the batches of a are then so many more rows. */
static void fold_batches(ert_product_shape *shape) {
  if (shape->transpose_a) return;
  size_t batches = 1;
  for (int i = shape->batch_rank - 1; i >= 0; i--) {
    const bool a_continues = shape->a_strides[i] == batches || shape->batch_dims[i] == 1;
    const bool b_repeats = shape->b_strides[i] == 0 || shape->batch_dims[i] == 1;
    if (!a_continues || !b_repeats) return;
    batches *= shape->batch_dims[i];
  }
  shape->m *= batches; /* m * n elements of y: no overflow */
  shape->batch_rank = 0;
}

ert_status ert_product_prepare(ert_prepare *p, ert_op *op, const ert_product_shape *shape, const ert_output_rule *rule,
                               const void *bias) {
  ert_product *product = ert_prepare_alloc(p, sizeof *product);
  if (product == NULL) return ERT_OUT_OF_MEMORY;
  *product = (ert_product){.shape = *shape, .bias = bias, .batches = 1};
  fold_batches(&product->shape);
  for (int i = 0; i < product->shape.batch_rank; i++) product->batches *= product->shape.batch_dims[i];
  ERT_TRY(ert_dense_init(p, &product->dense, rule, product->shape.m, shape->n, 1, shape->k, no_offset));
  product->dense.row_step = shape->k;
  product->blocks = (shape->n + product->dense.nr - 1) / product->dense.nr;

  if (op->in[1]->kind == ERT_TENSOR_KIND_CONSTANT) ERT_TRY(pack_constant(p, op, product));
  const ert_dense_split split =
      ert_dense_choose_split(&product->dense, product->shape.m * product->batches, ert_prepare_threads(p));
  const size_t row_tiles = (product->shape.m + product->dense.mr - 1) / product->dense.mr;
  product->by_rows = product->packed != NULL && product->batches == 1 && split.by_rows;
  product->tasks = split.tasks;
  if (!product->by_rows) product->tasks = ert_min_size(split.tasks, product->batches * product->blocks);
  if (product->by_rows) product->tasks = ert_min_size(product->tasks, row_tiles);
  op->state = product;
  op->kernel = ert_dense_kernel_name(&product->dense);
  return plan_scratch(p, product, op->in[0]);
}

typedef struct product_run {
  const ert_product *product;
  const uint8_t *a, *b;
  uint8_t *y;
  uint8_t *task_scratch;
} product_run;

/* Which matrix of an operand a batch uses. */
static size_t matrix_of(const ert_product_shape *shape, const size_t *strides, size_t batch) {
  size_t matrix = 0;
  for (int i = shape->batch_rank - 1; i >= 0; i--) {
    matrix += batch % shape->batch_dims[i] * strides[i];
    batch /= shape->batch_dims[i];
  }
  return matrix;
}

/* Rows [begin, end) by channels first .. first + count - 1 of one batch. */
static void run_part(const product_run *run, size_t batch, size_t begin, size_t end, size_t first, size_t count,
                     const void *packed) {
  const ert_product *product = run->product;
  const ert_product_shape *shape = &product->shape;
  const ert_dense *dense = &product->dense;
  const size_t element = ert_dense_element(dense);
  const size_t a_rows = matrix_of(shape, shape->a_strides, batch) * shape->m, y_rows = batch * shape->m;
  ert_dense_rows rows;
  for (size_t row = begin; row < end; row += dense->row_chunk) {
    const size_t m = ert_min_size(dense->row_chunk, end - row);
    for (size_t i = 0; i < m; i++) {
      const size_t offset = (a_rows + row + i) * shape->k;
      if (dense->rule.is_int8) {
        rows.i8[i] = (const int8_t *)run->a + offset;
      } else {
        rows.f32[i] = (const float *)(const void *)run->a + offset;
      }
    }
    uint8_t *out = run->y + ((y_rows + row) * shape->n + first) * element;
    ert_dense_run(dense, packed, count, m, &rows, out, shape->n);
  }
}

/* Units are the blocks of all batches, batch by batch. */
static void run_units(const product_run *run, size_t begin, size_t end, uint8_t *scratch) {
  const ert_product *product = run->product;
  const ert_product_shape *shape = &product->shape;
  const ert_dense *dense = &product->dense;
  const size_t matrix_bytes = shape->n * shape->k * ert_dense_element(dense);
  for (size_t unit = begin; unit < end;) {
    const size_t batch = unit / product->blocks, block = unit % product->blocks;
    const size_t matrix = matrix_of(shape, shape->b_strides, batch);
    const size_t together = product->packed != NULL ? ert_min_size(end - unit, product->blocks - block) : 1;
    const size_t first = block * dense->nr, count = ert_min_size(together * dense->nr, shape->n - first);
    const void *packed = scratch;
    if (product->packed != NULL) {
      packed = product->packed + (matrix * product->blocks + block) * dense->block_bytes;
    } else {
      pack_block(product, run->b + matrix * matrix_bytes, first, count, scratch + product->turned_b_offset, scratch);
    }
    run_part(run, batch, 0, shape->m, first, count, packed);
    unit += together;
  }
}

static void run_task(void *arg, size_t task) {
  const product_run *run = arg;
  const ert_product *product = run->product;
  size_t begin, end;
  if (product->by_rows) {
    ert_split(product->shape.m, product->dense.mr, product->tasks, task, &begin, &end);
    run_part(run, 0, begin, end, 0, product->shape.n, product->packed);
  } else {
    ert_split(product->batches * product->blocks, 1, product->tasks, task, &begin, &end);
    run_units(run, begin, end, run->task_scratch + task * product->task_bytes);
  }
}

ert_status ert_product_invoke(ert_op *op) {
  const ert_product *product = op->state;
  const ert_product_shape *shape = &product->shape;
  uint8_t *scratch = op->scratch;
  product_run run = {product, op->in[0]->data, op->in[1]->data, op->out[0]->data, scratch};
  if (shape->transpose_a) {
    const size_t element = ert_dense_element(&product->dense), matrix = shape->m * shape->k * element;
    for (size_t at = 0; at < op->in[0]->bytes; at += matrix)
      transpose(element, shape->m, shape->k, run.a + at, shape->m, scratch + at);
    run.a = scratch;
    run.task_scratch = scratch + product->turned_a_bytes;
  }
  ert_pool_run(op->pool, product->tasks, run_task, &run);
  return ERT_OK;
}
