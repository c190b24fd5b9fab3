/* int8 weights from numbers of four bits, two a byte, the even one in the low half; and a factor for every BLOCK of a
 * row. y = clamp(q * multiplier, -127, 127). */
#include "ops/chunks.h"

enum { BLOCK = 32 };

typedef struct unpack_state {
  size_t rows, columns, row_bytes, row_blocks;
} unpack_state;

static ert_status check_rows(ert_prepare *p, const ert_tensor *t, const char *what, size_t rows, size_t each) {
  ERT_TRY(ert_check_dtype(p, t, what, ERT_DTYPE_UINT8));
  ERT_TRY(ert_check_rank(p, t, what, 2));
  ERT_REQUIRE(p, (size_t)t->dims[0] == rows && (size_t)t->dims[1] == each, "%s has shape [%d, %d], needed [%zu, %zu]",
              what, (int)t->dims[0], (int)t->dims[1], rows, each);
  return ERT_OK;
}

static ert_status prepare(ert_prepare *p, ert_op *op) {
  ERT_TRY(ert_check_dtype(p, op->out[0], "output", ERT_DTYPE_INT8));
  const ert_fb_vector shape = ert_unpack_int4_attrs_shape(op->attrs);
  ERT_REQUIRE(p, shape.count >= 1 && shape.count <= ERT_MAX_RANK, "shape has %u dimensions, needed 1 to %d",
              (unsigned)shape.count, ERT_MAX_RANK);
  int32_t dims[ERT_MAX_RANK];
  size_t columns = 1;
  for (uint32_t i = 0; i < shape.count; i++) {
    dims[i] = ert_fb_i32_at(shape, i);
    ERT_REQUIRE(p, dims[i] >= 1, "shape[%u] is %d, needed at least 1", (unsigned)i, (int)dims[i]);
    ERT_REQUIRE(p, i == 0 || (ert_mul(columns, (size_t)dims[i], &columns) && columns <= PTRDIFF_MAX / 4),
                "shape is too large");
  }
  unpack_state *s = ert_prepare_alloc(p, sizeof *s);
  if (s == NULL) return ERT_OUT_OF_MEMORY;
  *s = (unpack_state){(size_t)dims[0], columns, (columns + 1) / 2, (columns + BLOCK - 1) / BLOCK};
  op->state = s;
  ERT_TRY(check_rows(p, op->in[0], "input", s->rows, s->row_bytes));
  if (op->in_count > 1 && op->in[1] != NULL) ERT_TRY(check_rows(p, op->in[1], "multipliers", s->rows, s->row_blocks));
  return ert_prepare_shape(p, op->out[0], (int)shape.count, dims);
}

/* Numbers of four bits with their sign. */
static inline int low_half(uint8_t pair) { return ((pair & 15) ^ 8) - 8; }
static inline int high_half(uint8_t pair) { return (pair >> 4 ^ 8) - 8; }

static inline int8_t times(int q, int multiplier) {
  const int y = q * multiplier;
  return (int8_t)(y < -INT8_MAX ? -INT8_MAX : y > INT8_MAX ? INT8_MAX : y);
}

/* n numbers: whole pairs by vectors, as the compiler makes them, and what is left of an odd n. */
static void unpack(size_t n, const uint8_t *pairs, int multiplier, int8_t *y) {
  const size_t whole = n / 2;
  if (multiplier == 1) {
    for (size_t i = 0; i < whole; i++) {
      y[2 * i] = (int8_t)low_half(pairs[i]);
      y[2 * i + 1] = (int8_t)high_half(pairs[i]);
    }
  } else {
    for (size_t i = 0; i < whole; i++) {
      y[2 * i] = times(low_half(pairs[i]), multiplier);
      y[2 * i + 1] = times(high_half(pairs[i]), multiplier);
    }
  }
  if (n % 2 != 0) y[n - 1] = times(low_half(pairs[whole]), multiplier);
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const unpack_state *s = op->state;
  const bool scaled = op->in_count > 1 && op->in[1] != NULL;
  for (size_t row = begin; row < end; row++) {
    const uint8_t *pairs = (const uint8_t *)op->in[0]->data + row * s->row_bytes;
    int8_t *y = (int8_t *)op->out[0]->data + row * s->columns;
    if (!scaled) {
      unpack(s->columns, pairs, 1, y);
      continue;
    }
    const uint8_t *multipliers = (const uint8_t *)op->in[1]->data + row * s->row_blocks;
    for (size_t at = 0; at < s->columns; at += BLOCK)
      unpack(ert_min_size(BLOCK, s->columns - at), pairs + at / 2, multipliers[at / BLOCK], y + at);
  }
}

static ert_status invoke(ert_op *op) {
  const unpack_state *s = op->state;
  const size_t rows = ert_max_size(1, ERT_CHUNK_SIMPLE / s->columns); /* a chunk is whole rows */
  ert_run_chunks(op->pool, s->rows, rows, run, op);
  return ERT_OK;
}

const ert_op_def ert_op_unpack_int4 = {"unpack_int4", 1, 2, 1, prepare, invoke, ERT_TRAIT_EXPANDS};
