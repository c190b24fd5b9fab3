"""Written files read back as what was written, and equal graphs give equal bytes."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.errors import FileFormatError, ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import ALL_OPS, OPS_BY_NAME
from edgert.ops._enums import Activation
from edgert.pack.metadata import Metadata
from edgert.pack.reader import read
from edgert.pack.writer import attrs_table, camel, load_schema, write


def sample() -> Graph:
    """int8 convolution, residual addition; two equal constants."""
    rng = np.random.default_rng(7)
    weights = rng.integers(-127, 128, (4, 3, 3, 4), dtype=np.int8)
    x = Value("x", (1, 8, 8, 4), DType.INT8, QuantParams((0.5,), (3,)))
    w = Value("w", weights.shape, DType.INT8, QuantParams((0.1, 0.2, 0.3, 0.4), (0, 0, 0, 0), 0), weights)
    again = Value("again", weights.shape, DType.INT8, w.quant, weights.copy())
    bias = Value("bias", (4,), DType.INT32, None, np.array([1, -2, 3, -(2**31)], np.int32))
    a = Value("a", (1, 8, 8, 4), DType.INT8, QuantParams((0.25,), (-1,)))
    b = Value("b", (1, 8, 8, 4), DType.INT8, QuantParams((0.25,), (-1,)))
    y = Value("y", (1, 8, 8, 4), DType.INT8, QuantParams((0.75,), (0,)))
    pads = {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}
    return Graph(
        "sample",
        [x],
        [y],
        [
            Node("conv2d", [x, w, bias], [a], {**pads, "activation": Activation.RELU6}, name="first", source="CONV_2D"),
            Node("conv2d", [x, again, None], [b], pads, name="second"),
            Node("add", [a, b], [y], {}, name="sum"),
        ],
    )


METADATA = Metadata(
    name="sample",
    licence="Apache-2.0",
    labels=("cat", "dög"),
    input_mean=(127.5,),
    input_std=(128.0,),
    toolchain="edgert test",
    entries=(("accuracy", "0.9"),),
)


def test_reads_back_what_was_written() -> None:
    graph = sample()
    x = np.zeros((1, 8, 8, 4), np.int8)
    info = read(write(graph, METADATA, [([x], [x + 1])]))

    assert info.metadata == METADATA
    assert [tensor.name for tensor in info.tensors] == [value.name for value in graph.values()]
    for tensor, value in zip(info.tensors, graph.values(), strict=True):
        assert (tensor.shape, tensor.dtype) == (value.shape, value.dtype)
        assert tensor.kind == ("constant" if value.constant else "activation")
        assert (tensor.arena_offset >= 0) == (tensor.kind == "activation")
        if value.quant is not None:
            assert tensor.quant is not None
            np.testing.assert_array_equal(tensor.quant.scales, np.array(value.quant.scales, np.float32))
            assert tensor.quant.zero_points == value.quant.zero_points
        else:
            assert tensor.quant is None
    names = {tensor.name: i for i, tensor in enumerate(info.tensors)}
    for value in graph.values():
        if value.data is not None:
            np.testing.assert_array_equal(info.array(names[value.name]), value.data)
    assert [(op.type, op.name) for op in info.ops] == [("conv2d", "first"), ("conv2d", "second"), ("add", "sum")]
    assert info.ops[0].attrs == OPS_BY_NAME["conv2d"].complete(graph.nodes[0].attrs)
    assert info.ops[1].inputs == (names["x"], names["again"], -1)
    assert info.inputs == (names["x"],)
    assert info.outputs == (names["y"],)
    (run,) = info.golden
    assert info.buffers[run[1][0]].tobytes() == (x + 1).tobytes()


def test_equal_constants_are_stored_once_and_aligned() -> None:
    data = write(sample())
    info = read(data)
    names = {tensor.name: tensor for tensor in info.tensors}
    assert names["w"].buffer == names["again"].buffer
    assert len(info.buffers[0]) == 0
    start = np.frombuffer(data, np.uint8).ctypes.data
    for buffer in info.buffers[1:]:
        assert (buffer.ctypes.data - start) % 64 == 0


def test_same_graph_gives_same_bytes() -> None:
    assert write(sample(), METADATA) == write(sample(), METADATA)


def test_every_operator_has_its_table_and_fields() -> None:
    _, schema = load_schema()
    for op in ALL_OPS:
        table = attrs_table(schema, op.code)
        fields = {name.removeprefix(f"{table}Add") for name in vars(schema) if name.startswith(f"{table}Add")}
        assert fields == {camel(name) for name in op.attrs}, op.name


def test_a_graph_that_is_not_sound_is_refused() -> None:
    graph = sample()
    graph.nodes.reverse()
    with pytest.raises(ModelError, match="before anything writes it"):
        write(graph)


def test_reading_something_else_is_an_error() -> None:
    with pytest.raises(FileFormatError, match="not an"):
        read(b"TFL3" * 10)
    data = write(sample())
    for length in (0, 4, 8, 20, 64, 100, 300):
        with pytest.raises(FileFormatError):
            read(data[:length])
