#include "ops/move.h"

enum {
  PARALLEL_BYTES = 128 * 1024, /* a piece that takes a core longer than handing it over does */
  TILE = 32                    /* rows of a transposed block: each fills at least half a cache line */
};

ert_status ert_check_move(ert_prepare *p, const ert_tensor *in, const ert_tensor *out) {
  ERT_REQUIRE(p, in->dtype == out->dtype, "output is %s, needed the input's %s", ert_dtype_name(out->dtype),
              ert_dtype_name(in->dtype));
  const bool plain = in->quant_count == 0 && out->quant_count == 0;
  ERT_REQUIRE(p, plain || ert_same_quant(in, out), "scale or zero point of input and output differ, needed equal ones");
  ERT_REQUIRE(p, in->bytes <= PTRDIFF_MAX, "input of %zu bytes is too large", in->bytes);
  return ERT_OK;
}

void ert_dense_strides(const ert_tensor *t, ptrdiff_t *strides) {
  ptrdiff_t stride = t->elements > 0 ? 1 : 0;
  for (int i = t->rank - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= t->dims[i];
  }
}

ert_status ert_read_ints(ert_prepare *p, ert_fb_vector v, const char *what, int count, int32_t *values) {
  ERT_REQUIRE(p, v.count == (uint32_t)count, "%s has %u values, needed %d", what, (unsigned)v.count, count);
  for (int i = 0; i < count; i++) values[i] = ert_fb_i32_at(v, (uint32_t)i);
  return ERT_OK;
}

size_t ert_move_parts(const ert_pool *pool, size_t items, size_t bytes) {
  size_t parts = ert_min_size((size_t)ert_pool_threads(pool), bytes / PARALLEL_BYTES);
  return ert_max_size(1, ert_min_size(parts, items));
}

void ert_strided_copy_plan(ert_strided_copy *plan, int rank, const size_t *dims, const ptrdiff_t *strides,
                           ptrdiff_t offset, size_t element_bytes) {
  const ptrdiff_t element = (ptrdiff_t)element_bytes;
  *plan = (ert_strided_copy){.offset = offset * element, .run = element_bytes, .runs = 1, .tile_axis = -1};
  for (int i = 0; i < rank; i++) {
    if (dims[i] == 0) plan->runs = 0;
  }
  if (plan->runs == 0) return;

  int n = 0;
  for (int i = 0; i < rank; i++) {
    if (dims[i] == 1) continue;
    const ptrdiff_t stride = strides[i] * element;
    if (n > 0 && plan->strides[n - 1] == stride * (ptrdiff_t)dims[i]) {
      plan->dims[n - 1] *= dims[i];
      plan->strides[n - 1] = stride;
    } else {
      plan->dims[n] = dims[i];
      plan->strides[n++] = stride;
    }
  }
  if (n > 0 && plan->strides[n - 1] == element) plan->run *= plan->dims[--n];
  plan->rank = n;
  for (int i = 0; i < n; i++) plan->runs *= plan->dims[i];
  if (n > 1 && plan->run == element_bytes && plan->strides[n - 1] != 0) {
    for (int i = 0; i < n - 1; i++) {
      if (plan->strides[i] == element) plan->tile_axis = i;
    }
  }
}

typedef struct copy_job {
  const ert_strided_copy *plan;
  const uint8_t *in;
  uint8_t *out;
  size_t parts;
} copy_job;

/* Always inlined with a constant `run` in the usual cases, so that each memcpy is one load and one store. */
static inline __attribute__((always_inline)) void copy_row(const uint8_t *in, uint8_t *out, size_t n, ptrdiff_t stride,
                                                           size_t run) {
  for (size_t j = 0; j < n; j++) memcpy(out + j * run, in + (ptrdiff_t)j * stride, run);
}

