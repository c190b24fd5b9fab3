"""Stores weights compactly: the runtime expands them once, when it opens a model.

A constant of a rewritten graph that is to be stored in fewer bytes becomes the output of operators whose inputs are
all constants. They stand in front of all others, and a session runs them once:

- float16:    float16 constant -> dequantize
- int8:       int8 constant with a scale a channel -> dequantize
- int4:       two numbers a byte, and multipliers of blocks -> unpack_int4, and dequantize for a float operator
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops.unpack_int4 import pack_int4


@dataclass(frozen=True)
class Stored:
    """How a constant is kept in a file.

    data: float16, or int8 in the constant's shape. params: of int8 data. multipliers: of int4 in blocks.
    """

    data: NDArray[Any]
    params: QuantParams | None
    multipliers: NDArray[np.uint8] | None = None
    four_bits: bool = False


def compact(graph: Graph, stored: Mapping[Value, Stored]) -> None:
    """Stores these constants of the graph as it is said, in place."""
    first: list[Node] = []
    names = {value.name for value in graph.values()}
    read = [value for value in graph.values() if value in stored]
    for value in read:
        first += _expansion(value, stored[value], names)
        value.data = None
    graph.nodes[:0] = first
    graph.verify()


def _expansion(value: Value, kept: Stored, names: set[str]) -> list[Node]:
    """Nodes whose result is `value`."""

    def constant(suffix: str, data: NDArray[Any], quant: QuantParams | None = None) -> Value:
        return Value(fresh(suffix), tuple(data.shape), DType.of(data.dtype), quant, data)

    def fresh(suffix: str) -> str:
        name, count = f"{value.name}/{suffix}", 0
        while name in names:
            count += 1
            name = f"{value.name}/{suffix}_{count}"
        names.add(name)
        return name

    if not kept.four_bits:
        source = constant("stored", kept.data, kept.params)
        return [Node("dequantize", [source], [value], {}, source.name, "dequantize")]
    assert kept.params is not None
    numbers = kept.data.astype(np.int64)
    inputs: list[Value | None] = []
    if kept.multipliers is not None:
        rows = numbers.reshape(len(numbers), -1)
        columns = kept.multipliers.astype(np.int64).repeat(32, axis=1)[:, : rows.shape[1]]
        numbers = (rows // columns).reshape(numbers.shape)
        inputs = [constant("multipliers", kept.multipliers)]
    inputs.insert(0, constant("stored", pack_int4(numbers.astype(np.int8))))
    attrs = {"shape": tuple(value.shape)}
    if value.dtype == DType.INT8:
        return [Node("unpack_int4", inputs, [value], attrs, f"{value.name}/unpack", "unpack_int4")]
    unpacked = Value(fresh("unpacked"), value.shape, DType.INT8, kept.params)
    return [
        Node("unpack_int4", inputs, [unpacked], attrs, unpacked.name, "unpack_int4"),
        Node("dequantize", [unpacked], [value], {}, f"{value.name}/dequantize", "dequantize"),
    ]
