"""Packages that tests damage or carry to other machines: small, and together they hold every operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from expanded_graphs import mixed_net
from fused_graphs import ChainBuilder

import edgert
from edgert.compile import pack_weights
from edgert.custom import CustomOp, TensorType, add_custom_op, remove_custom_op
from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import ALL_OPS, OPS_BY_NAME
from edgert.ops._enums import (
    Activation,
    BinaryFunction,
    CompareFunction,
    PadMode,
    ReduceFunction,
    ResizeMode,
    ScatterReduction,
    UnaryFunction,
)
from edgert.pack.metadata import Metadata
from edgert.pack.writer import write
from edgert.quickstart import sample_folder

QUANT = QuantParams((float(np.float32(0.05)),), (3,))
SOFTMAX_QUANT = QuantParams((1 / 256,), (-128,))


def digits(quantize: bool, targets: tuple[str, ...] = ()) -> bytes:
    """The sample network: convolutions, depthwise convolutions, pooling and a dense layer."""
    folder = sample_folder()
    with np.load(folder / "calibration.npz") as archive:
        samples = [{"image": image[None]} for image in archive["image"][:20]]
    options: dict[str, Any] = {"quantize": "int8", "calibrate": samples, "io": "int8"} if quantize else {}
    return edgert.convert(folder / "digits.onnx", labels=tuple("0123456789"), targets=targets, **options).data


class _Builder:
    """A graph that grows by one node at a time; every result is an output."""

    def __init__(self) -> None:
        self.graph = Graph("every_operator")
        self.rng = np.random.default_rng(3)
        self.constants = 0

    def input(self, name: str, shape: tuple[int, ...], dtype: DType, quant: QuantParams | None = None) -> Value:
        value = Value(name, shape, dtype, quant)
        self.graph.inputs.append(value)
        return value

    def constant(
        self, shape: tuple[int, ...], dtype: DType, quant: QuantParams | None = None, high: int = 100
    ) -> Value:
        self.constants += 1
        name = f"constant{self.constants}"
        if dtype == DType.FLOAT32:
            data = self.rng.normal(size=shape).astype(np.float32)
        else:
            low = 0 if high < 100 else -high
            data = self.rng.integers(low, high, shape).astype(dtype.numpy_name)
        return Value(name, shape, dtype, quant, data)

    def add(self, op: str, *inputs: Value | None, quant: QuantParams | None = None, out: DType | None = None,
            **attrs: Any) -> Value | None:  # fmt: skip
        """Adds a node; int8 results get `quant`, or QUANT."""
        definition = OPS_BY_NAME[op]
        name = f"{op}{len(self.graph.nodes)}"
        specs = definition.infer(list(inputs), definition.complete(attrs)) if op not in _TYPED else None
        outputs = []
        if specs is None:
            assert inputs[0] is not None
            assert out is not None
            outputs = [Value(name, _TYPED[op](inputs[0], attrs), out, (quant or QUANT) if out == DType.INT8 else None)]
        else:
            for number, spec in enumerate(specs):
                params = (quant or QUANT) if spec.dtype == DType.INT8 else None
                outputs.append(Value(f"{name}_{number}" if number else name, spec.shape, spec.dtype, params))
        self.graph.nodes.append(Node(op, list(inputs), outputs, attrs, name))
        self.graph.outputs += outputs
        return outputs[0] if outputs else None


def _same_shape(value: Value, attrs: dict[str, Any]) -> tuple[int, ...]:
    return value.shape


# Operators whose output type is the output's own choice.
_TYPED: dict[str, Callable[[Value, dict[str, Any]], tuple[int, ...]]] = {
    "cast": _same_shape,
    "quantize": _same_shape,
    "arg_max": lambda value, attrs: value.shape[:-1],
}


def every_operator() -> bytes:
    """Every operator at least once, in float32 and in int8 where it has both, on tensors of a few dozen elements."""
    b = _Builder()
    x = b.input("x", (1, 6, 5, 4), DType.FLOAT32)
    q = b.input("q", (1, 6, 5, 4), DType.INT8, QUANT)
    index = b.input("index", (2,), DType.INT32)
    window = {"stride_h": 2, "pad_top": 1, "pad_left": 1, "pad_right": 1, "activation": Activation.RELU6}
    per_channel = QuantParams(tuple(float(np.float32(s)) for s in (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)), (0,) * 6, 0)
    for value in (x, q):
        int8 = value.dtype == DType.INT8
        kind, bias_kind = (DType.INT8, DType.INT32) if int8 else (DType.FLOAT32, DType.FLOAT32)
        weight_quant = per_channel if int8 else None
        b.add(
            "conv2d",
            value,
            b.constant((6, 3, 3, 2), kind, weight_quant),
            b.constant((6,), bias_kind),
            groups=2,
            **window,
        )
        per_tensor = QuantParams((0.015625,), (5,)) if int8 else None
        b.add("depthwise_conv2d", value, b.constant((3, 3, 8), kind, per_tensor), None, multiplier=2, **window)
        b.add("fully_connected", value, b.constant((6, 4), kind, weight_quant), b.constant((6,), bias_kind))
        b.add("matmul", value, b.constant((5, 4), kind, QUANT if int8 else None), transpose_b=True)
        for op in ("add", "sub", "mul"):
            b.add(op, value, b.constant((5, 1), kind, QUANT if int8 else None), activation=Activation.RELU)
        b.add("max_pool2d", value, kernel_h=3, kernel_w=2, stride_h=2, pad_top=1)
        b.add("average_pool2d", value, kernel_h=3, kernel_w=2, stride_w=2, pad_left=1)
        b.add("reduce", value, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=True)
        b.add("reduce", value, function=ReduceFunction.MAX, axes=(3,))
        b.add("softmax", value, quant=SOFTMAX_QUANT, **({"exp_table": _exp_table()} if int8 else {}))
        b.add("reshape", value, shape=(0, -1, 2))
        b.add("transpose", value, perm=(0, 3, 1, 2))
        b.add("concat", value, value, axis=-1 % 4)
        b.add("slice", value, begin=(0, 5, 0, 1), end=(1, -1, 5, 4), strides=(1, -2, 2, 1))
        b.add("pad", value, before=(0, 1, 2, 0), after=(0, 2, 1, 0), mode=PadMode.REFLECT)
        b.add("gather", value, b.constant((2,), DType.INT32, high=6), axis=1)
        b.add("broadcast_to", value, shape=(2, 6, 5, 4))
        b.add("resize", value, out_h=9, out_w=3, mode=ResizeMode.BILINEAR)
        b.add("depth_to_space", value, block=2)
        b.add("space_to_depth", b.add("slice", value, begin=(0, 0, 0, 0), end=(1, 6, 4, 4), strides=(1,) * 4), block=2)
        b.add("arg_max", value, axis=3, out=DType.INT64)
        mask = b.add("compare", value, value, function=CompareFunction.LESS_EQUAL)
        b.add("select", mask, value, value)
        b.add("copy", value)
    b.add("log_softmax", x)
    b.add("prelu", x, b.constant((4,), DType.FLOAT32))
    b.add("lut", q, b.constant((256,), DType.INT8))
    b.add("dequantize", q)
    b.add("quantize", x, out=DType.INT8)
    b.add("cast", x, out=DType.INT32)
    whole = b.input("whole", (1, 6, 5, 4), DType.INT32)
    for op, functions in (("binary", BinaryFunction), ("unary", UnaryFunction)):
        for function in functions:
            attrs = {"function": function, **({"alpha": 0.1, "beta": 0.5} if op == "unary" else {})}
            value = next(value for value in (x, mask, whole) if _takes(op, value, attrs))
            b.add(op, *[value] * (1 + (op == "binary")), **attrs)
    state = Value("state", (1, 6, 5, 4), DType.FLOAT32, data=np.ones((1, 6, 5, 4), np.float32), variable=True)
    b.add("add", state, x)
    b.add("assign", state, x)
    halves = b.input("halves", (6, 9), DType.UINT8)
    b.add("unpack_int4", halves, b.constant((6, 1), DType.UINT8), shape=(6, 3, 3, 2))
    _add_recurrent(b)
    _add_indices(b, x, q, index)
    used = {node.op for node in b.graph.nodes}
    missing = {op.name for op in ALL_OPS} - used - {"custom"}  # which has a package of its own
    assert not missing, f"every_operator() leaves out {sorted(missing)}"
    return write(b.graph, Metadata(name="every operator", labels=("a", "b"), input_mean=(0.0,), input_std=(1.0,)))


def _takes(op: str, value: Value | None, attrs: dict[str, Any]) -> bool:
    definition = OPS_BY_NAME[op]
    try:
        definition.infer([value] * definition.inputs[0], definition.complete(attrs))
    except ModelError:
        return False
    return True


def _add_recurrent(b: _Builder) -> None:
    """Sequences of 3 steps, 2 at a time, of 4 features; 5 units."""
    real = DType.FLOAT32
    x = b.input("sequence", (3, 2, 4), real)
    h, c = b.constant((2, 5), real), b.constant((2, 5), real)
    lengths = b.input("lengths", (2,), DType.INT32)
    lstm = (b.constant((20, 4), real), b.constant((20, 5), real), b.constant((20,), real))
    b.add("lstm", x, *lstm, h, c, b.constant((3, 5), real), None, None, lengths, clip=3.0, reverse=True)
    projected = (b.constant((15, 4), real), b.constant((15, 3), real))
    b.add("lstm", x, *projected, None, None, None, None, b.constant((3, 5), real), coupled=True, cell_clip=1.0)
    b.add("gru", x, b.constant((15, 4), real), b.constant((15, 5), real), b.constant((15,), real),
          b.constant((15,), real), h, lengths, reset_after=True)  # fmt: skip
    b.add("gru", x, b.constant((15, 4), real), b.constant((15, 5), real), reverse=True)
    b.add("rnn", x, b.constant((5, 4), real), b.constant((5, 5), real), b.constant((5,), real), h, lengths)
    state = Value("memory", (2, 6, 4), real, data=np.zeros((2, 6, 4), np.float32), variable=True)
    frame = b.input("frame", (2, 4), real)
    b.add("svdf", frame, b.constant((6, 4), real), b.constant((6, 4), real), state, b.constant((3,), real), rank=2)
    _add_integer_recurrent(b)


def _add_integer_recurrent(b: _Builder) -> None:
    """The same in integers, where outputs have scales of their own."""
    weights, cells = QuantParams((0.0078125,), (0,)), QuantParams((2.0**-12,), (0,))
    x = b.input("integer_sequence", (3, 2, 4), DType.INT8, QUANT)
    shapes: tuple[tuple[tuple[int, ...], DType, QuantParams | None], ...] = (
        ((20, 4), DType.INT8, weights), ((20, 3), DType.INT8, weights), ((20,), DType.INT32, None),
        ((2, 3), DType.INT8, QUANT), ((2, 5), DType.INT16, cells), ((3, 5), DType.INT16, cells),
        ((3, 5), DType.INT8, weights), ((3,), DType.INT32, None),
    )  # fmt: skip
    b.add("lstm", x, *(b.constant(*spec) for spec in shapes), hidden_scale=0.01, hidden_zero_point=3, cell_clip=2.0)
    b.graph.nodes[-1].outputs[2].quant = cells
    for kind in (DType.INT8, DType.INT16):
        times, state = b.constant((6, 4), kind, weights), b.constant((2, 6, 4), kind, cells)
        frame = b.input(f"integer_frame_{kind.name.lower()}", (2, 4), DType.INT8, QUANT)
        features, bias = b.constant((6, 4), DType.INT8, weights), b.constant((3,), DType.INT32)
        b.add("svdf", frame, features, times, state, bias, rank=2)
        b.graph.nodes[-1].outputs[1].quant = cells


def _add_indices(b: _Builder, x: Value, q: Value, index: Value) -> None:
    for value in (x, q):
        kind = value.dtype
        b.add("top_k", value, k=2, axis=1)
        places = b.constant((2, 2), DType.INT32, high=1)
        b.add("gather_nd", value, places)
        picks = b.constant((1, 2, 5, 4), DType.INT64, high=6)
        b.add("gather_elements", value, picks, axis=1)
        quant = QUANT if kind == DType.INT8 else None
        b.add("scatter_nd", value, places, b.constant((2, 5, 4), kind, quant))
        b.add("scatter_elements", value, picks, b.constant((1, 2, 5, 4), kind, quant), axis=1)
    b.add("scatter_elements", x, picks, b.constant((1, 2, 5, 4), DType.FLOAT32), axis=1, reduction=ScatterReduction.ADD)
    b.add("cumsum", x, axis=2, exclusive=True, reverse=True)
    boxes, scores = b.input("boxes", (1, 7, 4), DType.FLOAT32), b.input("scores", (1, 3, 7), DType.FLOAT32)
    b.add("non_max_suppression", boxes, scores, max_output=3, iou_threshold=0.5, score_threshold=0.1)
    classes = b.input("classes", (1, 7, 4), DType.FLOAT32)
    for regular in (False, True):
        b.add("detection_postprocess", boxes, classes, b.constant((7, 4), DType.FLOAT32), max_detections=4, classes=3,
              regular=regular, iou_threshold=0.5, score_threshold=0.1)  # fmt: skip
    b.add("gather", x, index, axis=1)  # last: where the index lies outside, the run ends here


def custom() -> bytes:
    """An operator from outside, tests.copy, which the programs under tests/c and tests/fuzz bring."""
    graph = Graph("custom")
    x = Value("x", (3, 5), DType.FLOAT32)
    y, z = Value("y", (3, 5), DType.FLOAT32), Value("z", (4,), DType.INT32)
    graph.inputs, graph.outputs = [x], [y, z]
    attrs = {"name": "tests.copy", "options": '{"alpha":0.5}'}
    graph.nodes = [Node("custom", [x], [y, z], attrs, "copy")]
    types = [TensorType(value.shape, value.dtype) for value in graph.outputs]
    add_custom_op(CustomOp("tests.copy", lambda inputs, attrs: types, lambda arrays, attrs: arrays))
    try:
        return write(graph, Metadata(name="custom"))
    finally:
        remove_custom_op("tests.copy")


def _exp_table() -> tuple[int, ...]:
    return tuple(int(v) for v in np.rint(2**23 * np.exp(-QUANT.scale * np.arange(256))))


def fused() -> bytes:
    """Groups of every kind: in place, behind each other through a window of rows, and with a value of two readers."""
    b = ChainBuilder(np.random.default_rng(2), DType.INT8, (1, 13, 9, 8))
    x = b.last
    b.conv(24, name="expand")
    b.lut(name="expand_table")
    b.depthwise(name="depthwise")
    b.lut(name="depthwise_table")
    b.conv(8, name="project")
    b.node("add", x, b.last, name="residual")
    first = b.lut(name="residual_table")
    b.conv(8, kernel=3, pad=1, name="dense")
    b.node("add", b.last, first, name="dense_residual")
    b.node("add", b.last, b.last, name="twice")
    b.node("mul", b.last, b.last, name="outer")
    b.lut(name="outer_table")
    b.node("reduce", b.last, name="mean", function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=True)
    b.graph.outputs = [b.last, first]
    return b.package()


def expanded(targets: tuple[str, ...] = ()) -> bytes:
    """Weights of 16, 8 and 4 bits, which are expanded when a session is made."""
    graph = mixed_net().compact
    package = write(graph)
    return write(graph, packed=pack_weights(package, targets)) if targets else package


def with_golden_runs() -> bytes:
    """Two recorded runs of a model with a variable, of which one shares its buffers with the other."""
    x, y = (Value(name, (2, 3), DType.FLOAT32) for name in "xy")
    start = np.arange(6, dtype=np.float32).reshape(2, 3)
    state = Value("state", (2, 3), DType.FLOAT32, data=start, variable=True)
    nodes = [Node("add", [x, state], [y], {}, "sum"), Node("assign", [state, y], [], {}, "keep")]
    given = np.ones((2, 3), np.float32)
    runs = [([given], [given + start]), ([given + start], [given + 2 * start])]
    return write(Graph("sums", [x], [y], nodes), Metadata(name="sums"), runs)


PACKAGES: dict[str, Callable[[], bytes]] = {
    "digits-int8": lambda: digits(quantize=True),
    "digits-packed": lambda: digits(quantize=True, targets=("host", "aarch64-dotprod")),
    "digits-float-packed": lambda: digits(quantize=False, targets=("host",)),
    "digits-float": lambda: digits(quantize=False),
    "every-operator": every_operator,
    "fused": fused,
    "expanded": expanded,
    "expanded-packed": lambda: expanded(("host",)),
    "custom": custom,
    "golden": with_golden_runs,
}


def write_package(name: str, folder: Path) -> Path:
    """Writes one of PACKAGES into the folder."""
    path = folder / f"{name}.ert"
    path.write_bytes(PACKAGES[name]())
    return path
