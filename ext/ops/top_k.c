/* The k largest (or smallest) elements along one axis and where they stand, in order; among equals the lower index comes
 * first. Any element type; NaN is the largest of floats. */
#include "ops/move.h"
#include "ops/rows.h"

/* A heap of the k best so far: the worst of them at the root, where a better one replaces it. */
typedef struct entry {
  int64_t key; /* the larger, the better */
  int32_t index;
} entry;

typedef struct top_k_state {
  ert_rows rows;
  size_t k, parts;
  bool smallest;
} top_k_state;

static ert_status prepare(ert_prepare *p, ert_op *op) {
  const ert_tensor *x = op->in[0];
  int axis;
  ERT_TRY(ert_check_move(p, x, op->out[0]));
  ERT_TRY(ert_check_dtype(p, op->out[1], "the output of indices", ERT_DTYPE_INT32));
  ERT_TRY(ert_check_axis(p, ert_top_k_attrs_axis(op->attrs), x->rank, &axis));
  const int32_t k = ert_top_k_attrs_k(op->attrs);
  ERT_REQUIRE(p, k >= 0 && k <= x->dims[axis], "k is %d, needed 0 to %d", (int)k, (int)x->dims[axis]);
  int32_t dims[ERT_MAX_RANK];
  for (int i = 0; i < x->rank; i++) dims[i] = i == axis ? k : x->dims[i];
  ERT_TRY(ert_prepare_shape(p, op->out[0], x->rank, dims));
  ERT_TRY(ert_prepare_shape(p, op->out[1], x->rank, dims));
  top_k_state *state = ert_prepare_alloc(p, sizeof *state);
  if (state == NULL) return ERT_OUT_OF_MEMORY;
  op->state = state;
  if (op->out[0]->elements == 0) return ERT_OK;
  state->rows = ert_rows_of(x, axis);
  state->k = (size_t)k;
  state->smallest = ert_top_k_attrs_smallest(op->attrs);
  size_t bytes;
  const size_t heaps = ert_min_size((size_t)ert_prepare_threads(p), state->rows.count);
  ERT_REQUIRE(p, ert_mul(state->k, sizeof(entry), &bytes) && ert_mul(bytes, heaps, &bytes), "k is too large");
  ert_prepare_scratch(p, bytes);
  return ERT_OK;
}

/* A float's bits as an integer of the same order: negative ones are turned about, both zeros are one, NaN is above all. */
static int64_t float_key(uint32_t bits, uint32_t sign, uint32_t infinity) {
  const uint32_t magnitude = bits & (sign - 1);
  if (magnitude > infinity) return INT64_C(1) << 32;
  return bits & sign ? -(int64_t)magnitude : (int64_t)magnitude;
}

enum { BLOCK = 64 }; /* elements whose keys are read at once */

/* Keys of n elements from element `start` on, `stride` apart; turned about for the smallest (~ cannot overflow). */
static void read_keys(const ert_op *op, size_t start, size_t stride, size_t n, int64_t *keys) {
  const void *data = op->in[0]->data;
#define READ(type, key)                                        \
  for (size_t i = 0; i < n; i++) {                             \
    const type v = ((const type *)data)[start + i * stride];   \
    keys[i] = (key);                                           \
  }                                                            \
  break
  switch (op->in[0]->dtype) {
    case ERT_DTYPE_FLOAT32: READ(uint32_t, float_key(v, 0x80000000u, 0x7f800000u));
    case ERT_DTYPE_FLOAT16: READ(uint16_t, float_key(v, 0x8000u, 0x7c00u));
    case ERT_DTYPE_INT8: READ(int8_t, v);
    case ERT_DTYPE_INT16: READ(int16_t, v);
    case ERT_DTYPE_INT32: READ(int32_t, v);
    case ERT_DTYPE_INT64: READ(int64_t, v);
    default: READ(uint8_t, v);
  }
#undef READ
  if (((const top_k_state *)op->state)->smallest) {
    for (size_t i = 0; i < n; i++) keys[i] = ~keys[i];
  }
}

static bool better(entry a, entry b) { return a.key > b.key || (a.key == b.key && a.index < b.index); }

/* Lets `moved` sink from position `at` to where both below it are better. */
static void sink(entry *heap, size_t n, size_t at, entry moved) {
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && better(heap[child], heap[child + 1])) child++;
    if (!better(moved, heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

static void pick_row(const ert_op *op, size_t row, entry *heap) {
  const top_k_state *s = op->state;
  const size_t start = ert_row_start(&s->rows, row), k = s->k, size = ert_dtype_size(op->in[0]->dtype);
  for (size_t from = 0; from < s->rows.n; from += BLOCK) {
    const size_t n = ert_min_size(BLOCK, s->rows.n - from);
    int64_t keys[BLOCK];
    read_keys(op, start + from * s->rows.inner, s->rows.inner, n, keys);
    for (size_t j = 0; j < n; j++) {
      const size_t i = from + j;
      if (i >= k) { /* behind all that are held: better only with a larger key */
        if (keys[j] > heap[0].key) sink(heap, k, 0, (entry){keys[j], (int32_t)i});
        continue;
      }
      heap[i] = (entry){keys[j], (int32_t)i};
      if (i + 1 == k) for (size_t at = k / 2; at-- > 0;) sink(heap, k, at, heap[at]);
    }
  }
  const size_t out = row / s->rows.inner * s->rows.inner * k + row % s->rows.inner;
  for (size_t left = k; left-- > 0;) { /* the worst first, from the end */
    const entry worst = heap[0];
    sink(heap, left, 0, heap[left]);
    const size_t to = out + left * s->rows.inner, from = start + (size_t)worst.index * s->rows.inner;
    ert_copy_run((uint8_t *)op->out[0]->data + to * size, (const uint8_t *)op->in[0]->data + from * size, size);
    ((int32_t *)op->out[1]->data)[to] = worst.index;
  }
}

static void pick(void *arg, size_t part) {
  const ert_op *op = arg;
  const top_k_state *s = op->state;
  size_t begin, end;
  ert_split(s->rows.count, 1, s->parts, part, &begin, &end);
  for (size_t row = begin; row < end; row++) pick_row(op, row, (entry *)op->scratch + part * s->k);
}

static ert_status invoke(ert_op *op) {
  top_k_state *s = op->state;
  if (op->out[0]->elements == 0) return ERT_OK;
  /* An element costs as much as many bytes that are only moved. */
  s->parts = ert_move_parts(op->pool, s->rows.count, 16 * op->in[0]->elements);
  ert_pool_run(op->pool, s->parts, pick, op);
  return ERT_OK;
}

const ert_op_def ert_op_top_k = {"top_k", 1, 1, 2, prepare, invoke, 0};
