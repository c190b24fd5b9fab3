/* The two forms of lstm: float32 in lstm.c, int8 in lstm_int8.c. */
#ifndef ERT_OPS_LSTM_H
#define ERT_OPS_LSTM_H

#include "ops/recurrent.h"

enum {
  ERT_LSTM_X, ERT_LSTM_WEIGHTS, ERT_LSTM_RECURRENT, ERT_LSTM_BIAS, ERT_LSTM_H, ERT_LSTM_C, ERT_LSTM_PEEPHOLE,
  ERT_LSTM_PROJECTION, ERT_LSTM_PROJECTION_BIAS, ERT_LSTM_LENGTHS, ERT_LSTM_NORM, ERT_LSTM_INPUTS
};

/* Sizes, operands and shapes are checked, and `seq` is made. */
ert_status ert_lstm_int8_prepare(ert_prepare *p, ert_op *op, const ert_sequence *seq, bool coupled);
ert_status ert_lstm_int8_invoke(ert_op *op);

#endif
