"""LSTM in its four forms: one step or a sequence, one direction or both, the full kernel's operands or the basic one's.

int8 activations with int16 cell state (8x8_16) keep their integers. Int8 and uint8 weights of float activations (hybrid
models) are dequantised. Any other quantised form is computed in float32, from weights of the same meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Array, Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.importers.tflite.variables import keep, operand, state
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

# ActivationFunctionType of the TFLite schema: function, alpha, beta.
FUNCTIONS: dict[int, tuple[UnaryFunction, float, float]] = {
    0: (UnaryFunction.CLIP, -np.inf, np.inf),
    1: (UnaryFunction.RELU, 0.0, 0.0),
    2: (UnaryFunction.CLIP, -1.0, 1.0),
    3: (UnaryFunction.CLIP, 0.0, 6.0),
    4: (UnaryFunction.TANH, 0.0, 0.0),
}
INT8_INTERMEDIATES = 5  # of the 8x8_16 form; 8x8_8 has 12
BASIC_KERNEL = 1  # LSTMKernelType
LARGEST_DIAGONAL = 4096  # which becomes a matrix of 64 MB


@dataclass(frozen=True)
class Places:
    """Which inputs of the operator are which: gates in the order i, f, g, o, peepholes in the order i, f, o."""

    weights: tuple[int, ...]
    recurrent: tuple[int, ...]
    peepholes: tuple[int, ...]
    biases: tuple[int, ...]
    projection: int
    projection_bias: int
    h: int
    c: int
    norms: tuple[int, ...] = ()
    aux: tuple[int, ...] = ()

    @classmethod
    def from_first(cls, first: int, h: int, c: int, aux: int = -1, norms: int = -1) -> Places:
        """The usual order, the weights of the input gate at `first`."""

        def run(start: int, count: int) -> tuple[int, ...]:
            return tuple(range(start, start + count)) if start >= 0 else ()

        return cls(
            run(first, 4), run(first + 4, 4), run(first + 8, 3), run(first + 11, 4), first + 15, first + 16, h, c,
            run(norms, 4), run(aux, 4),
        )  # fmt: skip


FULL = Places.from_first(1, h=18, c=19, norms=20)
FORWARD = Places.from_first(1, h=35, c=36, aux=40)
BACKWARD = Places.from_first(18, h=37, c=38, aux=44)
AUX_INPUT = 39


def function_attrs(number: int) -> dict[str, Any]:
    """The attributes that a fused activation means."""
    if number not in FUNCTIONS:
        raise RefusedError(f"its fused activation is number {number}", "make the activation an operator of its own")
    function, alpha, beta = FUNCTIONS[number]
    return {"activation": function, "alpha": alpha, "beta": beta}


def _attrs(options: Any, reverse: bool) -> dict[str, Any]:
    attrs = function_attrs(options.FusedActivationFunction())
    attrs["output_activation"] = attrs["activation"]
    clips = {"cell_clip": options.CellClip(), "projection_clip": options.ProjClip()}
    if any(not clip >= 0 for clip in clips.values()):
        raise ModelError(
            f"it clips to {clips['cell_clip']} and {clips['projection_clip']}, needed 0 or positive numbers"
        )
    return {**attrs, **clips, "reverse": reverse}


def _given(b: Builder, op: SourceOp, places: Sequence[int]) -> list[int]:
    return [index for index in places if b.has(op, index)]


def _matrices(b: Builder, op: SourceOp, places: Sequence[int]) -> list[Array]:
    """Weights of the gates as float32; a vector is a diagonal matrix."""
    return [_matrix(operand(b, op, index)) for index in places]


def _matrix(array: Array | None) -> Array:
    if array is None or array.ndim != 1:
        return _two(array)
    if array.size > LARGEST_DIAGONAL:
        raise ModelError(f"weights of a gate are a diagonal of {array.size}, needed at most {LARGEST_DIAGONAL}")
    return np.diag(array)


def _two(array: Array | None) -> Array:
    if array is None or array.ndim != 2 or 0 in array.shape:
        raise ModelError(f"weights of a gate have the shape {None if array is None else list(array.shape)}, needed two")
    return array


def _stacked(b: Builder, op: SourceOp, places: Sequence[int], name: str) -> Value | None:
    parts = [item for item in (operand(b, op, index) for index in places) if item is not None]
    return b.const(np.stack(parts), name=name) if parts else None


def _direction(
    b: Builder, op: SourceOp, x: Value, places: Places, attrs: dict[str, Any], aux: Value | None = None
) -> Value:
    """y of one direction, [T,B,P] or [B,T,P] as x; its state is kept. aux: a second input, with weights of its own."""
    coupled = not b.has(op, places.weights[0])
    gates = places.weights[1:] if coupled else places.weights
    recurrent = places.recurrent[1:] if coupled else places.recurrent
    biases = places.biases[1:] if coupled else places.biases
    attrs = {**attrs, "coupled": coupled}
    if _integer(b, op, x, places, attrs):
        return _int8(b, op, x, places, attrs, (gates, recurrent, biases))
    if x.quant is not None:
        b.graph.notes.append(f"{b.label()!r} is computed in float32: its integer form is not TFLite's plain 8x8_16.")
    x = b.real(x)
    weights = _matrices(b, op, gates)
    if aux is not None and places.aux and b.has(op, places.aux[-1]):
        extra = _matrices(b, op, places.aux[1:] if coupled else places.aux)
        x = b.emit("concat", [x, b.real(aux)], {"axis": 2})
        weights = [np.concatenate(pair, axis=1) for pair in zip(weights, extra, strict=True)]
    inner = _matrices(b, op, recurrent)
    units, out = weights[0].shape[0], inner[0].shape[1]
    batch = x.shape[0 if attrs["batch_major"] else 1]
    bias = [operand(b, op, index) for index in biases]
    peepholes = places.peepholes[1:] if coupled else places.peepholes
    peephole = [operand(b, op, index) for index in _given(b, op, peepholes)]
    if coupled and peephole:
        peephole.insert(0, np.zeros(units, np.float32))
    projection, projection_bias = (operand(b, op, index) for index in (places.projection, places.projection_bias))
    h = state(b, op, places.h, (batch, out), DType.FLOAT32)
    c = state(b, op, places.c, (batch, units), DType.FLOAT32)

    def constant(array: Array | None, name: str) -> Value | None:
        return None if array is None else b.const(array, name=name)

    inputs = [
        x, b.const(np.concatenate(weights), name="weights"), b.const(np.concatenate(inner), name="recurrent"),
        b.const(np.concatenate([_vector(item, units) for item in bias]), name="bias"), h, c,
        b.const(np.stack([_vector(item, units) for item in peephole]), name="peephole") if peephole else None,
        constant(projection, "projection"), constant(projection_bias, "projection_bias"), None,
        _stacked(b, op, _given(b, op, places.norms[1:] if coupled else places.norms), "norm"),
    ]  # fmt: skip
    y, h_next, c_next = b.emit_all("lstm", inputs, attrs, [None] * 3)
    keep(b, op, h, h_next)
    keep(b, op, c, c_next)
    return y


def _vector(array: Array | None, units: int) -> Array:
    if array is None:
        return np.zeros(units, np.float32)
    if array.size != units:
        raise ModelError(f"a bias or a peephole has {array.size} numbers, needed {units}")
    return array.reshape(-1)


# The form in integers


def _integer(b: Builder, op: SourceOp, x: Value, places: Places, attrs: dict[str, Any]) -> bool:
    """Whether the operator is TFLite's 8x8_16 one as the runtime has it."""
    if x.dtype != DType.INT8 or x.quant is None or len(op.intermediates) != INT8_INTERMEDIATES:
        return False
    if _given(b, op, places.norms) or attrs["activation"] != UnaryFunction.TANH:
        return False
    weights = _given(b, op, (*places.weights, *places.recurrent, places.projection))
    tensors = [b.tensor(op, index) for index in weights]
    if any(item.type != "INT8" or item.quant is None or any(item.quant.zero_points) for item in tensors):
        return False
    return all(len(item.quant.scales) == 1 and len(item.shape) == 2 for item in tensors if item.quant is not None)


