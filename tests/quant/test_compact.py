"""Weights in fewer bytes: what a file holds, and that it expands to what the quantiser measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passes.graphs import Maker
from quant.networks import images, node, pack, scaled_conv
from reference_executor import ReferenceExecutor

import edgert
from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation
from edgert.quant.graph.clone import clone
from edgert.quant.observe.measure import sqnr
from edgert.quant.quantize import Quantizer
from edgert.quant.rounding.int4 import LARGEST_MULTIPLIER, int4_grid
from edgert.quant.rounding.weights import round_to_float16
from edgert.quant.schemes import SCHEMES, Plan, layer_name

STORED = ("dequantize", "unpack_int4")


def wide_network() -> Graph:
    """Four pointwise layers, of which the two in the middle have most of the weights, and a 3x3 layer."""
    make = Maker(seed=2)
    hidden = scaled_conv(make, make.input(1, 6, 6, 16), np.ones(32))
    kernel = make.rng.normal(size=(32, 3, 3, 32)).astype(np.float32) / 17
    hidden = make.op("conv2d", hidden, kernel, activation=Activation.RELU)
    for _ in range(2):
        weights = make.rng.normal(size=(60, 1, 1, hidden.shape[3])).astype(np.float32) / 8
        hidden = make.op("conv2d", hidden, weights, make.weights(60), activation=Activation.RELU)
    return make.outputs(scaled_conv(make, hidden, np.ones(5), Activation.NONE))


def quantised(graph: Graph, scheme: str, samples: int = 8, **exceptions: str) -> Graph:
    given_samples = [{graph.inputs[0].name: x} for x in images(graph, samples)]
    layers = {name: SCHEMES[other] for name, other in exceptions.items()}
    return Quantizer(graph, given_samples, pack, Plan(SCHEMES[scheme], layers)).quantized()


def stored(graph: Graph) -> list[Node]:
    """Nodes whose inputs are all constants, or come from such nodes: they must stand in front."""
    front = []
    for n in graph.nodes:
        if n.op not in STORED or not all(v is not None and (v.constant or v in made(front)) for v in n.inputs):
            break
        front.append(n)
    return front


def made(nodes: list[Node]) -> set[Value]:
    return {value for n in nodes for value in n.outputs}


def weights_of(graph: Graph, n: Node) -> tuple[str, ...]:
    """The dtypes through which a node's weights go, from the file to the operator."""
    producers = graph.producers()
    value = n.inputs[1]
    path = []
    while value is not None:
        path.append(value.dtype.name.lower())
        value = producers[value].inputs[0] if value in producers else None
    return tuple(reversed(path))


EXPECTED = {  # of the first layer, the 3x3 one, the two in the middle, the last
    "int8": (("int8",), ("int8",), ("int8",)),
    "int4": (("int8",), ("int8",), ("uint8", "int8")),
    "int4-block": (("int8",), ("int8",), ("uint8", "int8")),
    "dynamic": (("int8", "float32"),) * 3,
    "dynamic-int4": (("int8", "float32"), ("int8", "float32"), ("uint8", "int8", "float32")),
    "dynamic-int4-block": (("int8", "float32"), ("int8", "float32"), ("uint8", "int8", "float32")),
    "float16": (("float16", "float32"),) * 3,
    "float": (("float32",),) * 3,
}


@pytest.mark.parametrize("scheme", EXPECTED)
def test_what_a_file_holds_and_what_it_expands_to(scheme: str) -> None:
    graph = wide_network()
    inputs = images(graph, 4, seed=9)
    exact = [ReferenceExecutor(graph).run(x)[0] for x in inputs]
    middles = [layer_name(n) for n in graph.nodes][2:4]  # named, they are not spared for the sake of accuracy
    result = quantised(graph, scheme, **dict.fromkeys(middles, scheme))
    layers = [n for n in result.nodes if n.op == "conv2d"]
    first, square, middle = EXPECTED[scheme]
    assert [weights_of(result, n) for n in layers] == [first, square, middle, middle, first]
    assert all(
        n.op not in STORED or not n.inputs[0].constant for n in result.nodes[len(stored(result)) :] if n.inputs[0]
    )
    got = [ReferenceExecutor(result).run(x)[0] for x in inputs]
    assert sqnr([np.stack(exact)], [np.stack(got)]) > (20.0 if "int4" in scheme else 35.0)
    model = edgert.Model(pack(clone(result)))
    for x, wanted in zip(inputs, got, strict=True):
        np.testing.assert_allclose(model(x), wanted, rtol=1e-4, atol=1e-5)


def test_files_are_as_small_as_their_weights() -> None:
    graph = wide_network()
    middle, other = 60 * 32 + 60 * 60, 16 * 32 + 9 * 32 * 32 + 5 * 60

    def size(scheme: str) -> int:
        return len(pack(Quantizer(graph, None, pack, Plan(SCHEMES[scheme])).quantized()))

    float_size = size("float")
    for scheme, weights in {
        "float16": 2 * (middle + other),
        "dynamic": middle + other,
        "dynamic-int4": middle // 2 + other,
        "dynamic-int4-block": middle // 2 + middle // 32 + other,
    }.items():
        saved = float_size - size(scheme)
        assert saved > 4 * (middle + other) - weights - 4000, scheme  # scales, and what expands them


def test_named_layers_may_have_four_bits_whatever_they_are() -> None:
    graph = wide_network()
    names = [layer_name(n) for n in graph.nodes if n.op == "conv2d"]
    result = quantised(graph, "int8", **{names[0]: "int4", names[1]: "int4-block"})
    layers = [n for n in result.nodes if n.op == "conv2d"]
    assert [weights_of(result, n)[0] for n in layers] == ["uint8", "uint8", "int8", "int8", "int8"]