static void copy_row_any(const uint8_t *in, uint8_t *out, size_t n, ptrdiff_t stride, size_t run) {
  switch (run) {
    case 1: copy_row(in, out, n, stride, 1); break;
    case 2: copy_row(in, out, n, stride, 2); break;
    case 4: copy_row(in, out, n, stride, 4); break;
    case 8: copy_row(in, out, n, stride, 8); break;
    default: copy_row(in, out, n, stride, run);
  }
}

/* Runs [begin, end) of the output, row by row of the last axis. */
static void copy_runs(void *arg, size_t part) {
  const copy_job *job = arg;
  const ert_strided_copy *plan = job->plan;
  size_t begin, end;
  ert_split(plan->runs, 1, job->parts, part, &begin, &end);
  const int last = plan->rank - 1;
  size_t at[ERT_MAX_RANK], rest = begin;
  const uint8_t *in = job->in + plan->offset; /* of position `at`, whose last entry is kept apart as `column` */
  for (int i = last; i >= 0; i--) {
    at[i] = rest % plan->dims[i];
    rest /= plan->dims[i];
    if (i < last) in += (ptrdiff_t)at[i] * plan->strides[i];
  }
  size_t column = at[last];
  while (begin < end) {
    const size_t n = ert_min_size(plan->dims[last] - column, end - begin);
    copy_row_any(in + (ptrdiff_t)column * plan->strides[last], job->out + begin * plan->run, n, plan->strides[last],
                 plan->run);
    begin += n;
    column = 0;
    for (int i = last - 1; i >= 0; i--) {
      in += plan->strides[i];
      if (++at[i] < plan->dims[i]) break;
      in -= (ptrdiff_t)plan->dims[i] * plan->strides[i];
      at[i] = 0;
    }
  }
}

/* rows x columns elements: contiguous along rows in the input, along columns in the output. */
static inline __attribute__((always_inline)) void transpose_tile(const uint8_t *in, uint8_t *out, size_t rows,
                                                                 size_t columns, ptrdiff_t in_stride,
                                                                 size_t out_stride, size_t element) {
  if (columns < rows) {
    for (size_t j = 0; j < columns; j++) {
      for (size_t i = 0; i < rows; i++) {
        memcpy(out + i * out_stride + j * element, in + i * element + (ptrdiff_t)j * in_stride, element);
      }
    }
    return;
  }
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) {
      memcpy(out + i * out_stride + j * element, in + i * element + (ptrdiff_t)j * in_stride, element);
    }
  }
}

/* Swaps the bits of `low` that `mask` has, shifted up, with the same bits of `high`. */
static inline void swap_bits(uint64_t *low, uint64_t *high, unsigned shift, uint64_t mask) {
  const uint64_t difference = (*low >> shift ^ *high) & mask;
  *high ^= difference;
  *low ^= difference << shift;
}

/* 8x8 bytes in registers: quarters, then their quarters, then bytes change places across the diagonal. */
static void transpose_8x8(const uint8_t *in, uint8_t *out, ptrdiff_t in_stride, size_t out_stride) {
  uint64_t r[8];
  for (int j = 0; j < 8; j++) memcpy(&r[j], in + j * in_stride, 8);
  for (int j = 0; j < 4; j++) swap_bits(&r[j], &r[j + 4], 32, UINT64_C(0x00000000ffffffff));
  for (int j = 0; j < 8; j++) {
    if ((j & 2) == 0) swap_bits(&r[j], &r[j + 2], 16, UINT64_C(0x0000ffff0000ffff));
  }
  for (int j = 0; j < 8; j += 2) swap_bits(&r[j], &r[j + 1], 8, UINT64_C(0x00ff00ff00ff00ff));
  for (int i = 0; i < 8; i++) memcpy(out + (size_t)i * out_stride, &r[i], 8);
}

