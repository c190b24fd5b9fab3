#include "ops/dense.h"

/* Multiplications below which another thread costs more than it saves. */
#define WORK_PER_TASK ((size_t)1 << 16)
#define FLOATS_PER_TASK (WORK_PER_TASK / 4) /* a float takes as long as four int8 */

ert_status ert_dense_init(ert_prepare *p, ert_dense *dense, const ert_output_rule *rule, size_t m, size_t n,
                          size_t taps, size_t k, const ptrdiff_t *tap_offset) {
  *dense = (ert_dense){.rule = *rule, .n = n, .taps = taps, .k = k, .tap_offset = tap_offset};
  const ert_isa_set isa = ert_prepare_isa(p);
  dense->fvec = ert_fvec_select(isa);
  if (rule->is_int8) {
    dense->qgemm = ert_qgemm_select(isa, m, n, k);
    dense->mr = dense->qgemm->mr;
    dense->nr = dense->qgemm->nr;
    dense->block_bytes = ert_qgemm_block_bytes(dense->qgemm, taps, k);
    dense->packed_bytes = ert_qgemm_packed_bytes(dense->qgemm, n, taps, k);
    dense->row_bias = rule->zero_w != 0 || dense->qgemm->w_offset != 0;
  } else {
    dense->fgemm = ert_fgemm_select(isa, m, n, k);
    dense->mr = dense->fgemm->mr;
    dense->nr = dense->fgemm->nr;
    dense->block_bytes = ert_fgemm_block_bytes(dense->fgemm, taps, k);
    dense->packed_bytes = ert_fgemm_packed_bytes(dense->fgemm, n, taps, k);
  }
  ERT_REQUIRE(p, dense->block_bytes != 0 && dense->packed_bytes != 0,
              "weights of %zu channels by %zu by %zu are too large to pack", n, taps, k);
  const size_t rows = rule->is_int8 && dense->qgemm->many_rows ? ERT_DENSE_ROWS : ERT_DENSE_USUAL_ROWS;
  dense->row_chunk = rows / dense->mr * dense->mr;
  return ERT_OK;
}

const char *ert_dense_kernel_name(const ert_dense *dense) {
  return dense->rule.is_int8 ? dense->qgemm->name : dense->fgemm->name;
}

void ert_dense_pack(const ert_dense *dense, size_t first, size_t count, const void *w, const void *bias, void *packed) {
  const ert_output_rule *rule = &dense->rule;
  if (rule->is_int8) {
    const int32_t *b = bias;
    ert_qgemm_pack(dense->qgemm, count, dense->taps, dense->k, w, b != NULL ? b + first : NULL,
                   rule->multipliers + first, rule->zero_x, rule->zero_w, packed);
  } else {
    const float *b = bias;
    ert_fgemm_pack(dense->fgemm, count, dense->taps, dense->k, w, dense->taps * dense->k, 1,
                   b != NULL ? b + first : NULL, packed);
  }
}

ert_status ert_dense_use(ert_prepare *p, ert_dense *dense, size_t count, const void *packed) {
  if (!dense->rule.is_int8) return ERT_OK;
  const ert_qgemm_kernel *kernel = dense->qgemm;
  const uint8_t *one = packed;
  dense->row_bias = false;
  for (size_t i = 0; i < count; i++, one += dense->packed_bytes) {
    ERT_REQUIRE(p, ert_qgemm_check_packed(kernel, dense->n, dense->taps, dense->k, one),
                "packed weights of %s name weights that a channel of %zu by %zu does not have", kernel->name, dense->taps,
                dense->k);
    dense->row_bias = dense->row_bias || ert_qgemm_takes_row_bias(kernel, dense->n, dense->taps, dense->k,
                                                                  dense->rule.zero_w, one);
  }
  return ERT_OK;
}

void ert_dense_run(const ert_dense *dense, const void *packed, size_t count, size_t m, const ert_dense_rows *rows,
                   void *out, size_t out_stride) {
  const ert_output_rule *rule = &dense->rule;
  if (rule->is_int8) {
    int32_t row_bias[ERT_DENSE_ROWS];
    if (dense->row_bias) {
      dense->fvec->sum_rows_i8(m, rows->i8, dense->row_step, dense->taps, dense->tap_offset, dense->k,
                               -(rule->zero_w + dense->qgemm->w_offset), row_bias);
    }
    const ert_qgemm_args args = {
        .n = count, .taps = dense->taps, .k = dense->k, .tap_offset = dense->tap_offset, .weights = packed,
        .row_step = (ptrdiff_t)dense->row_step, .row_bias = dense->row_bias ? row_bias : NULL,
        .out_zero = rule->zero_y, .out_min = rule->lo_i8, .out_max = rule->hi_i8, .wide = rule->wide,
    };
    dense->qgemm->run(&args, m, rows->i8, out, out_stride);
  } else {
    const ert_fgemm_args args = {
        .n = count, .taps = dense->taps, .k = dense->k, .tap_offset = dense->tap_offset, .weights = packed,
        .out_min = rule->lo_f32, .out_max = rule->hi_f32,
    };
    dense->fgemm->run(&args, m, rows->f32, out, out_stride);
  }
}

/* Saturates: the product is only compared. */
static size_t work_of(size_t m, size_t n, size_t taps, size_t k) {
  size_t work;
  if (!ert_mul(m, n, &work) || !ert_mul(work, taps, &work) || !ert_mul(work, k, &work)) return SIZE_MAX;
  return work;
}

ert_dense_split ert_dense_choose_split(const ert_dense *dense, size_t m, int threads) {
  const size_t work = work_of(m, dense->n, dense->taps, dense->k);
  const size_t pace = dense->rule.is_int8 && dense->qgemm->pace != 0 ? dense->qgemm->pace : 1;
  const size_t task = dense->rule.is_int8 ? WORK_PER_TASK * pace : FLOATS_PER_TASK;
  const size_t wanted = ert_max_size(1, ert_min_size((size_t)threads, work / task));
  const size_t row_tiles = (m + dense->mr - 1) / dense->mr, blocks = (dense->n + dense->nr - 1) / dense->nr;
  /* By rows every task reads its own part of the input; by channels its own part of the weights, where tiles of rows are
   * so few that some task would get more than its share. The sizes are those of a tensor: no product overflows. */
  const size_t rows_most = ert_min_size((row_tiles + wanted - 1) / wanted * dense->mr, m) * dense->n;
  const size_t blocks_most = ert_min_size((blocks + wanted - 1) / wanted * dense->nr, dense->n) * m;
  const bool by_rows = rows_most <= blocks_most + blocks_most / 16;
  return (ert_dense_split){ert_min_size(wanted, by_rows ? row_tiles : blocks), by_rows};
}