def test_weights_that_several_layers_read_are_stored_once() -> None:
    make = Maker()
    shared = make.weights(20, 20)
    hidden = make.op("fully_connected", make.input(1, 20), shared)
    graph = make.outputs(make.op("fully_connected", hidden, shared))
    for scheme in ("dynamic", "float16"):
        result = Quantizer(graph, None, pack, Plan(SCHEMES[scheme])).quantized()
        assert len(stored(result)) == 1


def recurrent_network(op: str) -> Graph:
    make = Maker(seed=1)
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[op]
    x = make.input(6, 1, 10)
    weights, inner = (make.rng.normal(size=(gates * 24, n)).astype(np.float32) / 4 for n in (10, 24))
    shapes = [(6, 1, 24), (1, 24), (1, 24)][: 3 if op == "lstm" else 2]
    outputs = [Value(make.name(op), shape, DType.FLOAT32) for shape in shapes]
    definition = edgert.ops.OPS_BY_NAME[op]
    attrs = definition.complete({"reset_after": True} if op == "gru" else {})
    make.graph.nodes.append(Node(op, [x, make.constant(weights), make.constant(inner)], outputs, attrs, "cell", op))
    last = make.op("reshape", outputs[1], shape=(1, 24))
    return make.outputs(make.op("fully_connected", last, make.weights(3, 24), make.weights(3)))


@pytest.mark.parametrize("scheme", ["int8", "int16", "dynamic", "int4"])
@pytest.mark.parametrize("op", ["lstm", "gru", "rnn"])
def test_recurrent_layers_compute_in_float_and_are_stored_in_eight_bits(op: str, scheme: str) -> None:
    graph = recurrent_network(op)
    inputs = images(graph, 4, seed=9)
    exact = [ReferenceExecutor(graph).run(x)[0] for x in inputs]
    result = quantised(graph, scheme, samples=64)
    cell = node(result, op)
    assert {value.dtype for value in cell.inputs if value is not None} == {DType.FLOAT32}
    assert weights_of(result, cell) == ("int8", "float32")
    got = [ReferenceExecutor(result).run(x)[0] for x in inputs]
    assert sqnr([np.stack(exact)], [np.stack(got)]) > 28.0
    model = edgert.Model(pack(clone(result)))
    np.testing.assert_allclose(model(inputs[0]), got[0], rtol=1e-4, atol=1e-5)


def test_float16_leaves_what_it_cannot_hold() -> None:
    rng = np.random.default_rng(0)

    def constant(data: np.ndarray) -> Value:
        return Value("w", data.shape, DType.FLOAT32, None, data.astype(np.float32))

    ordinary = rng.normal(size=1000)
    assert round_to_float16(constant(ordinary)) is not None
    assert round_to_float16(constant(ordinary[:100])) is None  # too small to be worth it
    assert round_to_float16(constant(ordinary * 1e5)) is None  # beyond its range
    assert round_to_float16(constant(ordinary * 1e-8)) is None  # among its subnormal numbers
    assert round_to_float16(constant(np.append(ordinary, np.inf))) is None


def test_what_stays_float32_is_said() -> None:
    make = Maker()
    large = make.op(
        "fully_connected", make.input(1, 20), make.rng.normal(size=(20, 20)).astype(np.float32) * np.float32(1e6)
    )
    graph = make.outputs(make.op("fully_connected", large, make.weights(20, 20)))
    result = Quantizer(graph, None, pack, Plan(SCHEMES["float16"])).quantized()
    assert [weights_of(result, n) for n in result.nodes if n.op == "fully_connected"] == [
        ("float32",),
        ("float16", "float32"),
    ]
    (note,) = [note for note in result.notes if "float16" in note]
    assert graph.nodes[0].inputs[1] is not None
    assert graph.nodes[0].inputs[1].name in note


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 100), st.booleans(), st.integers(0, 2**32 - 1))
def test_int4_grids(rows: int, columns: int, blocks: bool, seed: int) -> None:
    """Every weight is a number of four bits times its block's multiplier; no block loses more than with one scale."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(rows, columns)) * rng.lognormal(size=(rows, 1)) * rng.lognormal(size=columns)
    grid = int4_grid(weights, blocks)
    q = grid.nearest(weights)
    rounded = grid.rounded(q, (rows, columns))
    assert np.abs(q).max() <= 7
    assert np.abs(rounded.data.astype(int)).max() <= 7 * LARGEST_MULTIPLIER
    exact = rounded.data * np.array(rounded.params.scales)[:, None]
    np.testing.assert_allclose(exact, q * grid.steps(columns), rtol=1e-6)
    if blocks:
        assert rounded.multipliers is not None
        assert rounded.multipliers.shape == (rows, -(-columns // 32))
        assert rounded.multipliers.min() >= 1
        assert rounded.multipliers.max() <= LARGEST_MULTIPLIER
        plain = int4_grid(weights, False)
        worse = np.square(plain.nearest(weights) * plain.steps(columns) - weights).sum()
        assert np.square(exact - weights).sum() <= worse * 1.05 + 1e-9 * np.square(weights).sum()


def test_int4_of_zeros() -> None:
    for blocks in (False, True):
        grid = int4_grid(np.zeros((3, 40)), blocks)
        assert not grid.rounded(grid.nearest(np.zeros((3, 40))), (3, 40)).data.any()