/* transpose_tile for bytes, which are worth moving eight at a time. */
static void transpose_bytes(const uint8_t *in, uint8_t *out, size_t rows, size_t columns, ptrdiff_t in_stride,
                            size_t out_stride) {
  const size_t whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;
  for (size_t j = 0; j < whole_columns; j += 8) {
    for (size_t i = 0; i < whole_rows; i += 8) {
      transpose_8x8(in + i + (ptrdiff_t)j * in_stride, out + i * out_stride + j, in_stride, out_stride);
    }
  }
  transpose_tile(in + whole_rows, out + whole_rows * out_stride, rows - whole_rows, whole_columns, in_stride,
                 out_stride, 1);
  transpose_tile(in + (ptrdiff_t)whole_columns * in_stride, out + whole_columns, rows, columns - whole_columns,
                 in_stride, out_stride, 1);
}

/* Strips of TILE rows of the tile axis, for every position of the axes other than that and the last. */
static void copy_tiles(void *arg, size_t part) {
  const copy_job *job = arg;
  const ert_strided_copy *plan = job->plan;
  const int last = plan->rank - 1, tile = plan->tile_axis;
  const size_t strips = (plan->dims[tile] + TILE - 1) / TILE;
  const size_t outer = plan->runs / plan->dims[tile] / plan->dims[last];
  size_t out_strides[ERT_MAX_RANK], stride = plan->run;
  for (int i = last; i >= 0; i--) {
    out_strides[i] = stride;
    stride *= plan->dims[i];
  }
  size_t begin, end;
  ert_split(outer * strips, 1, job->parts, part, &begin, &end);
  for (size_t unit = begin; unit < end; unit++) {
    size_t rest = unit / strips;
    const size_t row = unit % strips * TILE, rows = ert_min_size(TILE, plan->dims[tile] - row);
    const uint8_t *in = job->in + plan->offset + (ptrdiff_t)row * plan->strides[tile];
    uint8_t *out = job->out + row * out_strides[tile];
    for (int i = last - 1; i >= 0; i--) {
      if (i == tile) continue;
      const size_t index = rest % plan->dims[i];
      rest /= plan->dims[i];
      in += (ptrdiff_t)index * plan->strides[i];
      out += index * out_strides[i];
    }
    const ptrdiff_t in_stride = plan->strides[last];
    const size_t out_stride = out_strides[tile];
    for (size_t j = 0; j < plan->dims[last]; j += TILE) {
      const size_t columns = ert_min_size(TILE, plan->dims[last] - j);
      const uint8_t *from = in + (ptrdiff_t)j * in_stride;
      uint8_t *to = out + j * plan->run;
      switch (plan->run) {
        case 1: transpose_bytes(from, to, rows, columns, in_stride, out_stride); break;
        case 2: transpose_tile(from, to, rows, columns, in_stride, out_stride, 2); break;
        case 4: transpose_tile(from, to, rows, columns, in_stride, out_stride, 4); break;
        default: transpose_tile(from, to, rows, columns, in_stride, out_stride, plan->run);
      }
    }
  }
}

/* One long run, in pieces of whole cache lines. */
static void copy_bytes(void *arg, size_t part) {
  const copy_job *job = arg;
  size_t begin, end;
  ert_split(job->plan->run, ERT_ALIGN, job->parts, part, &begin, &end);
  memcpy(job->out + begin, job->in + job->plan->offset + (ptrdiff_t)begin, end - begin);
}

void ert_strided_copy_run(const ert_strided_copy *plan, ert_pool *pool, const void *in, void *out) {
  if (plan->runs == 0) return;
  copy_job job = {plan, in, out, 1};
  const size_t bytes = plan->runs * plan->run;
  if (plan->rank == 0) {
    job.parts = ert_move_parts(pool, bytes / ERT_ALIGN, bytes);
    ert_pool_run(pool, job.parts, copy_bytes, &job);
  } else {
    job.parts = ert_move_parts(pool, plan->runs, bytes);
    ert_pool_run(pool, job.parts, plan->tile_axis >= 0 ? copy_tiles : copy_runs, &job);
  }
}

ert_status ert_strided_copy_invoke(ert_op *op) {
  ert_strided_copy_run(op->state, op->pool, op->in[0]->data, op->out[0]->data);
  return ERT_OK;
}
