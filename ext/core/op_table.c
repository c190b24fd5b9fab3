#include "core/op_table.h"

#define ERT_OP(code, name) extern const ert_op_def ert_op_##name;
#include "ops/ops.inc"
#undef ERT_OP

static const ert_op_def *const by_code[ERT_OP_CODE_COUNT] = {
#define ERT_OP(code, name) [ERT_OP_CODE_##code] = &ert_op_##name,
#include "ops/ops.inc"
#undef ERT_OP
};

const ert_op_def *ert_op_by_code(uint32_t code) { return code < ERT_OP_CODE_COUNT ? by_code[code] : NULL; }
