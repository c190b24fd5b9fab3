/* How results leave int16 operators: rescaled by requant/fixed_point.h, clamped to the activation's bounds. */
#ifndef ERT_OPS_RULE_I16_H
#define ERT_OPS_RULE_I16_H

#include "ops/op.h"
#include "requant/fixed_point.h"

typedef enum ert_rescaling { ERT_RESCALE_32, ERT_RESCALE_64, ERT_RESCALE_EXACT } ert_rescaling;

typedef struct ert_rule_i16 {
  ert_rescaling rescaling;
  const ert_fixed *fixed; /* one a channel */
  const int32_t *bias_32; /* either, or neither */
  const int64_t *bias_64;
  int16_t lo, hi;
} ert_rule_i16;

/* One scale, and zero point 0. */
ert_status ert_check_symmetric(ert_prepare *p, const ert_tensor *t, const char *what);

/* clamp(f / scale), in float32, halves away from 0. */
void ert_activation_range_i16(int activation, float scale, int16_t *lo, int16_t *hi);
int16_t ert_quantized_bound_i16(float bound, float scale);

/* A ratio of scales, refused where its shift exceeds `most`. */
ert_status ert_fixed_init(ert_prepare *p, double ratio, int most, ert_fixed *fixed);

/* The rule of x * w -> y with `channels` outputs: weights int8 with scales along weight_axis, op->in[2] an int32 or int64
 * bias or absent, sums of `terms` products. rescaling: of a 64-bit bias or none. */
ert_status ert_rule_i16_init(ert_prepare *p, const ert_op *op, size_t channels, int weight_axis, size_t terms,
                             int activation, ert_rescaling rescaling, ert_rule_i16 *rule);

static inline int16_t ert_clamp_i16(int64_t x, int16_t lo, int16_t hi) {
  return (int16_t)(x < lo ? lo : x > hi ? hi : x);
}

/* acc: below 2^46, as rule_i16_init has proved. */
static inline int16_t ert_rule_i16_apply(const ert_rule_i16 *rule, size_t channel, int64_t acc) {
  const ert_fixed f = rule->fixed[channel];
  if (rule->bias_32 != NULL) acc += rule->bias_32[channel];
  if (rule->bias_64 != NULL) acc += rule->bias_64[channel];
  switch (rule->rescaling) {
    case ERT_RESCALE_32: acc = ert_rescale_32((int32_t)(uint32_t)(uint64_t)acc, f); break;
    case ERT_RESCALE_64: acc = ert_rescale_64(acc, f); break;
    default: acc = ert_rescale_exact(acc, f); break;
  }
  return ert_clamp_i16(acc, rule->lo, rule->hi);
}

#endif
