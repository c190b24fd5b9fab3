"""Every operator of the TFLite importer against LiteRT, on models of one operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from litert_reference import LiteRT
from reference_executor import ReferenceExecutor

from edgert.compile import convert
from edgert.importers import tflite
from edgert.importers.tflite import control, detection, dynamic, indices, recurrent, spatial, spectral, stablehlo

from ._tflite_models import Array, Tensor, constant, one_op

SAME, VALID = 0, 1
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3
rng = np.random.default_rng(11)


@dataclass(frozen=True)
class Case:
    kind: str
    inputs: tuple[Tensor | None, ...]
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Tensor, ...] = (Tensor(),)
    label: str = ""
    positive: bool = False  # inputs above 0
    off_by: int = 0  # int8 steps that LiteRT may differ, for the reason in the comment beside

    def __str__(self) -> str:
        return f"{self.kind}-{self.label}" if self.label else self.kind


def floats(*shape: int) -> Tensor:
    return Tensor(shape)


def weights(*shape: int) -> Tensor:
    return constant(rng.standard_normal(shape))


def ints(*values: object) -> Tensor:
    return constant(values[0] if len(values) == 1 else values, "int32")


def int8(*shape: int, scale: float = 0.05, zero: int = 3) -> Tensor:
    return Tensor(shape, "int8", (scale, zero))


def int8_weights(*shape: int, axis: int) -> Tensor:
    scales = np.asarray(rng.uniform(0.01, 0.05, shape[axis]), np.float32)
    return constant(rng.integers(-127, 128, shape), "int8", scales=scales.tolist(), axis=axis)


def bias(x: Tensor, w: Tensor) -> Tensor:
    """int32, at the scale of input times weights."""
    assert x.quant is not None
    scales = w.scales or (w.quant or (1.0, 0))[:1]
    count = w.shape[w.axis]
    return constant(rng.integers(-900, 900, count), "int32", scales=[x.quant[0] * scale for scale in scales])


X = floats(2, 5, 6, 3)
IMAGE = floats(1, 7, 8, 4)
SAME_STRIDE_2 = {"padding": SAME, "strideH": 2, "strideW": 2}
ONES = {"strideH": 1, "strideW": 1}

UNARY = {
    "RELU": "", "RELU6": "", "RELU_N1_TO_1": "", "RELU_0_TO_1": "", "ELU": "", "LOGISTIC": "", "TANH": "",
    "HARD_SWISH": "HardSwishOptions", "EXP": "ExpOptions", "ABS": "AbsOptions", "NEG": "NegOptions", "FLOOR": "",
    "CEIL": "", "ROUND": "", "SQUARE": "SquareOptions", "SIN": "", "COS": "CosOptions", "SIGN": "SignOptions",
}  # fmt: skip
BINARY = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
COMPARE = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
BOOLEAN = (Tensor((), "bool"),)

FLOAT_CASES = (
    *(Case(kind, (X,), table) for kind, table in UNARY.items()),
    *(Case(kind, (X,), positive=True) for kind in ("LOG", "SQRT", "RSQRT")),
    Case("LEAKY_RELU", (X,), "LeakyReluOptions", {"alpha": 0.2}),
    Case("GELU", (X,), "GeluOptions", {"approximate": False}),
    Case("GELU", (X,), "GeluOptions", {"approximate": True}, label="approximate"),
    Case("PRELU", (X, weights(1, 1, 3))),
    *(Case(kind, (X, floats(6, 1)), table) for kind, table in BINARY.items()),
    Case("ADD", (X, X), "AddOptions", {"fusedActivationFunction": RELU6}, label="relu6"),
    Case("MUL", (X, weights(3)), "MulOptions", {"fusedActivationFunction": RELU_N1_TO_1}, label="constant"),
    Case("MAXIMUM", (X, floats(3)), "MaximumMinimumOptions"),
    Case("MINIMUM", (X, floats(3)), "MaximumMinimumOptions"),
    Case("SQUARED_DIFFERENCE", (X, floats(3)), "SquaredDifferenceOptions"),
    Case("POW", (X, constant(1.5)), "PowOptions", positive=True),
    Case("FLOOR_DIV", (X, weights(3)), "FloorDivOptions"),
    Case("FLOOR_MOD", (X, weights(3)), "FloorModOptions"),
    Case("ADD_N", (X, X, X), "AddNOptions"),
    *(Case(kind, (X, floats(3)), outputs=BOOLEAN) for kind in COMPARE),
    Case("LOGICAL_AND", (Tensor((4,), "bool"), Tensor((4,), "bool")), "LogicalAndOptions", outputs=BOOLEAN),
    Case("LOGICAL_OR", (Tensor((4,), "bool"), Tensor((4,), "bool")), "LogicalOrOptions", outputs=BOOLEAN),
    Case("LOGICAL_NOT", (Tensor((4,), "bool"),), "LogicalNotOptions", outputs=BOOLEAN),
    Case("SELECT", (Tensor((2,), "bool"), X, X), "SelectOptions"),
    Case("SELECT_V2", (Tensor((6, 1), "bool"), X, floats(3)), "SelectV2Options"),
    Case("CAST", (X,), "CastOptions", {"inDataType": 0, "outDataType": 2}, (Tensor((), "int32"),)),
    Case("L2_NORMALIZATION", (X,), "L2NormOptions"),
    Case("CONV_2D", (IMAGE, weights(5, 3, 3, 4), weights(5)), "Conv2DOptions", SAME_STRIDE_2),
    Case("CONV_2D", (IMAGE, weights(5, 2, 3, 4), weights(5)), "Conv2DOptions", {"padding": VALID, **ONES},
         label="valid"),
    Case(
        "CONV_2D", (IMAGE, weights(5, 3, 2, 4), weights(5)), "Conv2DOptions",
        {"padding": SAME, **ONES, "dilationHFactor": 2, "dilationWFactor": 3, "fusedActivationFunction": RELU},
        label="dilated",
    ),
    Case(
        "CONV_2D", (IMAGE, weights(6, 3, 3, 2), weights(6)), "Conv2DOptions", {"padding": SAME, **ONES}, label="groups"
    ),
    Case(
        "DEPTHWISE_CONV_2D", (IMAGE, weights(1, 3, 3, 8), weights(8)), "DepthwiseConv2DOptions",
        {**SAME_STRIDE_2, "depthMultiplier": 2},
    ),
    Case(
        "DEPTHWISE_CONV_2D", (floats(1, 7, 8, 1), weights(1, 3, 3, 8), weights(8)), "DepthwiseConv2DOptions",
        {**SAME_STRIDE_2, "depthMultiplier": 8}, label="one-channel",
    ),
    Case(
        "TRANSPOSE_CONV", (ints([1, 14, 16, 5]), weights(5, 3, 3, 4), IMAGE, weights(5)), "TransposeConvOptions",
        SAME_STRIDE_2,
    ),
    Case(
        "TRANSPOSE_CONV", (ints([1, 13, 15, 5]), weights(5, 4, 4, 4), IMAGE), "TransposeConvOptions", SAME_STRIDE_2,
        label="odd-size",
    ),
    Case(
        "TRANSPOSE_CONV", (ints([1, 8, 25, 5]), weights(5, 2, 4, 4), IMAGE, weights(5)), "TransposeConvOptions",
        {"padding": VALID, "strideH": 1, "strideW": 3, "fusedActivationFunction": RELU}, label="valid",
    ),
    Case("FULLY_CONNECTED", (floats(3, 4, 5), weights(7, 10), weights(7)), "FullyConnectedOptions"),
    Case(
        "FULLY_CONNECTED", (floats(3, 4, 5), weights(7, 5), None), "FullyConnectedOptions", {"keepNumDims": True},
        label="keep-dims",
    ),
    Case("BATCH_MATMUL", (floats(2, 3, 4), floats(2, 4, 5)), "BatchMatMulOptions"),
    Case(
        "BATCH_MATMUL", (floats(2, 4, 3), floats(2, 5, 4)), "BatchMatMulOptions", {"adjX": True, "adjY": True},
        label="adjoint",
    ),
    *(
        Case(kind, (IMAGE,), "Pool2DOptions", {**SAME_STRIDE_2, "filterHeight": 3, "filterWidth": 2})
        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
    ),
    Case("RESHAPE", (X, ints([2, -1, 3])), "ReshapeOptions"),
    Case("RESHAPE", (X,), "ReshapeOptions", {"newShape": [6, 30]}, label="option"),
    Case("SQUEEZE", (floats(1, 3, 1, 2),), "SqueezeOptions", {"squeezeDims": [-2]}),
    Case("SQUEEZE", (floats(1, 3, 1, 2),), "SqueezeOptions", label="all"),
    Case("EXPAND_DIMS", (X, ints(-1)), "ExpandDimsOptions"),
    Case("TRANSPOSE", (X, ints([3, 0, 2, 1])), "TransposeOptions"),
    Case("PAD", (X, ints([[0, 0], [1, 2], [0, 3], [0, 0]])), "PadOptions"),
    Case("PADV2", (X, ints([[0, 0], [1, 2], [0, 3], [1, 0]]), constant(2.5)), "PadV2Options"),
    Case("MIRROR_PAD", (X, ints([[0, 0], [1, 2], [0, 3], [0, 0]])), "MirrorPadOptions", {"mode": 0}, label="reflect"),
    Case("MIRROR_PAD", (X, ints([[0, 0], [1, 2], [0, 3], [0, 0]])), "MirrorPadOptions", {"mode": 1}, label="symmetric"),
    Case("CONCATENATION", (X, floats(2, 5, 6, 1), weights(2, 5, 6, 2)), "ConcatenationOptions", {"axis": -1}),
    Case("PACK", (X, X), "PackOptions", {"axis": 1, "valuesCount": 2}),
    Case("UNPACK", (floats(4, 3, 2),), "UnpackOptions", {"axis": 1, "num": 3}, (Tensor(),) * 3),
    Case("SPLIT", (ints(2), X), "SplitOptions", {"numSplits": 3}, (Tensor(),) * 3),
    Case("SPLIT_V", (X, ints([1, -1, 2]), ints(2)), "SplitVOptions", {"numSplits": 3}, (Tensor(),) * 3),
    Case("SLICE", (X, ints([0, 1, 2, 0]), ints([2, 3, -1, 1])), "SliceOptions"),
    Case(
        "STRIDED_SLICE", (X, ints([0, -1, 1, 2]), ints([2, 0, 6, 3]), ints([1, -2, 2, 1])), "StridedSliceOptions",
        {"beginMask": 1, "endMask": 2, "shrinkAxisMask": 8},
    ),
    Case(
        "STRIDED_SLICE", (X, ints([0, 0, 1]), ints([0, 0, 2]), ints([1, 1, 1])), "StridedSliceOptions",
        {"ellipsisMask": 1, "newAxisMask": 2}, label="ellipsis",
    ),
    Case("GATHER", (X, ints([[4, 0], [1, 1]])), "GatherOptions", {"axis": 1}),
    Case("REVERSE_V2", (X, ints([1])), "ReverseV2Options"),
    Case("TILE", (floats(2, 1, 3), ints([2, 3, 1])), "TileOptions"),
    Case("TILE", (floats(1, 3, 1, 4, 5), ints([1, 1, 2, 1, 1])), "TileOptions", label="repeated-rows"),
    Case("TILE", (floats(2, 3, 1, 2, 3), ints([1, 2, 2, 3, 2])), "TileOptions", label="most-axes"),
    Case("BROADCAST_TO", (floats(2, 1, 3), ints([4, 2, 5, 3])), "BroadcastToOptions"),
    Case("FILL", (ints([2, 3]), floats()), "FillOptions"),
    Case("DEPTH_TO_SPACE", (floats(1, 2, 3, 8),), "DepthToSpaceOptions", {"blockSize": 2}),
    Case("SPACE_TO_DEPTH", (floats(1, 4, 6, 2),), "SpaceToDepthOptions", {"blockSize": 2}),
    Case("SPACE_TO_BATCH_ND", (floats(1, 4, 5, 2), ints([2, 3]), ints([[0, 2], [1, 0]])), "SpaceToBatchNDOptions"),
    Case("BATCH_TO_SPACE_ND", (floats(12, 2, 3, 1), ints([2, 3]), ints([[1, 0], [0, 2]])), "BatchToSpaceNDOptions"),
    *(
        Case(kind, (X, ints([1, -2])), "ReducerOptions", {"keepDims": keep}, label=f"keep-{keep}")
        for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
        for keep in (True, False)
    ),
    Case("REDUCE_ANY", (Tensor((3, 4), "bool"), ints([1])), "ReducerOptions", outputs=BOOLEAN),
    Case("SOFTMAX", (X,), "SoftmaxOptions", {"beta": 0.7}),
    Case("LOG_SOFTMAX", (X,), "LogSoftmaxOptions"),
    Case("ARG_MAX", (X, ints(-1)), "ArgMaxOptions", {"outputType": 4}, (Tensor((), "int64"),)),
    Case("ARG_MIN", (X, ints(1)), "ArgMinOptions", {"outputType": 2}, (Tensor((), "int32"),)),
    *(
        Case(kind, (IMAGE, ints([5, 13])), f"{table}Options", {"alignCorners": align, "halfPixelCenters": half},
             label=f"{align}-{half}")
        for kind, table in (
            ("RESIZE_BILINEAR", "ResizeBilinear"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"))
        for align, half in ((False, False), (True, False), (False, True))
    ),
    Case("QUANTIZE", (X,), "QuantizeOptions", outputs=(int8(),)),
    Case("DEQUANTIZE", (int8(3, 4),), "DequantizeOptions"),
)  # fmt: skip

SMALL = int8(1, 7, 8, 4)
ROWS = int8(3, 10)
KERNEL = int8_weights(5, 3, 3, 4, axis=0)
DEPTHWISE_KERNEL = int8_weights(1, 3, 3, 4, axis=3)
MATRIX = constant(rng.integers(-127, 128, (7, 10)), "int8", (0.02, 0))
FINE = {"outputs": (int8(scale=0.3, zero=-5),)}
INT8_CASES = (
    Case(
        "CONV_2D", (SMALL, KERNEL, bias(SMALL, KERNEL)),
        "Conv2DOptions", {**SAME_STRIDE_2, "fusedActivationFunction": RELU6}, **FINE,
    ),
    Case(
        "DEPTHWISE_CONV_2D", (SMALL, DEPTHWISE_KERNEL, bias(SMALL, DEPTHWISE_KERNEL)),
        "DepthwiseConv2DOptions", {**SAME_STRIDE_2, "depthMultiplier": 1}, **FINE,
    ),
    Case(
        "TRANSPOSE_CONV", (ints([1, 14, 16, 5]), KERNEL, SMALL, bias(SMALL, KERNEL)), "TransposeConvOptions",
        SAME_STRIDE_2, **FINE,
    ),
    Case(
        "FULLY_CONNECTED", (ROWS, MATRIX, bias(ROWS, MATRIX)), "FullyConnectedOptions",
        {"fusedActivationFunction": RELU}, **FINE,
    ),
    Case("ADD", (SMALL, int8(1, 7, 8, 4, scale=0.07)), "AddOptions", **FINE),
    Case("SUB", (SMALL, int8(1, 7, 8, 4, scale=0.07)), "SubOptions", **FINE),
    Case("MUL", (SMALL, int8(1, 7, 8, 4, scale=0.07)), "MulOptions", **FINE),
    Case("MEAN", (SMALL, ints([1, 2])), "ReducerOptions", {"keepDims": True}, **FINE),
    Case("AVERAGE_POOL_2D", (SMALL,), "Pool2DOptions", {**SAME_STRIDE_2, "filterHeight": 3, "filterWidth": 2},
         (int8(),)),
    Case("MAX_POOL_2D", (SMALL,), "Pool2DOptions", {**SAME_STRIDE_2, "filterHeight": 3, "filterWidth": 2}, (int8(),)),
    Case("PAD", (SMALL, ints([[0, 0], [1, 2], [0, 3], [0, 0]])), "PadOptions", outputs=(int8(),)),
    Case("CONCATENATION", (SMALL, SMALL), "ConcatenationOptions", {"axis": 3}, (int8(),)),
    Case("RESHAPE", (SMALL, ints([1, -1])), "ReshapeOptions", outputs=(int8(),)),
    Case("TRANSPOSE", (SMALL, ints([0, 3, 1, 2])), "TransposeOptions", outputs=(int8(),)),
    Case("RESIZE_BILINEAR", (SMALL, ints([14, 16])), "ResizeBilinearOptions", {"halfPixelCenters": True}, (int8(),),
         off_by=1),  # XNNPACK has weights of 11 bits; LiteRT's own kernel gives the same as edgert
    Case("SOFTMAX", (int8(3, 9, scale=0.1),), "SoftmaxOptions", {"beta": 1.0}, (int8(scale=1 / 256, zero=-128),),
         off_by=1),  # its exponentials are in fixed point
    Case("MAXIMUM", (SMALL, int8(4)), "MaximumMinimumOptions", outputs=(int8(),)),
    # Tables of LiteRT hold float32 results, some of its kernels round twice: exact results between two steps differ.
    Case("LOGISTIC", (SMALL,), outputs=(int8(scale=1 / 256, zero=-128),), off_by=1),
    Case("TANH", (SMALL,), outputs=(int8(scale=1 / 128, zero=0),), off_by=1),
    Case("LEAKY_RELU", (SMALL,), "LeakyReluOptions", {"alpha": 0.1}, **FINE, off_by=1),
    Case("HARD_SWISH", (SMALL,), "HardSwishOptions", **FINE, off_by=1),
    Case("QUANTIZE", (SMALL,), "QuantizeOptions", **FINE, off_by=1),
    # No DIV: LiteRT saturates where the numerator is within two steps of zero.
    Case("PRELU", (SMALL, constant(rng.integers(-127, 128, (1, 1, 4)), "int8", (0.01, 0))), **FINE, off_by=1),
    Case("ARG_MAX", (SMALL, ints(-1)), "ArgMaxOptions", {"outputType": 2}, (Tensor((), "int32"),)),
    Case("LESS", (SMALL, int8(4, scale=0.02, zero=9)), "LessOptions", outputs=BOOLEAN),
)  # fmt: skip


def sample(tensor: Tensor, positive: bool, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    if tensor.dtype == "float32":
        values = generator.standard_normal(tensor.shape).astype(np.float32) * np.float32(3)
        return np.abs(values) + np.float32(0.1) if positive else values
    if tensor.dtype == "bool":
        return generator.integers(0, 2, tensor.shape).astype(bool)
    return generator.integers(-128, 128, tensor.shape).astype(tensor.dtype)


def models(case: Case) -> tuple[bytes, list[Array], list[Array]]:
    """The model, its inputs, and LiteRT's outputs. The outputs' shapes in the file are those that LiteRT works out."""
    fed = [tensor for tensor in case.inputs if tensor is not None and tensor.data is None]
    inputs = [sample(tensor, case.positive, i) for i, tensor in enumerate(fed)]
    draft = one_op(case.kind, case.inputs, case.outputs, case.table, case.options)
    shapes = [array.shape for array in LiteRT(draft, delegates=False).run(*inputs)]
    outputs = [replace(tensor, shape=shape) for tensor, shape in zip(case.outputs, shapes, strict=True)]
    model = one_op(case.kind, case.inputs, outputs, case.table, case.options)
    return model, inputs, LiteRT(model).run(*inputs)


def results(model: bytes, inputs: Sequence[Array]) -> list[list[Array]]:
    """The outputs of the imported graph by the references, and after all passes."""
    return [ReferenceExecutor(graph).run(*inputs) for graph in (tflite.load(model), convert(model).graph)]


@pytest.mark.parametrize("case", FLOAT_CASES, ids=str)
def test_float(case: Case) -> None:
    model, inputs, expected = models(case)
    for outputs in results(model, inputs):
        for found, wanted in zip(outputs, expected, strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", INT8_CASES, ids=str)
def test_int8(case: Case) -> None:
    model, inputs, expected = models(case)
    for outputs in results(model, inputs):
        for found, wanted in zip(outputs, expected, strict=True):
            assert found.dtype == wanted.dtype
            assert found.shape == wanted.shape
            assert np.abs(found.astype(int) - wanted.astype(int)).max(initial=0) <= case.off_by


def test_every_operator_has_a_case() -> None:
    elsewhere = indices.HANDLERS.keys() | detection.HANDLERS.keys()  # test_tflite_indices.py
    elsewhere |= recurrent.HANDLERS.keys()  # test_tflite_recurrent.py
    elsewhere |= {  # test_tflite.py
        "SHAPE", "RANK", "RANGE", "ZEROS_LIKE", "REDUCE_ALL", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE",
        "CALL_ONCE",
    }  # fmt: skip
    for module in (dynamic, spatial, spectral, stablehlo):
        elsewhere |= set(module.HANDLERS)  # test_tflite_rare.py
    elsewhere |= control.HANDLERS.keys()  # test_tflite_control.py
    elsewhere |= {"ATAN2", "BITWISE_XOR", "RIGHT_SHIFT", "FAKE_QUANT"}  # test_tflite_rare.py
    tested = {case.kind for case in (*FLOAT_CASES, *INT8_CASES)}
    assert tested | elsewhere == set(tflite.HANDLERS)
