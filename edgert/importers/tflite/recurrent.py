"""Plain recurrent layers and SVDF; lstm.py has the LSTMs, whose handlers stand in this table too."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.tflite import lstm
from edgert.importers.tflite.builder import Array, Builder, Handler
from edgert.importers.tflite.linear import fused
from edgert.importers.tflite.lstm import function_attrs
from edgert.importers.tflite.read import SourceOp
from edgert.importers.tflite.variables import keep, operand, state
from edgert.ir import Value


def _matrix(array: Array | None) -> Array:
    if array is None or array.ndim != 2 or 0 in array.shape:
        raise ModelError(f"weights have the shape {None if array is None else list(array.shape)}, needed 2 dimensions")
    return array


def _layer(
    b: Builder, op: SourceOp, x: Value, first: int, attrs: dict[str, Any], aux: Value | None = None, extra: int = -1
) -> Value:
    """y of one direction; weights, recurrent weights, bias and state from input `first` on. extra: input with the
    weights of aux."""
    weights, inner, bias = (operand(b, op, first + i) for i in range(3))
    parts = [_matrix(weights)]
    x = b.real(x)
    if aux is not None and b.has(op, extra):
        x = b.emit("concat", [x, b.real(aux)], {"axis": 2})
        parts.append(_matrix(operand(b, op, extra)))
    batch, units = x.shape[0 if attrs["batch_major"] else 1], _matrix(inner).shape[0]
    h = state(b, op, first + 3, (batch, units), DType.FLOAT32)
    inputs = [
        b.const(np.concatenate(parts, axis=1), name="weights"), b.const(_matrix(inner), name="recurrent"),
        None if bias is None else b.const(bias, name="bias"), h,
    ]  # fmt: skip
    y, h_next = b.emit_all("rnn", [x, *inputs], attrs, [None, None])
    keep(b, op, h, h_next)
    return y


def _sequence_attrs(options: Any) -> dict[str, Any]:
    return {**function_attrs(options.FusedActivationFunction()), "batch_major": not options.TimeMajor()}


def rnn(b: Builder, op: SourceOp) -> Value:
    """One step: x [B,I]."""
    x = b.value(op, 0)
    if len(x.shape) != 2:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 2 (batch and features)")
    attrs = function_attrs(op.options("RNNOptions").FusedActivationFunction())
    y = _layer(b, op, b.reshape(x, (1, *x.shape)), 1, {**attrs, "batch_major": False})
    return b.reshape(y, y.shape[1:])


def unidirectional_sequence_rnn(b: Builder, op: SourceOp) -> Value:
    return _layer(b, op, _sequence(b, op, 0), 1, _sequence_attrs(op.options("SequenceRNNOptions")))


def bidirectional_sequence_rnn(b: Builder, op: SourceOp) -> Value | list[Value]:
    """An auxiliary input without weights of its own is what the backward layer reads in place of the input."""
    options, x = op.options("BidirectionalSequenceRNNOptions"), _sequence(b, op, 0)
    aux = _sequence(b, op, 9) if b.has(op, 9) else None
    crosses = aux is not None and not b.has(op, 10)
    backward = aux if crosses and aux is not None else x
    attrs, shared = _sequence_attrs(options), None if crosses else aux
    results = [
        _layer(b, op, x, 1, attrs, shared, 10),
        _layer(b, op, backward, 5, {**attrs, "reverse": True}, shared, 11),
    ]
    return b.emit("concat", results, {"axis": 2}) if options.MergeOutputs() else results


def _sequence(b: Builder, op: SourceOp, index: int) -> Value:
    x = b.value(op, index)
    if len(x.shape) != 3:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 3 (batch, time and features)")
    return x


def svdf(b: Builder, op: SourceOp) -> Value:
    """x [B,I], feature weights [F,I], time weights [F,M], bias, state [B,F*M]. In integers where all of it is, with
    int8 or int16 states; otherwise in float32 (of hybrid models, too)."""
    options, x = op.options("SVDFOptions"), b.value(op, 0)
    attrs = {"rank": options.Rank(), "activation": fused(options)}
    tensors = [b.tensor(op, index) for index in (1, 2)]
    shapes = [tensor.shape for tensor in tensors]
    if len(x.shape) != 2 or any(len(shape) != 2 or 0 in shape for shape in shapes):
        raise ModelError(f"input and weights have the shapes {list(x.shape)}, {shapes}, needed 2 dimensions each")
    kept_shape = (x.shape[0], *shapes[1])
    stored = b.tensor(op, 4)
    if x.dtype == DType.INT8 and stored.type in ("INT8", "INT16") and tensors[1].type == stored.type:
        quant = b.quant(stored)
        kept = state(b, op, 4, kept_shape, b.dtype(stored), quant)
        inputs = [x, b.value(op, 1), b.value(op, 2), kept, b.optional(op, 3)]
        y, next_state = b.emit_all("svdf", inputs, attrs, [b.out_quant(op), quant])
    else:
        kept = state(b, op, 4, kept_shape, DType.FLOAT32)
        bias = operand(b, op, 3)
        constants = [b.const(_matrix(operand(b, op, index)), name="weights") for index in (1, 2)]
        inputs = [b.real(x), *constants, kept, None if bias is None else b.const(bias, name="bias")]
        y, next_state = b.emit_all("svdf", inputs, attrs, [None, None])
        wanted = b.out_quant(op)
        y = y if wanted is None else b.quantized(y, wanted)
    keep(b, op, kept, next_state)
    return y


HANDLERS: dict[str, Handler] = {
    **lstm.HANDLERS,
    "RNN": rnn,
    "UNIDIRECTIONAL_SEQUENCE_RNN": unidirectional_sequence_rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": bidirectional_sequence_rnn,
    "SVDF": svdf,
}