def _joined(b: Builder, op: SourceOp, places: Sequence[int], name: str) -> Value:
    """The gates' integers below one another, with a scale for every row."""
    arrays, scales = [], []
    for index in places:
        data, quant = b.elements(b.tensor(op, index))
        assert quant is not None
        arrays.append(data if data.ndim > 1 else data[None])
        scales += [quant.scale] * arrays[-1].shape[0]
    scales = scales[:1] if len(set(scales)) == 1 else scales
    return b.const(np.concatenate(arrays), QuantParams(tuple(scales), (0,) * len(scales)), name)


def _int8(
    b: Builder, op: SourceOp, x: Value, places: Places, attrs: dict[str, Any], gates: Sequence[Sequence[int]]
) -> Value:
    weights, inner = (_joined(b, op, gates[i], name) for i, name in enumerate(("weights", "recurrent")))
    units, out = weights.shape[0] // len(gates[0]), inner.shape[1]
    batch = x.shape[0 if attrs["batch_major"] else 1]
    bias = [b.constant(op, index, "bias").astype(np.int32).reshape(-1) for index in gates[2]]
    peepholes = _given(b, op, places.peepholes)
    projection = _joined(b, op, [places.projection], "projection") if b.has(op, places.projection) else None
    projection_bias = b.optional(op, places.projection_bias)
    hidden = b.source.tensors[op.intermediates[-1]].quant
    h_quant, c_quant = (b.quant(b.tensor(op, index)) for index in (places.h, places.c))
    if hidden is None or h_quant is None or c_quant is None:
        raise ModelError("it lacks the scale of its hidden state, its output state or its cell state")
    h = state(b, op, places.h, (batch, out), DType.INT8, h_quant)
    c = state(b, op, places.c, (batch, units), DType.INT16, c_quant)
    # LiteRT adds this zero point to what is the output, and takes it off what is projected: found by comparison.
    zero_point = hidden.zero_points[0] * (1 if projection is None else -1)
    attrs |= {"hidden_scale": hidden.scales[0], "hidden_zero_point": zero_point}
    inputs = [
        x, weights, inner, b.const(np.concatenate(bias), name="bias"), h, c,
        _peepholes(b, op, peepholes, attrs["coupled"]) if peepholes else None, projection, projection_bias,
    ]  # fmt: skip
    y, h_next, c_next = b.emit_all("lstm", inputs, attrs, [h_quant, h_quant, c_quant])
    keep(b, op, h, h_next)
    keep(b, op, c, c_next)
    quant = b.out_quant(op)
    return y if quant is None else b.quantized(y, quant)


