"""int16 activations (TFLite's int16x8): a trained SeaNet's layers with recorded outputs, and each operator by LiteRT.

The comparison is exact unless a case says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert_reference import LiteRT
from numpy.typing import NDArray
from runtime_runs import run, step

import edgert
from edgert import Interpreter

from ._tflite_models import Op, Tensor, build, constant, one_op

Array = NDArray[Any]

SEANET = Path(__file__).parents[3] / "shared/data/int16x8_seanet"
LAYERS = [
    f"{kind}/{kind}{i}"
    for kind in ("add", "conv", "leaky_relu", "pad", "quantize", "strided_slice", "sub", "transpose_conv")
    for i in (0, 1)
]


@pytest.mark.parametrize("layer", LAYERS)
def test_seanet(layer: str) -> None:
    """Every recorded number, by the runtime and with 1 and 4 threads."""
    model = SEANET / f"{layer}.tflite"
    if not model.exists():
        pytest.skip(f"{model} is missing")
    package = edgert.convert(model).data
    details = Interpreter(model_content=package).get_input_details()
    inputs = []
    for i, detail in enumerate(details):
        (recorded,) = model.parent.glob(f"{model.stem}_input{i}_*.csv")
        numbers = np.loadtxt(recorded, delimiter=",", dtype=np.int64)
        inputs.append(numbers.astype(detail["dtype"]).reshape(detail["shape"]))
    (golden,) = model.parent.glob(f"{model.stem}_golden_*.csv")
    wanted = np.loadtxt(golden, delimiter=",", dtype=np.int64).reshape(-1)
    for threads in (1, 4):
        (y,) = run(package, inputs, threads)
        np.testing.assert_array_equal(y.reshape(-1), wanted)


def i16(*shape: int, scale: float = 0.001) -> Tensor:
    return Tensor(shape, "int16", (scale, 0))


def weights(*shape: int, axis: int) -> Tensor:
    rng = np.random.default_rng(2)
    scales = rng.uniform(0.002, 0.01, shape[axis]).astype(np.float32).tolist()
    return constant(rng.integers(-127, 128, shape), "int8", scales=scales, axis=axis)


def bias(w: Tensor, kind: str = "int64") -> Tensor:
    scales = [float(np.float32(0.001) * np.float32(scale)) for scale in w.scales]
    numbers = np.random.default_rng(3).integers(-(10**5), 10**5, len(scales))
    return constant(numbers, kind, scales=scales, axis=0)


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    inputs: Sequence[Tensor]
    output: Tensor
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    within: int = 0
    positive: bool = False


CONV = {"padding": 0, "strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 2}
W, D, F = weights(8, 3, 3, 5, axis=0), weights(1, 3, 3, 5, axis=3), weights(7, 60, axis=0)
UNIT = 2.0**-15
POOL = {"padding": 0, "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2}
AXES = constant([1, 2], "int32")
X = i16(1, 7, 9, 5)

CASES = [
    Case("conv", "CONV_2D", [X, W, bias(W)], i16(1, 4, 9, 8, scale=0.02), "Conv2DOptions", CONV),
    Case(
        "conv relu6", "CONV_2D", [X, W, bias(W)], i16(1, 4, 9, 8), "Conv2DOptions",
        {**CONV, "fusedActivationFunction": 3},
    ),
    Case(
        "conv int32 bias", "CONV_2D", [X, W, bias(W, "int32")], i16(1, 4, 9, 8, scale=0.02), "Conv2DOptions",
        {**CONV, "quantizedBiasType": 2},
    ),
    Case(
        "depthwise", "DEPTHWISE_CONV_2D", [X, D, bias(D)], i16(1, 4, 9, 5, scale=0.01), "DepthwiseConv2DOptions",
        {**CONV, "depthMultiplier": 1},
    ),
    Case(
        "fully connected", "FULLY_CONNECTED", [i16(40, 60), F, bias(F)], i16(40, 7, scale=0.01),
        "FullyConnectedOptions",
    ),
    Case(
        "fully connected int32 bias", "FULLY_CONNECTED", [i16(40, 60), F, bias(F, "int32")], i16(40, 7, scale=0.01),
        "FullyConnectedOptions", {"quantizedBiasType": 2}, within=1,  # LiteRT goes by yet another rounding here
    ),
    Case(
        "transposed conv", "TRANSPOSE_CONV", [constant([1, 14, 18, 8], "int32"), W, i16(1, 7, 9, 5), bias(W)],
        i16(1, 14, 18, 8, scale=0.02), "TransposeConvOptions", {"padding": 0, "strideH": 2, "strideW": 2},
    ),
    Case(
        "batch matmul", "BATCH_MATMUL", [i16(2, 9, 30), i16(2, 30, 11)], i16(2, 9, 11, scale=0.02),
        "BatchMatMulOptions",
    ),
    Case(
        "batch matmul adj", "BATCH_MATMUL", [i16(2, 9, 30), i16(2, 11, 30)], i16(2, 9, 11, scale=0.02),
        "BatchMatMulOptions", {"adjY": True},
    ),
    *(
        Case(
            kind.lower(), kind, [i16(1, 4, 6, 5), i16(5, scale=0.0007)], i16(1, 4, 6, 5, scale=scale),
            f"{kind.title()}Options", options,
        )
        for kind, scale in (("ADD", 0.0011), ("SUB", 0.0011), ("MUL", 0.02))
        for options in ({}, {"fusedActivationFunction": 1})
    ),
    Case("leaky relu", "LEAKY_RELU", [i16(1, 3000)], i16(1, 3000, scale=0.0007), "LeakyReluOptions", {"alpha": 0.17}),
    Case("relu", "RELU", [i16(1, 3000)], i16(1, 3000, scale=0.0007)),
    Case("relu6", "RELU6", [i16(1, 3000)], i16(1, 3000, scale=0.0007)),
    Case("abs", "ABS", [i16(1, 3000)], i16(1, 3000, scale=0.0012)),
    Case("logistic", "LOGISTIC", [i16(1, 3000)], i16(1, 3000, scale=UNIT)),
    Case("tanh", "TANH", [i16(1, 3000, scale=0.0003)], i16(1, 3000, scale=UNIT)),
    Case("exp", "EXP", [i16(1, 3000, scale=0.0001)], i16(1, 3000, scale=0.002), within=1),
    Case("log", "LOG", [i16(1, 3000)], i16(1, 3000), positive=True),
    Case("gelu", "GELU", [i16(1, 3000, scale=0.0002)], i16(1, 3000, scale=0.0002), "GeluOptions", within=1),
    Case("softmax", "SOFTMAX", [i16(30, 17)], i16(30, 17, scale=UNIT), "SoftmaxOptions", {"beta": 0.7}),
    Case("mean", "MEAN", [X, AXES], i16(1, 5, scale=0.0007), "ReducerOptions"),
    Case("mean at its scale", "MEAN", [X, AXES], i16(1, 5), "ReducerOptions"),
    Case("sum", "SUM", [X, AXES], i16(1, 5, scale=0.02), "ReducerOptions"),
    Case("reduce max", "REDUCE_MAX", [X, AXES], i16(1, 5), "ReducerOptions"),
    Case("average pool", "AVERAGE_POOL_2D", [X], i16(1, 4, 5, 5), "Pool2DOptions", POOL),
    Case("max pool", "MAX_POOL_2D", [X], i16(1, 4, 5, 5), "Pool2DOptions", POOL),
    Case("maximum", "MAXIMUM", [i16(1, 300), i16(1, 300)], i16(1, 300)),
    Case("minimum", "MINIMUM", [i16(1, 300), i16(1, 300)], i16(1, 300)),
    Case("greater", "GREATER", [i16(1, 300), i16(1, 300)], Tensor((1, 300), "bool")),
    *(
        Case(
            f"resize {name}", "RESIZE_BILINEAR", [X, constant([11, 4], "int32")], i16(1, 11, 4, 5),
            "ResizeBilinearOptions", options,
        )
        for name, options in (("", {}), ("half", {"halfPixelCenters": True}), ("corners", {"alignCorners": True}))
    ),
    Case(
        "resize", "RESIZE_BILINEAR", [X, constant([11, 13], "int32")], i16(1, 11, 13, 5), "ResizeBilinearOptions",
        {"halfPixelCenters": True},
    ),
    Case(
        "nearest", "RESIZE_NEAREST_NEIGHBOR", [X, constant([11, 13], "int32")], i16(1, 11, 13, 5),
        "ResizeNearestNeighborOptions", {"halfPixelCenters": True},
    ),
    Case("concat", "CONCATENATION", [X, X], i16(1, 7, 9, 10), "ConcatenationOptions", {"axis": 3}),
    Case("pad", "PAD", [X, constant([[0, 0], [1, 2], [0, 1], [0, 0]], "int32")], i16(1, 10, 10, 5)),
    Case("transpose", "TRANSPOSE", [X, constant([0, 3, 1, 2], "int32")], i16(1, 5, 7, 9)),
    Case("gather", "GATHER", [X, constant([4, 0, 4], "int32")], i16(1, 3, 9, 5), "GatherOptions", {"axis": 1}),
    Case("dequantize", "DEQUANTIZE", [i16(1, 300)], Tensor((1, 300))),
    *(
        Case(
            f"quantize {of} {to}", "QUANTIZE", [Tensor((1, 900), of, (0.0011, zero))],
            Tensor((1, 900), to, (scale, 3 * (to == "int8"))),
        )
        for of, zero in (("int8", -4), ("int16", 0), ("int32", 0))
        for to, scale in (("int8", 0.3), ("int16", 0.0007), ("int32", 1e-6))
        if "int16" in (of, to)
    ),
    Case("quantize floats", "QUANTIZE", [Tensor((1, 900))], i16(1, 900, scale=0.0003)),
]  # fmt: skip


def sample(tensor: Tensor, positive: bool, rng: np.random.Generator) -> Array:
    if tensor.dtype == "float32":
        return rng.normal(size=tensor.shape).astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    least, most = max(limits.min, -(10**6)), min(limits.max, 10**6)
    # LiteRT's tables of functions with a pole are wrong next to it
    return rng.integers(200 if positive else least, most + 1, tensor.shape).astype(tensor.dtype)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_equals_litert(case: Case) -> None:
    model = one_op(case.kind, case.inputs, [case.output], case.table, case.options)
    rng = np.random.default_rng(7)
    inputs = [sample(tensor, case.positive, rng) for tensor in case.inputs if tensor.data is None]
    package = edgert.convert(model).data
    (wanted,) = LiteRT(model).run(*inputs)
    (y,) = run(package, inputs)
    assert y.dtype == wanted.dtype
    if y.dtype == np.float32:
        np.testing.assert_array_equal(y, wanted)
    else:
        assert np.abs(y.astype(np.int64) - wanted.astype(np.int64)).max() <= case.within


def _prelu(x: Array) -> Array:
    return np.where(x < 0, x * np.float32([0.25, 0.5, 0.75]), x)


@pytest.mark.parametrize(
    ("kind", "inputs", "table", "real"),
    [
        ("PRELU", [i16(2, 5, 3), constant([0.25, 0.5, 0.75], "float32")], "", _prelu),
        ("SQRT", [i16(2, 5, 3)], "", lambda x: np.sqrt(np.maximum(x, 0))),
        ("FLOOR", [i16(2, 5, 3)], "", np.floor),
        ("SIGN", [i16(2, 5, 3)], "", np.sign),
        ("ELU", [i16(2, 5, 3)], "", lambda x: np.where(x < 0, np.expm1(x), x)),
        ("NEG", [i16(2, 5, 3)], "", np.negative),
        ("RELU_N1_TO_1", [i16(2, 5, 3)], "", lambda x: np.clip(x, -1, 1)),
        ("L2_NORMALIZATION", [i16(2, 5, 3)], "L2NormOptions", lambda x: x / np.sqrt((x * x).sum(-1, keepdims=True))),
        ("CUMSUM", [i16(2, 5, 3, scale=0.0001), constant(1, "int32")], "CumsumOptions", lambda x: np.cumsum(x, axis=1)),
        ("REDUCE_MIN", [i16(2, 5, 3), AXES], "ReducerOptions", lambda x: x.min((1, 2))),
    ],
)
def test_without_a_kernel_in_litert(
    kind: str, inputs: Sequence[Tensor], table: str, real: Callable[[Array], Array]
) -> None:
    """Near the function of real numbers: computed in float32 or by tables where TFLite has no integers for int16."""
    assert inputs[0].quant is not None
    scale = np.float32(inputs[0].quant[0])
    x = np.random.default_rng(6).integers(-20000, 20000, inputs[0].shape).astype(np.int16)
    wanted = real(x.astype(np.float64) * float(scale))
    output = i16(*wanted.shape, scale=float(np.float32(np.abs(wanted).max() / 32000)))
    model = one_op(kind, inputs, [output], table)
    (y,) = run(edgert.convert(model).data, [x])
    assert y.dtype == np.int16
    assert output.quant is not None
    steps = np.abs(y * float(np.float32(output.quant[0])) - wanted).max() / output.quant[0]
    assert steps <= (6 if kind == "ELU" else 1.01)  # a table's interpolation


def test_curves_at_powers_of_two() -> None:
    """At scale 2^-12 LiteRT has two forms: its reference kernels have ours, its optimised ones gemmlowp's, 12 apart."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    x = np.arange(-32768, 32768, 7).astype(np.int16).reshape(1, -1)
    for kind in ("LOGISTIC", "TANH"):
        model = one_op(kind, [i16(*x.shape, scale=2.0**-12)], [i16(*x.shape, scale=UNIT)])
        reference = interpreter.Interpreter(
            model_content=model, experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF
        )
        reference.allocate_tensors()
        (y,) = run(edgert.convert(model).data, [x])
        np.testing.assert_array_equal(y, step(reference, [x])[0])
        assert np.abs(y.astype(int) - LiteRT(model).run(x)[0]).max() <= 12


