#include "ops/softmax_i16.h"

#define LONGEST_ROW ((size_t)1 << 16) /* the sum of so many int16 numbers stays below 2^31 */

ert_status ert_softmax_i16_init(ert_prepare *p, const ert_op *op, const ert_rows *rows, float beta,
                                ert_softmax_i16 *state) {
  const ert_tensor *x = op->in[0], *y = op->out[0];
  ERT_TRY(ert_check_symmetric(p, x, "input"));
  ERT_TRY(ert_check_symmetric(p, y, "output"));
  ERT_REQUIRE(p, y->scales[0] == 0x1p-15f, "output has scale %g, needed 2^-15", (double)y->scales[0]);
  ERT_REQUIRE(p, rows->n <= LONGEST_ROW, "%zu numbers in a row, needed at most %zu", rows->n, LONGEST_ROW);
  const float product = x->scales[0] * beta;
  ERT_REQUIRE(p, isfinite(product) && product >= 0.0f, "beta is %g, needed a number that is not negative", (double)beta);
  ERT_TRY(ert_fixed_init(p, (double)product / (10.0 / 65535.0), ERT_FIXED_SHIFT_32, &state->fixed));
  const ert_fb_vector table = ert_softmax_attrs_exp_table(op->attrs);
  ERT_REQUIRE(p, table.count == 2 * ERT_TABLE_I16, "exp_table has %u entries, needed %d", (unsigned)table.count,
              2 * ERT_TABLE_I16);
  for (uint32_t i = 0; i < table.count; i++) {
    const uint32_t entry = ert_fb_u32_at(table, i);
    ERT_REQUIRE(p, entry <= INT16_MAX, "entry %u of exp_table is %u, needed at most %d", (unsigned)i, (unsigned)entry,
                INT16_MAX);
    if (i < ERT_TABLE_I16) state->exponentials[i] = (int16_t)entry;
    else state->reciprocals[i - ERT_TABLE_I16] = (int16_t)entry;
  }
  const int16_t *last = state->exponentials + ERT_TABLE_I16 - 2; /* exp(0) comes from these two */
  ERT_REQUIRE(p, last[0] >= 1 << 14 && last[1] >= 1 << 14, "exp(0) is %d in exp_table, needed at least 2^14", last[1]);
  return ERT_OK;
}

/* y holds the exponentials first. Their sum is at least 2^14, and a shift of it by `bits` is 2^31 at most. */
void ert_softmax_i16_row(const ert_softmax_i16 *state, const ert_rows *rows, const int16_t *x, int16_t *y) {
  const size_t step = rows->inner, end = rows->n * step;
  int16_t most = x[0];
  for (size_t i = step; i < end; i += step) most = x[i] > most ? x[i] : most;
  int32_t sum = 0;
  for (size_t i = 0; i < end; i += step) {
    const int64_t distance = (int64_t)ert_rescale_32(x[i] - most, state->fixed) + INT16_MAX;
    y[i] = ert_table_i16_at(state->exponentials, ert_clamp_i16(distance, INT16_MIN, INT16_MAX));
    sum += y[i];
  }
  int bits = 0; /* sum in [2^bits, 2^(bits + 1)) */
  while (sum >> bits > 1) bits++;
  const int64_t mantissa = (((int64_t)sum << (30 - bits)) + (1 << 13)) >> 14;
  const int16_t reciprocal =
      ert_table_i16_at(state->reciprocals, ert_clamp_i16(mantissa - 3 * 32768, INT16_MIN, INT16_MAX));
  for (size_t i = 0; i < end; i += step)
    y[i] = ert_clamp_i16(((int64_t)y[i] * reciprocal + (INT64_C(1) << (bits - 1))) >> bits, 0, INT16_MAX);
}