def _peepholes(b: Builder, op: SourceOp, places: Sequence[int], coupled: bool) -> Value:
    """int16 [3, H]: of i (zeros if coupled), f and o."""
    value = _joined(b, op, places, "peephole")
    if not coupled:
        return value
    assert value.data is not None
    assert value.quant is not None
    scales = value.quant.scales if value.quant.per_channel else value.quant.scales * 2
    data = np.concatenate([np.zeros_like(value.data[:1]), value.data])
    return b.const(data, QuantParams((scales[0], *scales), (0, 0, 0)), "peephole")


# Handlers


def _sequence(b: Builder, op: SourceOp, index: int) -> Value:
    x = b.value(op, index)
    if len(x.shape) != 3:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 3 (batch, time and features)")
    return x


def unidirectional_sequence_lstm(b: Builder, op: SourceOp) -> Value:
    options = op.options("UnidirectionalSequenceLSTMOptions")
    attrs = {**_attrs(options, reverse=False), "batch_major": not options.TimeMajor()}
    return _finished(b, op, _direction(b, op, _sequence(b, op, 0), FULL, attrs))


def bidirectional_sequence_lstm(b: Builder, op: SourceOp) -> Value | list[Value]:
    """An auxiliary input without weights of its own is what the backward layer reads in place of the input."""
    options, x = op.options("BidirectionalSequenceLSTMOptions"), _sequence(b, op, 0)
    aux = _sequence(b, op, AUX_INPUT) if b.has(op, AUX_INPUT) else None
    crosses = aux is not None and not b.has(op, FORWARD.aux[-1])
    results = []
    for places, source, reverse in ((FORWARD, x, False), (BACKWARD, aux if crosses and aux is not None else x, True)):
        attrs = {**_attrs(options, reverse), "batch_major": not options.TimeMajor()}
        results.append(_direction(b, op, source, places, attrs, None if crosses else aux))
    if not options.MergeOutputs():
        return [_finished(b, op, y, index) for index, y in enumerate(results)]
    return _finished(b, op, b.emit("concat", results, {"axis": 2}))


def lstm(b: Builder, op: SourceOp) -> Value | list[Value]:
    """One step: x [B,I]."""
    options, x = op.options("LSTMOptions"), b.value(op, 0)
    if options.KernelType() == BASIC_KERNEL:
        return _basic(b, op, x)
    if len(x.shape) != 2:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 2 (batch and features)")
    attrs = {**_attrs(options, reverse=False), "batch_major": False}
    y = _direction(b, op, b.reshape(x, (1, *x.shape)), FULL, attrs)
    return _finished(b, op, b.reshape(y, y.shape[1:]))


def _basic(b: Builder, op: SourceOp, x: Value) -> list[Value]:
    """x [B,I], h [B,H], weights [4H,I+H], bias [4H], c [B,H]; gates i, g, f, o. Computed in float32."""
    weights, bias = _two(operand(b, op, 2)), operand(b, op, 3)
    width, units = x.shape[-1], weights.shape[0] // 4
    if len(x.shape) != 2 or weights.shape != (4 * units, width + units):
        raise ModelError(f"weights have the shape {list(weights.shape)}, input {list(x.shape)}")
    h = state(b, op, 1, (x.shape[0], units), DType.FLOAT32)
    c = state(b, op, 4, (x.shape[0], units), DType.FLOAT32)
    order = [0, 2, 1, 3]
    rows = weights.reshape(4, units, -1)[order].reshape(4 * units, -1)
    added = _vector(bias, 4 * units).reshape(4, units)[order].reshape(-1)
    parts = [np.ascontiguousarray(part) for part in (rows[:, :width], rows[:, width:])]
    inputs = [b.reshape(b.real(x), (1, *x.shape)), *(b.const(part, name="weights") for part in (*parts, added)), h, c]
    _, h_next, c_next = b.emit_all("lstm", inputs, {}, [None] * 3)
    keep(b, op, h, h_next)
    keep(b, op, c, c_next)
    return [_finished(b, op, h_next), _finished(b, op, c_next, 1)]


def _finished(b: Builder, op: SourceOp, y: Value, index: int = 0) -> Value:
    """In integers again where the source has them."""
    quant = b.out_quant(op, index) if index < len(op.outputs) else None
    return y if quant is None or y.dtype != DType.FLOAT32 else b.quantized(y, quant)


HANDLERS: dict[str, Handler] = {
    "LSTM": lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": unidirectional_sequence_lstm,
    "BIDIRECTIONAL_SEQUENCE_LSTM": bidirectional_sequence_lstm,
}
