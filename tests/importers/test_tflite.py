"""The TFLite importer beside its operators: types, variables, shapes, damaged files, and what it refuses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from litert_reference import LiteRT, edit
from reference_executor import ReferenceExecutor
from runtime_runs import run_converted

from edgert.compile import convert
from edgert.dtypes import DType, QuantParams
from edgert.errors import EdgertError, FileFormatError, InputError, ModelError, UnsupportedError
from edgert.importers import tflite
from edgert.importers.tflite.advice import ADVICE

from ._tflite_models import Op, Tensor, build, constant, one_op

rng = np.random.default_rng(3)


def uint8_convolution(zero_w: int = 151) -> bytes:
    """A legacy model: asymmetric uint8 weights, per tensor."""
    x = Tensor((1, 6, 6, 3), "uint8", (1 / 128, 128))
    w = constant(rng.integers(0, 256, (4, 3, 3, 3)), "uint8", (0.02, zero_w))
    bias = constant(rng.integers(-500, 500, 4), "int32", (0.02 / 128, 0))
    y = Tensor((1, 6, 6, 4), "uint8", (0.04, 110))
    options = {"padding": 0, "strideH": 1, "strideW": 1}
    return one_op("CONV_2D", [x, w, bias], [y], "Conv2DOptions", options)


def test_legacy_uint8_keeps_its_interface_and_its_numbers() -> None:
    model = uint8_convolution()
    graph = tflite.load(model)
    assert (graph.inputs[0].dtype, graph.outputs[0].dtype) == (DType.UINT8, DType.UINT8)
    assert graph.inputs[0].quant == QuantParams((1 / 128,), (128,))
    (convolution,) = (node for node in graph.nodes if node.op == "conv2d")
    weights = convolution.inputs[1]
    assert weights is not None
    assert weights.dtype == DType.INT8
    assert weights.quant is not None
    assert weights.quant.zero_point == 151 - 128
    x = rng.integers(0, 256, (1, 6, 6, 3)).astype(np.uint8)
    (expected,) = LiteRT(model).run(x)
    for each in (graph, convert(model).graph):
        np.testing.assert_array_equal(ReferenceExecutor(each).run(x)[0], expected)


def test_interfaces_change_on_request() -> None:
    model = uint8_convolution()
    x = rng.integers(0, 256, (1, 6, 6, 3)).astype(np.uint8)
    (expected,) = LiteRT(model).run(x)
    whole = convert(model, io="int8").graph
    assert [node.op for node in whole.nodes] == ["conv2d"]
    (y,) = ReferenceExecutor(whole).run((x ^ 128).view(np.int8))
    np.testing.assert_array_equal(y.view(np.uint8) ^ 128, expected)
    real = convert(model, io="float").graph
    assert (real.inputs[0].name, real.inputs[0].dtype) == ("t0", DType.FLOAT32)
    (z,) = ReferenceExecutor(real).run((x.astype(np.float32) - 128) / 128)
    np.testing.assert_allclose(z, (expected.astype(np.float32) - 110) * np.float32(0.04), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_weights_behind_dequantize_are_folded(dtype: str) -> None:
    stored = rng.integers(-127, 128, (4, 5)).astype(np.float32)
    quant = (0.01, 0) if dtype == "int8" else None
    tensors = [
        Tensor((2, 5)), constant(stored, dtype, quant), Tensor((4, 5)), Tensor((2, 4)),
    ]  # fmt: skip
    ops = [
        Op("DEQUANTIZE", (1,), (2,), "DequantizeOptions"),
        Op("FULLY_CONNECTED", (0, 2, -1), (3,), "FullyConnectedOptions"),
    ]
    graph = tflite.load(build(tensors, ops, [0], [3]))
    (node,) = graph.nodes
    assert node.op == "fully_connected"
    weights = node.inputs[1]
    assert weights is not None
    assert weights.data is not None
    np.testing.assert_allclose(weights.data, stored * (0.01 if quant else 1.0), rtol=1e-6)


def test_dynamic_range_weights_are_dequantised() -> None:
    weights = constant(rng.integers(-127, 128, (4, 5)), "int8", (0.01, 0))
    graph = tflite.load(one_op("FULLY_CONNECTED", [Tensor((2, 5)), weights], [Tensor((2, 4))], "FullyConnectedOptions"))
    x = rng.standard_normal((2, 5)).astype(np.float32)
    assert weights.data is not None
    expected = x @ (weights.data.astype(np.float32) * np.float32(0.01)).T
    np.testing.assert_allclose(ReferenceExecutor(graph).run(x)[0], expected, rtol=1e-5, atol=1e-6)


def test_channel_axis_out_of_range_is_found_by_the_number_of_scales() -> None:
    weights = constant(rng.integers(-9, 9, (4, 3, 3, 2)), "int8", scales=[0.1, 0.2, 0.3, 0.4], axis=7)
    x, y = Tensor((1, 5, 5, 2), "int8", (0.1, 0)), Tensor((1, 3, 3, 4), "int8", (0.5, 0))
    options = {"padding": 1, "strideH": 1, "strideW": 1}
    graph = tflite.load(one_op("CONV_2D", [x, weights], [y], "Conv2DOptions", options))
    assert graph.nodes[0].inputs[1] is not None
    assert graph.nodes[0].inputs[1].quant == QuantParams(
        tuple(np.array([0.1, 0.2, 0.3, 0.4], np.float32).tolist()), (0,) * 4, 0
    )


def test_shape_arithmetic_is_computed() -> None:
    """reshape(x, pack(shape(x)[0], range(1, 7, 6)[0] + 5)): nothing of it remains but the reshape."""
    tensors = [
        Tensor((3, 2, 3)), Tensor((3,), "int32"), constant([0], "int32"), constant([1], "int32"),
        Tensor((), "int32"), constant(1, "int32"), constant(7, "int32"), constant(6, "int32"), Tensor((1,), "int32"),
        constant(0, "int32"), Tensor((), "int32"), constant(5, "int32"), Tensor((), "int32"), Tensor((2,), "int32"),
        Tensor((3, 6)),
    ]  # fmt: skip
    ops = [
        Op("SHAPE", (0,), (1,), "ShapeOptions", {"outType": 2}),
        Op("STRIDED_SLICE", (1, 2, 3, 3), (4,), "StridedSliceOptions", {"shrinkAxisMask": 1}),
        Op("RANGE", (5, 6, 7), (8,), "RangeOptions"),
        Op("GATHER", (8, 9), (10,), "GatherOptions", {"axis": 0}),
        Op("ADD", (10, 11), (12,), "AddOptions"),
        Op("PACK", (4, 12), (13,), "PackOptions", {"valuesCount": 2}),
        Op("RESHAPE", (0, 13), (14,)),
    ]
    graph = tflite.load(build(tensors, ops, [0], [14]))
    assert [node.op for node in graph.nodes] == ["reshape"]
    assert graph.outputs[0].shape == (3, 6)


@pytest.mark.parametrize("block", [(2, 2), (2, 3)])
def test_dilated_convolution_written_with_batches(block: tuple[int, int]) -> None:
    """SPACE_TO_BATCH_ND, CONV_2D, BATCH_TO_SPACE_ND become one convolution, paddings and crops included."""
    height, width, (a, b) = 10, 11, block
    pads = [[2, -(height + 2) % a], [3, -(width + 3) % b]]
    inner = (a * b, (height + sum(pads[0])) // a, (width + sum(pads[1])) // b)
    made = (a * b, inner[1] - 2, inner[2] - 1)
    crops = [[1, pads[0][1]], [2, 0]]
    outer = (1, made[1] * a - sum(crops[0]), made[2] * b - sum(crops[1]), 4)
    tensors = [
        Tensor((1, height, width, 2)), constant(block, "int32"), constant(pads, "int32"), Tensor((*inner, 2)),
        constant(rng.standard_normal((4, 3, 2, 2))), constant(rng.standard_normal(4)), Tensor((*made, 4)),
        constant(crops, "int32"), Tensor(outer),
    ]  # fmt: skip
    ops = [
        Op("SPACE_TO_BATCH_ND", (0, 1, 2), (3,)),
        Op("CONV_2D", (3, 4, 5), (6,), "Conv2DOptions", {"padding": 1, "strideH": 1, "strideW": 1}),
        Op("BATCH_TO_SPACE_ND", (6, 1, 7), (8,)),
    ]
    model = build(tensors, ops, [0], [8])
    x = rng.standard_normal((1, height, width, 2)).astype(np.float32)
    graph = convert(model).graph
    assert [node.op for node in graph.nodes] == ["conv2d"]
    np.testing.assert_allclose(ReferenceExecutor(graph).run(x)[0], LiteRT(model).run(x)[0], rtol=1e-5, atol=1e-5)


def test_rank_zeros_like_and_reduce_all() -> None:
    tensors = [
        Tensor((2, 3)), Tensor((), "int32"), Tensor((2, 3)), Tensor((2, 3), "bool"), constant([0, 1], "int32"),
        Tensor((), "bool"),
    ]  # fmt: skip
    ops = [
        Op("RANK", (0,), (1,)),
        Op("ZEROS_LIKE", (0,), (2,)),
        Op("EQUAL", (0, 2), (3,)),
        Op("REDUCE_ALL", (3, 4), (5,), "ReducerOptions"),
    ]
    graph = tflite.load(build(tensors, ops, [0], [1, 2, 5]))
    x = np.zeros((2, 3), np.float32)
    rank, zeros, every = ReferenceExecutor(graph).run(x)
    assert (rank, bool(every)) == (2, True)
    np.testing.assert_array_equal(zeros, x)
    assert not ReferenceExecutor(graph).run(x + np.eye(2, 3, dtype=np.float32))[2]


def test_outputs_that_are_inputs_or_constants_or_twice_the_same() -> None:
    tensors = [Tensor((2,)), constant([1, 2]), Tensor((2,))]
    model = build(tensors, [Op("ADD", (0, 1), (2,), "AddOptions")], [0], [2, 0, 1, 2])
    x = np.array([10, 20], np.float32)
    for graph in (tflite.load(model), convert(model).graph):
        found = ReferenceExecutor(graph).run(x)
        for array, expected in zip(found, ([11, 22], [10, 20], [1, 2], [11, 22]), strict=True):
            np.testing.assert_array_equal(array, expected)


def test_variables(shared_data: Callable[[str], Path]) -> None:
    """The initial value of CALL_ONCE, and a read that keeps the value from before the assignment."""
    graph = tflite.load(shared_data("tflite/wakeword_okay_nabu_int8_stateful.tflite").read_bytes())
    variables = {value for value in graph.values() if value.variable}
    assert len(variables) == 6
    assert all(value.data is not None and value.data.shape == value.shape for value in variables)
    assert sum(node.op == "assign" for node in graph.nodes) == 6


def test_float16_weights_equal_litert(shared_data: Callable[[str], Path]) -> None:
    """mp_face_detection_short_fp16w: every weight stands behind a DEQUANTIZE."""
    model = shared_data("tflite/mp_face_detection_short_fp16w.tflite").read_bytes()
    litert = LiteRT(model, delegates=False)
    x = np.random.default_rng(0).uniform(-1, 1, litert.inputs[0]["shape"]).astype(np.float32)
    graph = tflite.load(model)
    assert not any(node.op == "dequantize" for node in graph.nodes)
    for y, wanted in zip(run_converted(model, [x]), litert.run(x), strict=True):
        np.testing.assert_allclose(y, wanted, atol=1e-4 * float(np.abs(wanted).max()))


# Shapes


def test_dynamic_dimensions_are_settled() -> None:
    model = one_op("RELU", [Tensor((1, 4, 3))], [Tensor((1, 4, 3))])

    def open_batch(tree: object) -> None:
        for tensor in tree.subgraphs[0].tensors:  # type: ignore[attr-defined]
            tensor.shapeSignature = [-1, 4, 3]

    model = edit(model, open_batch)
    graph = tflite.load(model)
    assert graph.inputs[0].shape == (1, 4, 3)
    assert "'t0'" in graph.notes[0]
    wide = tflite.load(model, input_shapes={"t0": (5, 4, 3)})
    assert wide.outputs[0].shape == (5, 4, 3)
    with pytest.raises(InputError, match=r"the shape \[5, 4, 4\], the model states \[-1, 4, 3\]"):
        tflite.load(model, input_shapes={"t0": (5, 4, 4)})
    with pytest.raises(InputError, match="'x', which is no input"):
        tflite.load(model, input_shapes={"x": (1, 4, 3)})


def test_open_dimensions_beyond_the_batch_are_asked_for() -> None:
    """All open inputs at once; a size that the file has for one is taken, unless the caller says otherwise."""
    model = one_op("ADD", [Tensor((1, 1, 3)), Tensor((1, 1, 3))], [Tensor((1, 1, 3))], "AddOptions")

    def open_length(tree: object) -> None:
        for tensor in tree.subgraphs[0].tensors:  # type: ignore[attr-defined]
            tensor.shapeSignature = [1, -1, 3]

    model = edit(model, open_length)
    with pytest.raises(InputError, match=r"'t0' \[1, \?, 3\]; 't1' \[1, \?, 3\]"):
        tflite.load(model)
    assert tflite.load(model, input_shapes={"t0": (1, 7, 3), "t1": (1, 7, 3)}).outputs[0].shape == (1, 7, 3)
    sized = edit(one_op("RELU", [Tensor((1, 8, 3))], [Tensor((1, 8, 3))]), open_length)
    assert tflite.load(sized).outputs[0].shape == (1, 8, 3)
    assert tflite.load(sized, input_shapes={"t0": (1, 5, 3)}).outputs[0].shape == (1, 5, 3)


# Errors


def test_all_unsupported_operators_are_reported_at_once() -> None:
    """Each once, with its node, reason and fix; not those that only depend on one."""
    tensors = [Tensor((1, 4)) for _ in range(8)] + [Tensor((1, 4), "int16", (0.1, 0)), Tensor((1, 4), "float64")]
    ops = [
        Op("LSH_PROJECTION", (0,), (1,)),
        Op("RELU", (1,), (2,)),
        Op("UNIQUE", (0,), (3,)),
        Op("SKIP_GRAM", (0,), (4,)),
        Op("CUMSUM", (4,), (5,)),
        Op("QUANTIZE", (8,), (6,)),  # to something without a scale
        Op("CAST", (0,), (9,), "CastOptions"),
        Op("ABS", (0,), (7,)),
    ]
    with pytest.raises(UnsupportedError) as caught:
        tflite.load(build(tensors, ops, [0, 8], [7]))
    items = caught.value.items
    assert [(item.operator, item.node) for item in items] == [
        ("LSH_PROJECTION", "t1"),
        ("UNIQUE", "t3"),
        ("SKIP_GRAM", "t4"),
        ("QUANTIZE", "t6"),
        ("CAST", "t9"),
    ]
    assert all(item.reason and item.fix for item in items)
    assert "FLOAT64" in items[-1].reason
    assert "cut the model" in items[1].fix


def test_custom_operators_are_named() -> None:
    with pytest.raises(UnsupportedError, match="CUSTOM MyOwn"):
        tflite.load(one_op("CUSTOM MyOwn", [Tensor((1, 4))], [Tensor((1, 4))]))


def test_shape_that_depends_on_data_is_refused() -> None:
    """What decides the shape of the output is an input, and the file does not state that shape either."""
    model = one_op("RESHAPE", [Tensor((2, 3)), Tensor((2,), "int32")], [Tensor((1,))])
    with pytest.raises(UnsupportedError, match="depends on the data"):
        tflite.load(model)


def test_tensors_of_a_billion_elements_are_refused_at_once() -> None:
    """As an input, as the result of a small operator, and as constants that no file of this size holds."""
    started = time.process_time()
    with pytest.raises(InputError, match="elements"):
        tflite.load(one_op("RELU", [Tensor((10**9,))], [Tensor((10**9,))]))
    shape = constant([1000, 1000, 1000], "int32")
    with pytest.raises(UnsupportedError, match="bytes"):
        tflite.load(one_op("FILL", [shape, Tensor(())], [Tensor((1000, 1000, 1000))]))
    with pytest.raises(UnsupportedError, match="bytes"):
        tflite.load(one_op("BROADCAST_TO", [Tensor((1, 1, 1)), shape], [Tensor((1000, 1000, 1000))]))
    huge = one_op("RELU", [constant(np.zeros(4), "float32")], [Tensor((4,))])
    with pytest.raises(FileFormatError, match="its shape needs"):
        tflite.load(edit(huge, lambda tree: setattr(tree.subgraphs[0].tensors[0], "shape", [10**9])))
    assert time.process_time() - started < 1


def test_impossible_scale_is_an_error() -> None:
    x = Tensor((2,), "int8", (0.0, 0))
    with pytest.raises(ModelError, match=r"scale 0\.0"):
        tflite.load(one_op("RELU", [x], [x]))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 100, b"\x10\0\0\0TFL3", b"\xff\xff\xff\xffTFL3" + b"\xff" * 64])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError):
        tflite.load(data)


@pytest.mark.parametrize("name", ["kws_dscnn_int8", "wakeword_okay_nabu_int8_stateful", "hello_world_float"])
def test_damaged_files_give_errors_of_edgert_alone(name: str, shared_data: Callable[[str], Path]) -> None:
    """Cut short anywhere, or with bytes changed: an EdgertError, or a model that means something else."""
    data = shared_data(f"tflite/{name}.tflite").read_bytes()
    chance = random.Random(17)
    refused = 0
    for trial in range(400):
        if trial % 4 == 0:
            damaged = data[: chance.randrange(len(data))]
        else:
            broken = bytearray(data)
            for _ in range(chance.randrange(1, 6)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            damaged = bytes(broken)
        try:
            tflite.load(damaged)
        except EdgertError:
            refused += 1
    assert refused > 50


def test_every_builtin_operator_has_a_handler_or_advice() -> None:
    """All of the schema's, but for what is no operator."""
    schema = pytest.importorskip("tflite")
    kinds = {kind for kind, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    kinds -= {"CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
    assert not set(tflite.HANDLERS) & set(ADVICE)
    assert kinds - set(tflite.HANDLERS) == set(ADVICE)
