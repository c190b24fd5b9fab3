"""Hostile TensorFlow files: an error of edgert's own, at once, and little memory."""

from __future__ import annotations

import io
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from edgert.errors import EdgertError
from edgert.importers.tensorflow import builder, load, walk
from edgert.importers.tensorflow.messages import message
from importers._tensorflow_graphs import HEADER, TYPES, Function, Graph, Shape, Type, entry, length, set_shape, table

MOST_SECONDS, MOST_BYTES = 2.0, 300 << 20  # of the processor; a machine that serves others too is slower


def refused(path, traced=True):
    """Loads, which must fail with one of edgert's errors; its text. traced: once more, to measure memory."""
    begun = time.process_time()
    with pytest.raises(EdgertError) as caught:
        load(path)
    assert time.process_time() - begun < MOST_SECONDS
    if traced:
        tracemalloc.start()
        try:
            with pytest.raises(EdgertError):
                load(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MOST_BYTES
    return str(caught.value)


def small() -> Graph:
    graph = Graph()
    graph.input("x", 1, 4)
    graph.const("w", np.ones((4, 3), np.float32))
    graph.node("y", "MatMul", "x", "w")
    return graph


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("graph.pb", b"x" * 100)
    return buffer.getvalue()


NO_GRAPHS = {
    "empty": b"",
    "garbage": np.random.default_rng(0).integers(0, 256, 10000).astype(np.uint8).tobytes(),
    "zeros": bytes(4096),
    "zip": zipped(),
    "text": b'node {\n  name: "x"\n  op: "Placeholder"\n}\n',
    "truncated": small().data()[:-40],
    "nested": b"",  # filled below
}


def nested() -> bytes:
    """AttrValue in NameAttrList in AttrValue ..., 5000 deep."""
    inner = b""
    for _ in range(5000):
        entry = b"\x0a\x01a\x12" + length(inner) + inner
        listed = b"\x12" + length(entry) + entry
        inner = b"\x52" + length(listed) + listed
    entry = b"\x0a\x01a\x12" + length(inner) + inner
    node = b"\x0a\x01n\x12\x04NoOp\x2a" + length(entry) + entry
    return b"\x0a" + length(node) + node


NO_GRAPHS["nested"] = nested()


@pytest.mark.parametrize("kind", NO_GRAPHS)
def test_no_graph(tmp_path, kind):
    path = tmp_path / "model.pb"
    path.write_bytes(NO_GRAPHS[kind])
    assert "model.pb" in refused(path)


def test_every_truncation_is_refused_or_whole(tmp_path):
    """Where a message happens to end, what is left is a graph without its end."""
    data, path = small().data(), tmp_path / "model.pb"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        try:
            load(path)
        except EdgertError:
            continue
        assert size > 20


# Graphs that are well-formed and mean something impossible


def cyclic() -> Graph:
    graph = Graph()
    graph.node("a", "Relu", "b")
    graph.node("b", "Relu", "a")
    graph.node("y", "Relu", "b")
    return graph


def long_cycle() -> Graph:
    graph = Graph()
    for at in range(20000):
        graph.node(f"n{at}", "Relu", f"n{(at + 1) % 20000}")
    graph.node("y", "Relu", "n0")
    return graph


def cyclic_without_end() -> Graph:
    graph = Graph()
    graph.node("a", "Relu", "b")
    graph.node("b", "Relu", "a")
    return graph


def twice() -> Graph:
    graph = small()
    graph.node("y", "Relu", "x")
    return graph


def with_tensor(shape: tuple[int, ...], **values) -> Graph:
    """x + a constant of that shape, with the values of a TensorProto's fields."""
    graph = Graph()
    graph.input("x", 1, 4)
    graph.const("c", np.zeros(1, np.float32))
    tensor = graph.proto.node[-1].attr["value"].tensor
    tensor.Clear()
    tensor.dtype = TYPES["float32"]
    set_shape(tensor.tensor_shape, shape)
    for name, value in values.items():
        if isinstance(value, bytes):
            setattr(tensor, name, value)
        else:
            getattr(tensor, name).extend(value)
    graph.node("y", "AddV2", "x", "c")
    return graph


def many_repeated() -> Graph:
    """200 constants of 16 million equal numbers, a few bytes each in the file."""
    graph = with_tensor((1 << 24,), float_val=[1.0])
    tensor = graph.proto.node[1]
    for at in range(200):
        copy = graph.proto.node.add()
        copy.CopyFrom(tensor)
        copy.name = f"c{at}"
        graph.node(f"y{at}", "AddV2", "x", f"c{at}")
    return graph


def of_placeholder(*sizes: int) -> Graph:
    graph = Graph()
    graph.input("x", *sizes)
    graph.node("y", "Relu", "x")
    return graph


def huge(op: str, *inputs, **attrs) -> Graph:
    """A node whose constant inputs ask for a huge result."""
    graph = Graph()
    graph.input("x", 2, 4)
    graph.input("wide", 40000, 40000)
    graph.input("small", 1, 2, 2, 3)
    graph.input("image", 1, 2, 2, 1 << 20)
    graph.input("kernel", 10000, 10000, 1 << 20, 1)
    names = []
    for at, value in enumerate(inputs):
        names.append(value if isinstance(value, str) else graph.const(f"c{at}", value))
    graph.node("y", op, *names, **attrs)
    graph.node("z", "Relu", "y")
    return graph


def growing_constant() -> Graph:
    """Each constant is four times the one before: 4^12 megabytes."""
    graph = Graph()
    graph.input("x", 4)
    graph.const("c0", np.ones(1 << 18, np.float32))
    graph.const("axis", 0)
    for at in range(12):
        graph.node(f"c{at + 1}", "ConcatV2", *[f"c{at}"] * 4, "axis")
    graph.node("y", "AddV2", "x", "c12")
    return graph


def calling_itself() -> Graph:
    graph = Graph()
    graph.input("x", 4)
    body = graph.function("f", {"v": "float32"}, {"r": "call:output:0"})
    graph.node("call", "PartitionedCall", "v", into=body, f=Function("f"))
    graph.node("y", "PartitionedCall", "x", f=Function("f"))
    return graph


def doubling_calls() -> Graph:
    """30 functions of which each calls the next one twice: 2^30 calls."""
    graph = Graph()
    graph.input("x", 4)
    for at in range(30):
        body = graph.function(f"f{at}", {"v": "float32"}, {"r": "b:output:0"})
        graph.node("a", "PartitionedCall", "v", into=body, f=Function(f"f{at + 1}"))
        graph.node("b", "PartitionedCall", "a:output:0", into=body, f=Function(f"f{at + 1}"))
    body = graph.function("f30", {"v": "float32"}, {"r": "a:activations:0"})
    graph.node("a", "Relu", "v", into=body)
    graph.node("y", "PartitionedCall", "x", f=Function("f0"))
    return graph


def endless_loop() -> Graph:
    graph = Graph()
    graph.input("x", 4)
    going = graph.function("going", {"v": "float32"}, {"go": "yes:output:0"})
    graph.const("yes", np.array(True), into=going)
    body = graph.function("body", {"v": "float32"}, {"w": "more:activations:0"})
    graph.node("more", "Relu", "v", into=body)
    graph.node("y", "While", "x", cond=Function("going"), body=Function("body"))
    return graph


def endless_loop_1() -> Graph:
    graph = Graph()
    graph.input("x", 4)
    graph.const("yes", np.array(True))
    graph.node("enter", "Enter", "x", frame_name="f")
    graph.node("enter_yes", "Enter", "yes", frame_name="f", is_constant=True)
    graph.node("merge", "Merge", "enter", "next")
    graph.node("cond", "LoopCond", "enter_yes")
    graph.node("switch", "Switch", "merge", "cond")
    graph.node("next", "NextIteration", "switch:1")
    graph.node("exit", "Exit", "switch")
    graph.node("y", "Relu", "exit")
    return graph


def frame_without_condition() -> Graph:
    graph = Graph()
    graph.input("x", 4)
    graph.node("exit", "Exit", "x")
    graph.node("y", "Relu", "exit")
    return graph


def growing_list() -> Graph:
    graph = Graph()
    graph.const("shape", [4])
    graph.const("count", 1 << 30)
    graph.node("list", "TensorListReserve", "shape", "count", element_dtype=Type("float32"))
    graph.node("y", "TensorListStack", "list", "shape", element_dtype=Type("float32"))
    return graph


def attributes_missing() -> Graph:
    graph = Graph()
    graph.input("x", 1, 8, 8, 3)
    graph.const("w", np.ones((3, 3, 3, 4), np.float32))
    graph.node("y", "Conv2D", "x", "w")
    return graph


def strides(*numbers: int) -> Graph:
    graph = attributes_missing()
    node = graph.proto.node[-1]
    node.attr["strides"].list.i.extend(numbers)
    node.attr["padding"].s = b"SAME"
    return graph


GRAPHS = {
    "cyclic": cyclic,
    "long_cycle": long_cycle,
    "cyclic_without_end": cyclic_without_end,
    "two_of_a_name": twice,
    "negative_placeholder": lambda: of_placeholder(1, -5, 3),
    "huge_placeholder": lambda: of_placeholder(1 << 40, 1 << 40),
    "negative_tensor": lambda: with_tensor((-3, 4), float_val=[1.0]),
    "repeated_1e9": lambda: with_tensor((1000, 1000, 1000), float_val=[1.0]),
    "zeros_1e9": lambda: with_tensor((1 << 30,)),
    "zeros_1e18": lambda: with_tensor((1 << 31, 1 << 31)),
    "many_repeated": many_repeated,
    "too_many_values": lambda: with_tensor((2,), float_val=[1.0, 2.0, 3.0]),
    "content_too_short": lambda: with_tensor((100,), tensor_content=b"1234"),
    "fill": lambda: huge("Fill", [1 << 20, 1 << 20], 1.0),
    "tile": lambda: huge("Tile", "x", [1 << 20, 1 << 20]),
    "broadcast": lambda: huge("BroadcastTo", "x", [1 << 20, 2, 1 << 20]),
    "broadcast_negative": lambda: huge("BroadcastTo", "x", [-4, 2, 4]),
    "pad": lambda: huge("Pad", "x", [[1 << 30, 1 << 30], [1 << 30, 0]]),
    "pad_negative": lambda: huge("Pad", "x", [[-1, 0], [0, 0]]),
    "range": lambda: huge("Range", 0, 1 << 30, 1),
    "range_backwards": lambda: huge("Range", 0, 5, 0),
    "lin_space": lambda: huge("LinSpace", 0.0, 1.0, 1 << 30),
    "one_hot": lambda: huge("OneHot", [0, 1], 1 << 30, 1.0, 0.0),
    "resize": lambda: huge("ResizeBicubic", np.zeros((1, 2, 2, 1), np.float32), [1 << 28, 1 << 28]),
    "reshape": lambda: huge("Reshape", "x", [-1, 0]),
    "reshape_twice_open": lambda: huge("Reshape", "x", [-1, -1]),
    "transpose": lambda: huge("Transpose", "x", [0, 0]),
    "split": lambda: huge("Split", 0, "x", num_split=1 << 30),
    "gather": lambda: huge("GatherV2", "x", [1 << 30], 0),
    "axis": lambda: huge("ConcatV2", "x", "x", 1 << 30),
    "stitch": lambda: huge("DynamicStitch", [1 << 30], np.zeros((1, 4), np.float32)),
    "concat_of_constants": growing_constant,
    "band_part": lambda: huge("MatrixBandPart", "wide", 0, 0),
    "lrn": lambda: huge("LRN", "image"),
    "computed_kernel": lambda: huge("Conv2D", "image", "kernel", strides=[1, 1, 1, 1], padding="SAME"),
    "nearest": lambda: huge("ResizeNearestNeighbor", "small", [1, (1 << 30) + 1], half_pixel_centers=True),
    "stitch_wide": lambda: huge("DynamicStitch", [1 << 19], np.zeros((1, 1 << 16), np.float32)),
    "rfft": lambda: huge("RFFT", "x", [1 << 20]),
    "block": lambda: huge("SpaceToBatchND", "small", [1 << 30, 1], [[0, 0], [0, 0]]),
    "calling_itself": calling_itself,
    "doubling_calls": doubling_calls,
    "endless_loop": endless_loop,
    "endless_loop_1": endless_loop_1,
    "frame_without_condition": frame_without_condition,
    "growing_list": growing_list,
    "attributes_missing": attributes_missing,
    "strides_0": lambda: strides(1, 0, 0, 1),
    "strides_short": lambda: strides(1, 1),
    "strides_negative": lambda: strides(1, -1, 1, 1),
}


LONG = {"doubling_calls", "endless_loop", "endless_loop_1"}  # tracing takes ten times as long


@pytest.mark.parametrize("kind", GRAPHS)
def test_impossible_graph(tmp_path, kind):
    path = tmp_path / "model.pb"
    path.write_bytes(GRAPHS[kind]().data())
    refused(path, traced=kind not in LONG)


def test_what_loops_compute_beforehand_is_bounded(tmp_path, monkeypatch):
    """Every round makes a constant of a megabyte."""
    monkeypatch.setattr(builder, "FOLDED_LIMIT", 16 << 20)
    monkeypatch.setattr(walk, "MOST_STEPS", 1000)
    graph = endless_loop()
    body = graph.proto.library.function[1]
    graph.const("size", [512, 511], into=body)
    graph.const("one", 1.0, into=body)
    graph.node("large", "Fill", "size:output:0", "one:output:0", into=body)
    graph.node("sum", "AddV2", "more:activations:0", "large:output:0", into=body)
    body.ret["w"] = "sum:z:0"
    graph.proto.node[0].attr["shape"].shape.dim[0].size = 511
    path = tmp_path / "model.pb"
    path.write_bytes(graph.data())
    tracemalloc.start()
    with pytest.raises(EdgertError, match="unroll to more than"):
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 << 20


def test_deep_graphs_are_no_matter(tmp_path):
    """Nodes are followed without recursion."""
    graph = Graph()
    graph.input("n0", 4)
    for at in range(3000):
        graph.node(f"n{at + 1}", "Relu", f"n{at}")
    path = tmp_path / "model.pb"
    path.write_bytes(graph.data())
    assert len(load(path).nodes) == 3000


# SavedModels


def saved(folder, index: bytes, shard: bytes = b"") -> None:
    """A SavedModel of one variable, "w", with that index."""
    model = message("SavedModel")()
    meta = model.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    graph = Graph()
    graph.input("x", 1, 4)
    graph.node("w", "VarHandleOp", shared_name="w", dtype=Type("float32"), shape=Shape((4,)))
    graph.node("read", "ReadVariableOp", "w", dtype=Type("float32"))
    graph.node("y", "AddV2", "x", "read")
    meta.graph_def.CopyFrom(graph.proto)
    meta.signature_def["serving_default"].inputs["x"].name = "x:0"
    meta.signature_def["serving_default"].outputs["y"].name = "y:0"
    (folder / "variables").mkdir()
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    (folder / "variables" / "variables.index").write_bytes(index)
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(shard)


INDEXES = {
    "empty": b"",
    "garbage": bytes(range(256)) * 4,
    "truncated": table({**HEADER, b"w": entry(4)})[1:],
    "negative": table({**HEADER, b"w": entry(-4)}),
    "size": table({**HEADER, b"w": entry(1 << 20, 1 << 20, size=1 << 42)}),
    "offset": table({**HEADER, b"w": entry(4, offset=1 << 40)}),
    "offset_negative": table({**HEADER, b"w": entry(4, offset=-8)}),
    "shape": table({**HEADER, b"w": entry(5)}),
    "text": table({**HEADER, b"w": entry(4, dtype=7)}),
    "absent": table({**HEADER, b"v": entry(4)}),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_impossible_variables(tmp_path, kind):
    saved(tmp_path, INDEXES[kind], np.arange(4, dtype=np.float32).tobytes())
    refused(tmp_path)


def test_variables_of_a_table_by_hand(tmp_path):
    saved(tmp_path, table({**HEADER, b"w": entry(4)}), np.arange(4, dtype=np.float32).tobytes())
    (node,) = load(tmp_path).nodes
    np.testing.assert_array_equal(node.inputs[1].data, [0, 1, 2, 3])
