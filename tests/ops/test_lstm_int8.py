"""lstm in integers: the C core against the reference, which importers/test_tflite_recurrent.py holds to LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert import Interpreter
from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import UnaryFunction
from edgert.ops._gemmlowp import sigmoid16, tanh16
from edgert.pack.metadata import Metadata
from edgert.pack.writer import _Writer, write
from edgert.runtime import _native
from ops.runner import quant_i8, run_package

X, WEIGHTS, RECURRENT, BIAS, H, C, PEEPHOLE, PROJECTION, PROJECTION_BIAS = range(9)
BASE = {"hidden_scale": 0.0075, "hidden_zero_point": 3}


def per_gate(rng: np.random.Generator, gates: int, units: int, low: float, high: float) -> QuantParams:
    scales = np.repeat(rng.uniform(low, high, gates).astype(np.float32), units)
    return QuantParams(tuple(scales.tolist()), (0,) * (gates * units))


def graph(
    size: tuple[int, int, int, int], attrs: dict[str, Any], out: int = 0, peephole: bool = False, cell_bits: int = 3
) -> tuple[Graph, list[Any]]:
    """One node with every operand that the attributes allow, and the arrays of its inputs."""
    steps, batch, width, units = size
    rng = np.random.default_rng(units)
    gates, outputs = 3 if attrs.get("coupled") else 4, out or units
    x_shape = (batch, steps, width) if attrs.get("batch_major") else (steps, batch, width)
    h_quant, c_quant = quant_i8(0.0078, -5), QuantParams((2.0 ** (cell_bits - 15),), (0,))
    values: list[Value | None] = [
        Value("x", x_shape, DType.INT8, quant_i8(0.03, 7)),
        Value("weights", (gates * units, width), DType.INT8, per_gate(rng, gates, units, 0.003, 0.01)),
        Value("recurrent", (gates * units, outputs), DType.INT8, per_gate(rng, gates, units, 0.003, 0.01)),
        Value("bias", (gates * units,), DType.INT32),
        Value("h", (batch, outputs), DType.INT8, h_quant),
        Value("c", (batch, units), DType.INT16, c_quant),
        Value("peephole", (3, units), DType.INT16, QuantParams((2e-5, 1e-5, 3e-5), (0, 0, 0))) if peephole else None,
        Value("projection", (out, units), DType.INT8, quant_i8(0.006, 0)) if out else None,
        Value("projection_bias", (out,), DType.INT32) if out else None,
    ]
    arrays: list[Any] = []
    for value in values:
        if value is None:
            arrays.append(None)
            continue
        limit = {DType.INT8: 127, DType.INT16: 20000, DType.INT32: 3000}[value.dtype]
        arrays.append(rng.integers(-limit, limit, value.shape, value.dtype.numpy_name, endpoint=True))
        if value.name not in ("x", "h", "c"):
            value.data = arrays[-1]
    specs = OPS_BY_NAME["lstm"].infer(values, OPS_BY_NAME["lstm"].complete({**BASE, **attrs}))
    quants = (h_quant, h_quant, c_quant)
    results = [Value(f"y{i}", spec.shape, spec.dtype, quants[i]) for i, spec in enumerate(specs)]
    node = Node("lstm", values, results, {**BASE, **attrs}, "layer")
    inputs = [value for value in values if value is not None and not value.constant]
    return Graph("lstm", inputs, results, [node]), arrays


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"batch_major": True, "reverse": True}, {}),
    ({"coupled": True}, {"peephole": True}),
    ({"cell_clip": 0.75}, {"cell_bits": 6}),
    ({"projection_clip": 0.5}, {"out": 5}),
    ({"coupled": True, "hidden_zero_point": -128}, {"out": 3, "peephole": True, "cell_bits": 0}),
]


@pytest.mark.parametrize(("attrs", "options"), CASES)
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (4, 3, 17, 9), (3, 1, 40, 33)])
def test_equals_the_reference(size: tuple[int, int, int, int], attrs: dict[str, Any], options: dict[str, Any]) -> None:
    model, arrays = graph(size, attrs, **options)
    node = model.nodes[0]
    expected = OPS_BY_NAME["lstm"].run(node, arrays)
    feeds = [arrays[X], arrays[H], arrays[C]]
    for isa in _native.cpu_isas():
        for threads in (1, 3):
            for result, wanted in zip(run_package(write(model), feeds, isa, threads), expected, strict=True):
                np.testing.assert_array_equal(result, wanted, err_msg=f"on {isa}")


def test_starts_from_real_zeros() -> None:
    """Without initial states: h at its zero point, c at 0."""
    model, arrays = graph((3, 2, 5, 4), {})
    node = model.nodes[0]
    given = list(arrays)
    given[H], given[C] = np.full_like(arrays[H], -5), np.zeros_like(arrays[C])
    expected = OPS_BY_NAME["lstm"].run(node, given)
    node.inputs[H] = node.inputs[C] = None
    model.inputs = model.inputs[:1]
    for result, wanted in zip(run_package(write(model), [arrays[X]]), expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("integer_bits", range(7))
def test_functions_are_near_the_real_ones(integer_bits: int) -> None:
    """gemmlowp's int16 functions are good to a few steps of 2^-15."""
    x = np.arange(-32768, 32768)
    real = np.tanh(x * 2.0 ** (integer_bits - 15)) * 32768
    assert np.abs(tanh16(x, integer_bits) - real).max() < 40
    assert np.abs(sigmoid16(x) - 32768 / (1 + np.exp(-x / 4096))).max() < 20


