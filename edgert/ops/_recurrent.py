"""What lstm, gru and rnn have in common: shapes, the order of the steps, functions.

A layer runs over x [T,B,I], or [B,T,I], in one direction. Sums are float64 here, so that the reference has no rounding
of its own to speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, TensorSpec
from edgert.ops._enums import UnaryFunction
from edgert.ops._functions import unary_function

FUNCTIONS = (
    UnaryFunction.SIGMOID, UnaryFunction.HARD_SIGMOID, UnaryFunction.TANH, UnaryFunction.RELU, UnaryFunction.CLIP,
)  # fmt: skip

Function = Callable[[Array], Array]


def check_operand(value: Value | None, what: str, shape: tuple[int, ...], dtype: DType) -> None:
    """ModelError when a given operand has another shape or type than the layer needs."""
    if value is None:
        return
    if value.shape != shape:
        raise ModelError(f"{what} has the shape {list(value.shape)}, needed {list(shape)}")
    if value.dtype != dtype:
        raise ModelError(f"{what} is {value.dtype.name}, needed {dtype.name}")


def sequence_sizes(inputs: Sequence[Value | None], gates: int, batch_major: bool) -> tuple[int, int, int, int]:
    """Steps, batch, width of x and units of a layer with x, weights [gates * H, I] and recurrent weights."""
    x, weights, recurrent = inputs[:3]
    assert x is not None
    assert weights is not None
    assert recurrent is not None
    if len(x.shape) != 3 or len(weights.shape) != 2 or len(recurrent.shape) != 2:
        ranks = f"{len(x.shape)}, {len(weights.shape)} and {len(recurrent.shape)}"
        raise ModelError(f"input, weights and recurrent weights have {ranks} dimensions, needed 3, 2 and 2")
    steps, batch, width = x.shape
    if batch_major:
        steps, batch = batch, steps
    rows = weights.shape[0]
    if rows == 0 or rows % gates:
        raise ModelError(f"weights have {rows} rows, needed a multiple of {gates} (a row for each unit of each gate)")
    check_operand(weights, "weights", (rows, width), x.dtype)
    return steps, batch, width, rows // gates


def check_functions(attrs: Attrs, names: Sequence[str]) -> None:
    for name in names:
        if attrs[name] not in FUNCTIONS:
            allowed = ", ".join(function.name for function in FUNCTIONS)
            raise ModelError(f"{name} is {UnaryFunction(attrs[name]).name}, needed one of {allowed}")


def sequence_specs(steps: int, batch: int, batch_major: bool, widths: Sequence[tuple[int, DType]]) -> list[TensorSpec]:
    """y, whose width is the first one's, and the final state or states [batch, width]."""
    width, dtype = widths[0]
    y = TensorSpec((batch, steps, width) if batch_major else (steps, batch, width), dtype)
    return [y, *(TensorSpec((batch, size), kind) for size, kind in widths)]


def function_of(attrs: Attrs, name: str, alpha: str = "alpha", beta: str = "beta") -> Function:
    """The function that an attribute names, with its parameters as the file holds them (float32)."""
    return unary_function(attrs[name], float(np.float32(attrs[alpha])), float(np.float32(attrs[beta])))


def clipped(x: Array, limit: float) -> Array:
    return np.clip(x, -limit, limit) if limit > 0 else x


Step = Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]


def run_sequence(
    x: Array, states: Sequence[Array], step: Step, attrs: Attrs, lengths: Array | None
) -> tuple[Array, list[Array]]:
    """y and the final states. step: (x of one time [B,I], states) -> next states, the first of which is y's.

    Sequences shorter than T keep their state when they are over, and y is 0 there; of a sequence of no steps, the
    final state is 0 too, as onnxruntime has it.
    """
    times = np.moveaxis(x, 0, 1) if attrs["batch_major"] else x
    total, batch = times.shape[:2]
    counts = np.full(batch, total) if lengths is None else np.clip(lengths.astype(np.int64), 0, total)
    now = [np.array(state) for state in states]
    y = np.zeros((total, batch, now[0].shape[1]), now[0].dtype)
    for at in reversed(range(total)) if attrs["reverse"] else range(total):
        active = at < counts  # in reverse, a sequence waits for its own end
        made = step(times[at, active], tuple(state[active] for state in now))
        for state, new in zip(now, made, strict=True):
            state[active] = new
        y[at, active] = made[0]
    for state in now:
        state[counts == 0] = 0
    return (np.moveaxis(y, 0, 1) if attrs["batch_major"] else y), now


def floats(array: Array | None, shape: tuple[int, ...]) -> Array:
    """An operand as float64; zeros in its place when it is absent."""
    return np.zeros(shape) if array is None else array.astype(np.float64)


def optional(items: Sequence[Array | None], index: int) -> Array | None:
    return items[index] if index < len(items) else None


def optional_value(items: Sequence[Value | None], index: int) -> Value | None:
    return items[index] if index < len(items) else None
