"""Small packages for the tests of the runtime."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.pack.metadata import Metadata
from edgert.pack.writer import write


def pooled(labels: tuple[str, ...] = ()) -> bytes:
    """image float32[1,4,4,2] -> max pool 2x2 -> scores float32[1,8]."""
    image = Value("image", (1, 4, 4, 2), DType.FLOAT32)
    pool = Value("pool", (1, 2, 2, 2), DType.FLOAT32)
    scores = Value("scores", (1, 8), DType.FLOAT32)
    graph = Graph("pooled", [image], [scores])
    window = {"kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2}
    graph.nodes = [
        Node("max_pool2d", [image], [pool], window, "pool"),
        Node("reshape", [pool], [scores], {"shape": (0, -1)}, "flatten"),
    ]
    return write(graph, Metadata(name="pooled", labels=labels, input_mean=(1.0,), input_std=(2.0,)))


def pooled_reference(image: np.ndarray) -> np.ndarray:
    batch = image.shape[0]
    return image.reshape(batch, 2, 2, 2, 2, 2).max(axis=(2, 4)).reshape(batch, -1)


def int8_copy() -> bytes:
    """x int8[1,5] (scale 0.5, zero point 3) -> copy -> y."""
    quant = QuantParams((0.5,), (3,))
    x, y = (Value(name, (1, 5), DType.INT8, quant) for name in "xy")
    return write(Graph("int8_copy", [x], [y], [Node("copy", [x], [y], {}, "copy")]))


def counter() -> bytes:
    """A variable that remembers: y = state (as it was), then state = x."""
    x, y = (Value(name, (3,), DType.FLOAT32) for name in "xy")
    state = Value("state", (3,), DType.FLOAT32, data=np.array([1, 2, 3], np.float32), variable=True)
    nodes = [Node("copy", [state], [y], {}, "read"), Node("assign", [state, x], [], {}, "write")]
    return write(Graph("counter", [x], [y], nodes))


def gather(rows: int = 4) -> bytes:
    """Picks rows of a table by an index that is data."""
    table = Value("table", (rows, 2), DType.FLOAT32, data=np.arange(rows * 2, dtype=np.float32).reshape(rows, 2))
    index = Value("index", (3,), DType.INT32)
    picked = Value("picked", (3, 2), DType.FLOAT32)
    return write(Graph("gather", [index], [picked], [Node("gather", [table, index], [picked], {"axis": 0}, "pick")]))