def network() -> tuple[bytes, Array]:
    """Two convolutions with a residual sum, a gate and a softmax: int16 throughout, float outside."""
    w = weights(5, 3, 3, 5, axis=0)
    tensors = [
        Tensor((1, 8, 8, 5)), i16(1, 8, 8, 5), w, bias(w), i16(1, 8, 8, 5, scale=0.003), i16(1, 8, 8, 5, scale=0.004),
        i16(1, 8, 8, 5, scale=UNIT), i16(1, 8, 8, 5, scale=0.003), constant([1, 2], "int32"), i16(1, 5, scale=0.003),
        i16(1, 5, scale=UNIT), Tensor((1, 5)),
    ]  # fmt: skip
    same = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    ops = [
        Op("QUANTIZE", (0,), (1,)),
        Op("CONV_2D", (1, 2, 3), (4,), "Conv2DOptions", {**same, "fusedActivationFunction": 1}),
        Op("ADD", (4, 1), (5,), "AddOptions"),
        Op("LOGISTIC", (5,), (6,)),
        Op("MUL", (5, 6), (7,), "MulOptions"),
        Op("MEAN", (7, 8), (9,), "ReducerOptions"),
        Op("SOFTMAX", (9,), (10,), "SoftmaxOptions", {"beta": 1.0}),
        Op("DEQUANTIZE", (10,), (11,)),
    ]
    return build(tensors, ops, [0], [11]), np.random.default_rng(5).normal(size=(1, 8, 8, 5)).astype(np.float32)


