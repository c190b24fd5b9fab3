"""Small packages of every kind that golden runs have to get right."""

from __future__ import annotations

import itertools

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import UnaryFunction
from edgert.pack.writer import Golden, write

F32, I8, I32, I64 = DType.FLOAT32, DType.INT8, DType.INT32, DType.INT64
RNG_SEED = 7


def constant(name: str, data: np.ndarray, quant: QuantParams | None = None) -> Value:
    return Value(name, data.shape, DType.of(data.dtype), quant, data=data)


def dense(kind: DType = I8, golden: tuple[Golden, ...] = ()) -> bytes:
    """x [1,96] -> fully connected -> y [1,40], in int8 or float32; float32 adds in the order of its instructions."""
    rng = np.random.default_rng(RNG_SEED)
    if kind == F32:
        weights = constant("w", rng.normal(size=(40, 96)).astype(np.float32))
        x, y = Value("x", (1, 96), F32), Value("y", (1, 40), F32)
    else:
        weights = constant("w", rng.integers(-127, 128, (40, 96)).astype(np.int8), QuantParams((0.01,), (0,)))
        x = Value("x", (1, 96), I8, QuantParams((0.02,), (3,)))
        y = Value("y", (1, 40), I8, QuantParams((0.05,), (-5,)))
    return write(Graph("dense", [x], [y], [Node("fully_connected", [x, weights], [y], {}, "dense")]), None, golden)


def float_around_int8() -> bytes:
    """What converting to int8 gives by default: quantize, integers, dequantize."""
    rng = np.random.default_rng(RNG_SEED)
    x, y = Value("x", (1, 96), F32), Value("y", (1, 40), F32)
    inner = Value("xq", (1, 96), I8, QuantParams((0.0078,), (0,)))
    result = Value("yq", (1, 40), I8, QuantParams((0.05,), (-5,)))
    weights = constant("w", rng.integers(-127, 128, (40, 96)).astype(np.int8), QuantParams((0.01,), (0,)))
    nodes = [
        Node("quantize", [x], [inner], {}, "in"),
        Node("fully_connected", [inner, weights], [result], {}, "dense"),
        Node("dequantize", [result], [y], {}, "out"),
    ]
    return write(Graph("around", [x], [y], nodes))


def mixture() -> bytes:
    """Float layers, then integers rounded from them, then floats of those: and each of the three is an output, with the
    place of the largest."""
    rng = np.random.default_rng(RNG_SEED)
    x = Value("x", (1, 96), F32)
    real = Value("real", (1, 40), F32)
    integer = Value("integer", (1, 40), I8, QuantParams((0.25,), (0,)))
    again = Value("again", (1, 40), F32)
    best = Value("best", (1,), I32)
    exact = Value("exact", (1, 48), F32)
    weights = constant("w", rng.normal(size=(40, 96)).astype(np.float32))
    nodes = [
        Node("fully_connected", [x, weights], [real], {}, "dense"),
        Node("quantize", [real], [integer], {}, "round"),
        Node("dequantize", [integer], [again], {}, "real again"),
        Node("arg_max", [real], [best], {"axis": 1}, "best"),
        Node("slice", [x], [exact], {"begin": (0, 0), "end": (1, 48), "strides": (1, 1)}, "half"),
    ]
    return write(Graph("mixture", [x], [real, integer, again, best, exact], nodes))


def embedding(rows: int) -> bytes:
    """ids int64[5] pick rows of a table; a mask bool[5] and a float are inputs too."""
    table = constant("table", np.random.default_rng(1).normal(size=(rows, 6)).astype(np.float32))
    ids, mask, scale = Value("ids", (5,), I64), Value("mask", (5, 1), DType.BOOL), Value("scale", (5, 6), F32)
    rows_out, chosen = Value("rows", (5, 6), F32), Value("chosen", (5, 6), F32)
    nodes = [
        Node("gather", [table, ids], [rows_out], {"axis": 0}, "look up"),
        Node("select", [mask, rows_out, scale], [chosen], {}, "choose"),
    ]
    return write(Graph("embedding", [ids, mask, scale], [chosen], nodes))


def memory(kind: DType = I8) -> bytes:
    """y = what x was one step before; of float32, what tanh(x) was, which C libraries do not agree on."""
    quant = QuantParams((0.5,), (0,)) if kind == I8 else None
    x, y, inner = (Value(name, (1, 16), kind, quant) for name in ("x", "y", "inner"))
    start = np.arange(16, dtype=kind.numpy_name).reshape(1, 16)
    state = Value("state", (1, 16), kind, quant, data=start, variable=True)
    nodes = [Node("copy", [state], [y], {}, "read"), Node("assign", [state, x], [], {}, "write")]
    if kind == F32:
        nodes[1:] = [
            Node("unary", [x], [inner], {"function": UnaryFunction.TANH}, "tanh"),
            Node("assign", [state, inner], [], {}, "write"),
        ]
    return write(Graph("memory", [x], [y], nodes))


def slow(layers: int = 24, size: int = 2048) -> bytes:
    """Minutes of work in a small file: one matrix, multiplied by itself over and over. (Every layer packs it anew: many
    more would reach the limit of memory first.)"""
    weights = constant("w", np.full((size, size), 0.001, np.float32))
    x = Value("x", (size, size), F32)
    values = [x, *(Value(f"v{i}", (size, size), F32) for i in range(layers))]
    nodes = [Node("matmul", [a, weights], [b], {}, b.name) for a, b in itertools.pairwise(values)]
    return write(Graph("slow", [x], [values[-1]], nodes))


def greedy(megabytes: int = 900) -> bytes:
    """A small file that asks for much memory."""
    count = (megabytes << 20) // 4
    x = Value("x", (1,), F32)
    y = Value("y", (count,), F32)
    return write(Graph("greedy", [x], [y], [Node("broadcast_to", [x], [y], {"shape": (count,)}, "broadcast")]))
