/* Converts between any two element types, by value.
 *
 * integer to integer: modulo 2^n. float to integer: truncated towards zero, saturated, NaN gives 0. To bool: not equal
 * to 0 (NaN is true). To float: nearest, ties to even; an integer reaches float16 by way of float32.
 */
#include <string.h>

#include "base/half.h"
#include "ops/chunks.h"

#define BLOCK 256 /* elements on the stack between load and store */

typedef union cast_block {
  float real[BLOCK];
  int64_t integer[BLOCK];
} cast_block;

typedef void (*load_fn)(const void *from, size_t at, size_t n, cast_block *block);
typedef void (*store_fn)(const cast_block *block, size_t n, void *to, size_t at);

/* Integers are loaded as int64; float16 and float32 as float32. */
#define DEFINE_LOAD(type, suffix, member, expression)                                                \
  static void load_##suffix(const void *from, size_t at, size_t n, cast_block *block) {              \
    const type *in = (const type *)from + at;                                                        \
    for (size_t i = 0; i < n; i++) block->member[i] = (expression);                                  \
  }
DEFINE_LOAD(float, f32, real, in[i])
DEFINE_LOAD(uint16_t, f16, real, ert_half_to_float(in[i]))
DEFINE_LOAD(int8_t, i8, integer, in[i])
DEFINE_LOAD(uint8_t, u8, integer, in[i])
DEFINE_LOAD(int16_t, i16, integer, in[i])
DEFINE_LOAD(int32_t, i32, integer, in[i])
DEFINE_LOAD(int64_t, i64, integer, in[i])
DEFINE_LOAD(uint8_t, bool, integer, in[i] != 0)
#undef DEFINE_LOAD

/* `above` is the first float beyond the type, `below` the least float within it. */
#define SATURATE(x, type, below, above, least, most) \
  ((x) >= (above) ? (type)(most) : (x) <= (below) ? (type)(least) : (x) != (x) ? (type)0 : (type)(x))

#define DEFINE_STORE(type, suffix, from_integer, from_real)                                             \
  static void store_##suffix##_integer(const cast_block *block, size_t n, void *to, size_t at) {        \
    type *out = (type *)to + at;                                                                        \
    for (size_t i = 0; i < n; i++) {                                                                    \
      const int64_t x = block->integer[i];                                                              \
      out[i] = (from_integer);                                                                          \
    }                                                                                                   \
  }                                                                                                     \
  static void store_##suffix##_real(const cast_block *block, size_t n, void *to, size_t at) {           \
    type *out = (type *)to + at;                                                                        \
    for (size_t i = 0; i < n; i++) {                                                                    \
      const float x = block->real[i];                                                                   \
      out[i] = (from_real);                                                                             \
    }                                                                                                   \
  }
DEFINE_STORE(float, f32, (float)x, x)
DEFINE_STORE(uint16_t, f16, ert_float_to_half((float)x), ert_float_to_half(x))
DEFINE_STORE(int8_t, i8, (int8_t)x, SATURATE(x, int8_t, -128.0f, 128.0f, INT8_MIN, INT8_MAX))
DEFINE_STORE(uint8_t, u8, (uint8_t)x, SATURATE(x, uint8_t, 0.0f, 256.0f, 0, UINT8_MAX))
DEFINE_STORE(int16_t, i16, (int16_t)x, SATURATE(x, int16_t, -32768.0f, 32768.0f, INT16_MIN, INT16_MAX))
DEFINE_STORE(int32_t, i32, (int32_t)x, SATURATE(x, int32_t, -0x1p31f, 0x1p31f, INT32_MIN, INT32_MAX))
DEFINE_STORE(int64_t, i64, x, SATURATE(x, int64_t, -0x1p63f, 0x1p63f, INT64_MIN, INT64_MAX))
DEFINE_STORE(uint8_t, bool, x != 0, x != 0.0f)
#undef DEFINE_STORE

static const load_fn loads[ERT_DTYPE_COUNT] = {
    [ERT_DTYPE_FLOAT32] = load_f32, [ERT_DTYPE_INT8] = load_i8,     [ERT_DTYPE_UINT8] = load_u8,
    [ERT_DTYPE_INT16] = load_i16,   [ERT_DTYPE_INT32] = load_i32,   [ERT_DTYPE_INT64] = load_i64,
    [ERT_DTYPE_BOOL] = load_bool,   [ERT_DTYPE_FLOAT16] = load_f16,
};
static const store_fn stores[ERT_DTYPE_COUNT][2] = { /* of integers, of reals */
    [ERT_DTYPE_FLOAT32] = {store_f32_integer, store_f32_real},
    [ERT_DTYPE_INT8] = {store_i8_integer, store_i8_real},
    [ERT_DTYPE_UINT8] = {store_u8_integer, store_u8_real},
    [ERT_DTYPE_INT16] = {store_i16_integer, store_i16_real},
    [ERT_DTYPE_INT32] = {store_i32_integer, store_i32_real},
    [ERT_DTYPE_INT64] = {store_i64_integer, store_i64_real},
    [ERT_DTYPE_BOOL] = {store_bool_integer, store_bool_real},
    [ERT_DTYPE_FLOAT16] = {store_f16_integer, store_f16_real},
};

static ert_status prepare(ert_prepare *p, ert_op *op) {
  return ert_prepare_shape(p, op->out[0], op->in[0]->rank, op->in[0]->dims); /* dtypes are validated by the core */
}

static void run(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const ert_tensor *x = op->in[0], *y = op->out[0];
  const bool real = x->dtype == ERT_DTYPE_FLOAT32 || x->dtype == ERT_DTYPE_FLOAT16;
  const load_fn load = loads[x->dtype];
  const store_fn store = stores[y->dtype][real];
  cast_block block;
  for (; begin < end; begin += BLOCK) {
    const size_t n = ert_min_size(BLOCK, end - begin);
    load(x->data, begin, n, &block);
    store(&block, n, y->data, begin);
  }
}

static void run_same(void *arg, size_t begin, size_t end) {
  const ert_op *op = arg;
  const size_t size = ert_dtype_size(op->in[0]->dtype);
  memcpy((uint8_t *)op->out[0]->data + begin * size, (const uint8_t *)op->in[0]->data + begin * size,
         (end - begin) * size);
}

static ert_status invoke(ert_op *op) {
  const uint8_t from = op->in[0]->dtype, to = op->out[0]->dtype;
  const bool same = from == to && from != ERT_DTYPE_BOOL; /* a bool is made 0 or 1 */
  ert_run_chunks(op->pool, op->out[0]->elements, ERT_CHUNK_SIMPLE, same ? run_same : run, op);
  return ERT_OK;
}

const ert_op_def ert_op_cast = {"cast", 1, 1, 1, prepare, invoke, ERT_TRAIT_EXPANDS};
