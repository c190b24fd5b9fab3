"""The rarer TFLite operators against LiteRT, and against NumPy where LiteRT has no kernel (most of StableHLO)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert_reference import LiteRT
from runtime_runs import run_converted

from edgert.errors import FileFormatError, UnsupportedError
from edgert.importers import tflite
from edgert.importers.tflite import dynamic, spatial, spectral, stablehlo

from ._tflite_models import Array, GraphSpec, Op, Tensor, build, build_graphs, constant, one_op

RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Case:
    """inputs without data are fed with `feeds`, or with normal numbers. expected: by NumPy; by LiteRT without it."""

    kind: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    feeds: Sequence[Array] | None = None
    expected: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return self.kind.lower()


def floats(*shape: int) -> Tensor:
    return Tensor(shape)


def ints(*shape: int) -> Tensor:
    return Tensor(shape, "int32")


def numbers(*values: Any, dtype: str = "int32") -> Tensor:
    return constant(list(values), dtype)


def whole(low: int, high: int, *shape: int) -> Array:
    return RNG.integers(low, high, shape).astype(np.int32)


VOLUME = {
    "padding": 0, "strideD": 1, "strideH": 2, "strideW": 1, "dilationDFactor": 1, "dilationHFactor": 1,
    "dilationWFactor": 1,
}  # fmt: skip
W3 = constant(RNG.normal(size=(2, 3, 3, 4, 5)), "float32")
B3 = constant(RNG.normal(size=5), "float32")
POOL = {"padding": 0, "strideH": 2, "strideW": 1, "filterHeight": 2, "filterWidth": 3}

CASES = [
    Case("ATAN2", [floats(3, 4), floats(3, 4)], [floats(3, 4)]),
    Case("BITWISE_XOR", [ints(3, 4), ints(4)], [ints(3, 4)], feeds=[whole(-99, 99, 3, 4), whole(-99, 99, 4)]),
    Case("RIGHT_SHIFT", [ints(3, 4), ints(4)], [ints(3, 4)], feeds=[whole(-999, 999, 3, 4), whole(0, 7, 4)]),
    *(
        Case(
            "FAKE_QUANT", [floats(5, 40)], [floats(5, 40)], "FakeQuantOptions",
            {"min": low, "max": high, "numBits": bits},
        )
        for low, high, bits in ((-1.0, 2.0, 8), (0.5, 3.0, 8), (-4.0, -1.0, 4))
    ),
    Case("CONV_3D", [floats(1, 4, 6, 5, 4), W3, B3], [floats(1, 4, 3, 5, 5)], "Conv3DOptions", VOLUME),
    Case(
        "CONV_3D", [floats(2, 4, 6, 5, 4), W3], [floats(2, 3, 2, 3, 5)], "Conv3DOptions",
        {**VOLUME, "padding": 1, "fusedActivationFunction": 1},
    ),
    Case(
        "CONV_3D_TRANSPOSE",
        [numbers(1, 4, 6, 5, 4), constant(RNG.normal(size=(2, 3, 3, 4, 5)), "float32"), floats(1, 4, 3, 5, 5)],
        [floats(1, 4, 6, 5, 4)], "Conv3DOptions", VOLUME,
    ),
    Case("L2_POOL_2D", [floats(1, 5, 6, 3)], [floats(1, 3, 6, 3)], "Pool2DOptions", POOL),
    Case(
        "LOCAL_RESPONSE_NORMALIZATION", [floats(1, 3, 4, 9)], [floats(1, 3, 4, 9)],
        "LocalResponseNormalizationOptions", {"radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.7},
    ),
    Case("DILATE", [floats(2, 3), numbers(2, 3), constant(7.0, "float32")], [floats(3, 7)], "DilateOptions"),
    Case(
        "DYNAMIC_UPDATE_SLICE", [floats(4, 5, 3), floats(2, 5, 1), ints(3)], [floats(4, 5, 3)],
        feeds=[
            RNG.normal(size=(4, 5, 3)).astype("f"), RNG.normal(size=(2, 5, 1)).astype("f"), np.array([9, 0, 1], "i4"),
        ],
    ),
    Case("MATRIX_DIAG", [floats(2, 4)], [floats(2, 4, 4)]),
    Case("MATRIX_SET_DIAG", [floats(2, 3, 5), floats(2, 3)], [floats(2, 3, 5)]),
    Case("MATRIX_SET_DIAG", [floats(5, 3), floats(3)], [floats(5, 3)]),
    Case("BUCKETIZE", [floats(4, 5)], [ints(4, 5)], "BucketizeOptions", {"boundaries": [-0.5, 0.0, 1.0]}),
    Case(
        "SPARSE_TO_DENSE",
        [constant([[0, 1], [2, 0]], "int32"), numbers(3, 4), floats(2), constant(-1.0, "float32")], [floats(3, 4)],
    ),
    Case(
        "STABLEHLO_CONVOLUTION", [floats(1, 4, 6, 7), constant(RNG.normal(size=(8, 2, 3, 3)), "float32")],
        [floats(1, 8, 3, 5)], "StablehloConvolutionOptions",
        {
            "windowStrides": [2, 1], "padding": [1, 0, 0, 0], "rhsDilation": [1, 1], "lhsDilation": [1, 1],
            "inputBatchDimension": 0, "inputFeatureDimension": 1, "inputSpatialDimensions": [2, 3],
            "kernelInputFeatureDimension": 1, "kernelOutputFeatureDimension": 0, "kernelSpatialDimensions": [2, 3],
            "outputBatchDimension": 0, "outputFeatureDimension": 1, "outputSpatialDimensions": [2, 3],
            "featureGroupCount": 2, "batchGroupCount": 1,
        },
        expected=lambda x: None,
    ),
]  # fmt: skip


def hlo(kind: str, function: Callable[..., Any], *feeds: Array, table: str = "", **options: Any) -> Case:
    """A StableHLO operator whose result NumPy gives."""
    result = np.asarray(function(*feeds))
    return Case(
        f"STABLEHLO_{kind}", [Tensor(feed.shape, feed.dtype.name) for feed in feeds],
        [Tensor(result.shape, result.dtype.name)], table, options, feeds, function,
    )  # fmt: skip


X = RNG.normal(size=(3, 4)).astype(np.float32)
Y = RNG.normal(size=(3, 4)).astype(np.float32)
POSITIVE, TRUTH, FALSEHOOD = np.abs(X) + np.float32(0.1), X > 0, Y > 0.5
CUBE = RNG.normal(size=(2, 3, 5)).astype(np.float32)

CASES += [
    hlo("LOGISTIC", lambda x: (1 / (1 + np.exp(-x))).astype("f"), X),
    hlo("ABS", np.abs, X),
    hlo("COSINE", np.cos, X),
    hlo("EXPONENTIAL", np.exp, X),
    hlo("FLOOR", np.floor, X),
    hlo("LOG", np.log, POSITIVE),
    hlo("NEGATE", np.negative, X),
    hlo("RSQRT", lambda x: (1 / np.sqrt(x)).astype("f"), POSITIVE),
    hlo("TANH", np.tanh, X),
    hlo("CBRT", np.cbrt, X),
    hlo("ADD", np.add, X, Y),
    hlo("SUBTRACT", np.subtract, X, Y),
    hlo("MULTIPLY", np.multiply, X, Y),
    hlo("DIVIDE", np.divide, X, POSITIVE),
    hlo("MAXIMUM", np.maximum, X, Y),
    hlo("MINIMUM", np.minimum, X, Y),
    hlo("POWER", np.power, POSITIVE, Y),
    hlo("REMAINDER", np.fmod, X, POSITIVE),
    hlo("AND", np.logical_and, TRUTH, FALSEHOOD),
    hlo("OR", np.bitwise_or, whole(-9, 9, 5), whole(-9, 9, 5)),
    hlo("SHIFT_LEFT", np.left_shift, whole(-99, 99, 5), whole(0, 5, 5)),
    hlo("CLAMP", lambda low, x, high: np.clip(x, low, high), np.float32([-0.5]), X, np.float32([0.4])),
    hlo("COMPARE", np.greater, X, Y, table="StablehloCompareOptions", comparisonDirection=3),
    hlo("SELECT", np.where, TRUTH, X, Y),
    hlo("CONVERT", lambda x: x.astype(np.float32), whole(-9, 9, 5)),
    hlo("RESHAPE", lambda x: x.reshape(2, 6), X),
    hlo("TRANSPOSE", lambda x: x.transpose(2, 0, 1), CUBE, table="StablehloTransposeOptions", permutation=[2, 0, 1]),
    hlo("CONCATENATE", lambda x, y: np.concatenate([x, y], 1), X, Y, table="StablehloConcatenateOptions", dimension=1),
    hlo(
        "SLICE", lambda x: x[1:3, 0:4:2], X,
        table="StablehloSliceOptions", startIndices=[1, 0], limitIndices=[3, 4], strides=[1, 2],
    ),
    hlo(
        "DYNAMIC_SLICE", lambda x, i, j: x[1:3, 0:3], X, np.array(7, "i4"), np.array(-2, "i4"),
        table="StablehloDynamicSliceOptions", sliceSizes=[2, 3],
    ),
    hlo(
        "DYNAMIC_UPDATE_SLICE", lambda x, u, i, j: np.vstack([x[:1], np.hstack([x[1:, :1], u])]),
        X, Y[:2, :3].copy(), np.array(1, "i4"), np.array(1, "i4"),
    ),
    hlo(
        "BROADCAST_IN_DIM", lambda x: np.broadcast_to(x[:, None, :], (3, 5, 4)), X,
        table="StablehloBroadcastInDimOptions", broadcastDimensions=[0, 2],
    ),
    hlo(
        "DOT_GENERAL", lambda x, y: np.einsum("bij,bkj->bik", x, y), CUBE, RNG.normal(size=(2, 7, 5)).astype("f"),
        table="StablehloDotGeneralOptions", lhsBatchingDimensions=[0], rhsBatchingDimensions=[0],
        lhsContractingDimensions=[2], rhsContractingDimensions=[2],
    ),
    Case(
        "STABLEHLO_IOTA", [], [ints(3, 4)], "StablehloIotaOptions", {"iotaDimension": 1}, (),
        lambda: np.broadcast_to(np.arange(4), (3, 4)),
    ),
    Case(
        "STABLEHLO_PAD", [floats(2, 3), constant(9.0, "float32")], [floats(3, 7)], "StablehloPadOptions",
        {"edgePaddingLow": [0, 1], "edgePaddingHigh": [1, 1], "interiorPadding": [0, 1]},
    ),
]  # fmt: skip


def expected_convolution(x: Array, w: Array) -> Array:
    """Two groups, stride 2 and 1, one row of padding above."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2]
    halves = [np.einsum("nchwij,ocij->nohw", windows[:, 2 * g : 2 * g + 2], w[4 * g : 4 * g + 4]) for g in (0, 1)]
    return np.concatenate(halves, axis=1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator(case: Case) -> None:
    model = one_op(case.kind, case.inputs, case.outputs, case.table, case.options)
    fed = [tensor for tensor in case.inputs if tensor.data is None]
    inputs = case.feeds if case.feeds is not None else [RNG.normal(size=t.shape).astype(t.dtype) for t in fed]
    if case.kind == "STABLEHLO_CONVOLUTION":
        weights = case.inputs[1].data
        assert weights is not None
        wanted = [expected_convolution(inputs[0], weights)]
    elif case.expected is not None:
        wanted = [np.asarray(case.expected(*inputs))]
    else:
        wanted = LiteRT(model).run(*inputs)
    for y, correct in zip(run_converted(model, inputs), wanted, strict=True):
        assert y.shape == correct.shape
        np.testing.assert_allclose(y, correct, rtol=1e-4, atol=1e-5)


def test_reduce_by_a_body_of_one_operator() -> None:
    for kind, function in (("STABLEHLO_MAXIMUM", np.max), ("STABLEHLO_ADD", np.sum)):
        start = 0.0 if kind == "STABLEHLO_ADD" else -9.0
        body = GraphSpec([floats(), floats(), floats()], [Op(kind, (0, 1), (2,))], [0, 1], [2])
        options = {"dimensions": [1], "bodySubgraphIndex": 1}
        main = GraphSpec(
            [floats(3, 4), constant(start, "float32"), floats(3)],
            [Op("STABLEHLO_REDUCE", (0, 1), (2,), "StablehloReduceOptions", options)], [0], [2],
        )  # fmt: skip
        (y,) = run_converted(build_graphs([main, body]), [X])
        np.testing.assert_allclose(y, function(X, axis=1), rtol=1e-5)


@pytest.mark.parametrize(("rows", "length"), [(1, 32), (8, 20), (5, 9)])
def test_spectrum(rows: int, length: int) -> None:
    """RFFT2D of cut and padded signals, its parts, its size, and a reshape of complex numbers between."""
    shape = (2, rows, length // 2 + 1)
    complex_, flat = Tensor(shape, "complex64"), Tensor((2, rows * shape[2]), "complex64")
    tensors = [
        floats(2, rows + 1, length - 3), numbers(rows, length), complex_, numbers(2, rows * shape[2]), flat,
        floats(*flat.shape), floats(*shape), floats(*shape),
    ]  # fmt: skip
    ops = [
        Op("RFFT2D", (0, 1), (2,)),
        Op("RESHAPE", (2, 3), (4,)),
        Op("COMPLEX_ABS", (4,), (5,)),
        Op("REAL", (2,), (6,)),
        Op("IMAG", (2,), (7,)),
    ]
    x = RNG.normal(size=tensors[0].shape).astype(np.float32)
    size, real, imaginary = run_converted(build(tensors, ops, [0], [5, 6, 7]), [x])
    wanted = np.fft.rfft2(x, s=(rows, length))
    np.testing.assert_allclose(real, wanted.real, atol=1e-4)
    np.testing.assert_allclose(imaginary, wanted.imag, atol=1e-4)
    np.testing.assert_allclose(size, np.abs(wanted).reshape(size.shape), atol=1e-4)
    if length & (length - 1) or rows & (rows - 1):
        return  # LiteRT knows powers of two alone
    (litert,) = LiteRT(build(tensors[:7], [ops[0], Op("COMPLEX_ABS", (2,), (6,))], [0], [6])).run(x)
    np.testing.assert_allclose(size.reshape(litert.shape), litert, atol=1e-4)


def test_spectrogram() -> None:
    """tf.signal.stft and its absolute value as TensorFlow converts them."""
    model = (Path(__file__).parents[1] / "data/tflite/stft.tflite").read_bytes()
    x = RNG.normal(size=(1, 1000)).astype(np.float32)
    (wanted,) = LiteRT(model).run(x)
    np.testing.assert_allclose(run_converted(model, [x])[0], wanted, atol=1e-4 * wanted.max())


def test_what_only_constants_decide() -> None:
    """Shapes that are joined, places of true elements, different elements, bits by another name: all computed here."""
    joined = [numbers(3, 1), numbers(2, 1, 4), ints(3), floats(3, 1), floats(2, 3, 4)]
    model = build(joined, [Op("BROADCAST_ARGS", (0, 1), (2,)), Op("BROADCAST_TO", (3, 2), (4,))], [3], [4])
    x = RNG.normal(size=(3, 1)).astype(np.float32)
    np.testing.assert_array_equal(run_converted(model, [x])[0], np.broadcast_to(x, (2, 3, 4)))
    places = [constant([[True, False], [True, True]], "bool"), Tensor((3, 2), "int64")]
    np.testing.assert_array_equal(
        run_converted(build(places, [Op("WHERE", (0,), (1,))], [], [1]), [])[0], [[0, 0], [1, 0], [1, 1]]
    )
    several = [numbers(5, 2, 5, 7, 2), ints(3), ints(5)]
    found = run_converted(
        build(several, [Op("UNIQUE", (0,), (1, 2), "UniqueOptions", {"idxOutType": 2})], [], [1, 2]), []
    )
    np.testing.assert_array_equal(found[0], [5, 2, 7])
    np.testing.assert_array_equal(found[1], [0, 1, 0, 2, 1])
    bits = [constant([1.5, -2.0], "float32"), ints(2)]
    (turned,) = run_converted(build(bits, [Op("BITCAST", (0,), (1,))], [], [1]), [])
    np.testing.assert_array_equal(turned, np.float32([1.5, -2.0]).view(np.int32))
    with pytest.raises(UnsupportedError, match="no constant"):
        tflite.load(one_op("WHERE", [Tensor((3,), "bool")], [Tensor((3, 1), "int64")]))


def test_weights_of_four_bits_and_bfloat16() -> None:
    """INT4, two a byte with the lower half first, and BFLOAT16, the upper half of a float32."""
    w = RNG.integers(-7, 8, (3, 5)).astype(np.int8)
    packed = np.append(w.reshape(-1), 0).astype(np.uint8) & 15
    wide = RNG.normal(size=(3, 5)).astype(np.float32)
    upper = (wide.view(np.uint32) >> 16).astype(np.uint16)
    options = {"keepNumDims": False}
    for kind, raw, values, quantized in (
        (17, packed[::2] | packed[1::2] << 4, w * np.float32(0.1), True),
        (18, upper, (upper.astype(np.uint32) << 16).view(np.float32), False),
    ):

        def change(model: Any, schema: Any, kind: int = kind, raw: Array = raw, quantized: bool = quantized) -> None:
            tensor = model.subgraphs[0].tensors[1]
            tensor.type = kind
            model.buffers[tensor.buffer].data = np.frombuffer(raw.tobytes(), np.uint8)
            if quantized:
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.scale, tensor.quantization.zeroPoint = [0.1], [0]

        op = Op("FULLY_CONNECTED", (0, 1, -1), (2,), "FullyConnectedOptions", options)
        spec = GraphSpec([floats(2, 5), constant(np.zeros((3, 5)), "float32"), floats(2, 3)], [op], [0], [2])
        x = RNG.normal(size=(2, 5)).astype(np.float32)
        (y,) = run_converted(build_graphs([spec], change), [x])
        np.testing.assert_allclose(y, x @ values.T, rtol=1e-5, atol=1e-6)


def sparse_model(segments: Sequence[int], indices: Sequence[int], stored: Array, shape: tuple[int, int]) -> bytes:
    """[rows, columns] in compressed rows, made dense and given back."""

    def change(model: Any, schema: Any) -> None:
        tensor = model.subgraphs[0].tensors[0]
        tensor.shape = list(shape)
        model.buffers[tensor.buffer].data = np.frombuffer(stored.tobytes(), np.uint8)
        rows, columns = schema.DimensionMetadataT(), schema.DimensionMetadataT()
        rows.format, rows.denseSize, columns.format = 0, shape[0], 1
        for name, values in (("arraySegments", segments), ("arrayIndices", indices)):
            vector = schema.Uint8VectorT()
            vector.values = np.array(values, np.uint8)
            setattr(columns, f"{name}Type", schema.SparseIndexVector.Uint8Vector)
            setattr(columns, name, vector)
        tensor.sparsity = schema.SparsityParametersT()
        tensor.sparsity.traversalOrder, tensor.sparsity.dimMetadata = [0, 1], [rows, columns]
        tensor.sparsity.blockMap = []

    spec = GraphSpec(
        [constant(np.ones(2), "float32"), floats(*shape), floats(*shape), floats(*shape)],
        [Op("DENSIFY", (0,), (1,)), Op("ADD", (1, 2), (3,), "AddOptions")], [2], [3],
    )  # fmt: skip
    return build_graphs([spec], change)


def test_sparse_weights() -> None:
    stored = np.float32([1.5, -2.0, 3.0])
    x = np.zeros((3, 4), np.float32)
    (y,) = run_converted(sparse_model([0, 1, 1, 3], [2, 0, 3], stored, (3, 4)), [x])
    wanted = x.copy()
    wanted[0, 2], wanted[2, 0], wanted[2, 3] = stored
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(
    ("segments", "indices", "shape", "match"),
    [
        ([0, 1, 1, 3], [2, 0, 4], (3, 4), "outside dimension 1"),
        ([0, 1, 1, 2], [2, 0, 3], (3, 4), "segments"),
        ([0, 1, 0, 3], [2, 0, 3], (3, 4), "segments"),
        ([0, 1, 3], [2, 0, 3], (3, 4), "segments"),
        ([0, 1, 1, 3], [2, 0, 3], (40000, 40000), "of which 3 are stored"),
    ],
)
def test_damaged_sparse_weights(segments: list[int], indices: list[int], shape: tuple[int, int], match: str) -> None:
    with pytest.raises(FileFormatError, match=match):
        tflite.load(sparse_model(segments, indices, np.float32([1, 2, 3]), shape))


def test_every_operator_is_tested() -> None:
    tested = {case.kind for case in CASES} | {
        "STABLEHLO_REDUCE", "RFFT2D", "REAL", "IMAG", "COMPLEX_ABS", "BROADCAST_ARGS", "WHERE", "UNIQUE", "BITCAST",
        "DENSIFY",
    }  # fmt: skip
    for module in (dynamic, spatial, spectral, stablehlo):
        assert set(module.HANDLERS) <= tested