def test_whole_network() -> None:
    """Equal to LiteRT, on every instruction set and number of threads; its parameters are told."""
    from edgert.runtime import _native

    model, x = network()
    (wanted,) = LiteRT(model).run(x)
    converted = edgert.convert(model)
    for isa in _native.cpu_isas():
        for threads in (1, 3):
            (y,) = run(converted.data, [x], threads, isa)
            np.testing.assert_array_equal(y, wanted)
    assert not converted.quantized_here
    details = Interpreter(model_content=converted.data).get_input_details()
    assert details[0]["dtype"] == np.float32


@pytest.mark.parametrize("name", ["int16_net", "int16_gated"])
def test_converted_networks(name: str) -> None:
    """Networks that TensorFlow has quantised equal LiteRT; tests/data/README.md tells where they come from."""
    model = (Path(__file__).parents[1] / f"data/tflite/{name}.tflite").read_bytes()
    litert = LiteRT(model)
    for seed in range(3):
        x = np.random.default_rng(seed).integers(-9000, 9000, litert.inputs[0]["shape"]).astype(np.int16)
        np.testing.assert_array_equal(run(edgert.convert(model).data, [x])[0], litert.run(x)[0])


def test_float_interface_and_details() -> None:
    """io="float" puts quantize and dequantize at the edges; without it the interpreter tells scale and type."""
    model = one_op("RELU", [i16(1, 30)], [i16(1, 30, scale=0.0007)])
    (detail,) = Interpreter(model_content=edgert.convert(model).data).get_input_details()
    assert detail["dtype"] == np.int16
    assert detail["quantization"] == (np.float32(0.001), 0)
    package = edgert.convert(model, io="float").data
    (detail,) = Interpreter(model_content=package).get_input_details()
    assert detail["dtype"] == np.float32
    x = np.linspace(-40, 40, 30, dtype=np.float32).reshape(1, 30)
    (y,) = run(package, [x])
    np.testing.assert_allclose(y, np.clip(x, 0, 32767 * 0.0007), atol=0.001)