def refused(change: Any, match: str, attrs: dict[str, Any] | None = None, **options: Any) -> None:
    """The C core refuses the node after `change`; nothing on the Python side is asked."""
    model, _ = graph((2, 1, 3, 4), {}, **options)
    model.nodes[0].attrs.update(attrs or {})
    change(model.nodes[0])
    package = _Writer().model(model, Metadata(), ())
    with pytest.raises(ModelError, match=match):
        Interpreter(model_content=package)


def test_refuses_what_it_has_no_integers_for() -> None:
    def keep(node: Node) -> None:
        pass

    refused(keep, "hidden_scale is 0", {"hidden_scale": 0.0})
    refused(keep, "hidden_zero_point is 129", {"hidden_zero_point": 129})
    refused(keep, "other functions than sigmoid and tanh", {"activation": UnaryFunction.RELU})
    refused(keep, "other functions than sigmoid and tanh", {"clip": 1.0})
    refused(keep, "rescaled by", {"hidden_scale": 1e-25})

    def quantise(index: int, quant: QuantParams | None) -> Any:
        def change(node: Node) -> None:
            value = node.inputs[index]
            assert value is not None
            value.quant = quant

        return change

    refused(quantise(WEIGHTS, QuantParams((0.1,), (1,))), "weights has zero point 1, needed 0")
    refused(quantise(WEIGHTS, None), "weights has 0 scales")
    refused(quantise(RECURRENT, QuantParams((*[0.1] * 15, 0.2), (0,) * 16)), "one gate have different scales")
    refused(quantise(H, quant_i8(0.1, 0)), "initial h and output differ")
    refused(quantise(PEEPHOLE, None), "peephole has 0 scales", peephole=True)

    def cell(scale: float) -> Any:
        def change(node: Node) -> None:
            value = node.inputs[C]
            assert value is not None
            value.quant = node.outputs[2].quant = QuantParams((scale,), (0,))

        return change

    for scale in (2.0**-16, 2.0**-8, 3 * 2.0**-13):
        refused(cell(scale), "needed a power of two")

    def computed(node: Node) -> None:
        value = node.inputs[X]
        node.inputs[PROJECTION_BIAS] = value  # of another type, and no constant

    refused(computed, "projection bias is int8", out=3)
