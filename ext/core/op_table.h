/* Operators by their code in schemas/ert.fbs; NULL where this build has none. */
#ifndef ERT_CORE_OP_TABLE_H
#define ERT_CORE_OP_TABLE_H

#include "ops/op.h"

const ert_op_def *ert_op_by_code(uint32_t code);

#endif
