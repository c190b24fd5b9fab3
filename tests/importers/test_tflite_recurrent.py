"""Recurrent operators of TFLite against LiteRT: run after run with the state kept, and again after a reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_runs import opened, step

import edgert
from edgert.errors import EdgertError, UnsupportedError

from ._tflite_models import Tensor, constant, one_op

Array = NDArray[Any]
RUNS = 3
TANH, RELU, RELU6, NONE = 4, 1, 3, 0


def compare(model: bytes, bound: float, dtype: str = "float32") -> None:
    """Both runtimes on the same random inputs. bound: on the difference, in terms of the largest output; 0: exact."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    theirs, ours = litert.Interpreter(model_content=model), opened(edgert.convert(model).data)
    theirs.allocate_tensors()
    rng = np.random.default_rng(0)
    for run in range(2 * RUNS):
        if run == RUNS:
            theirs.reset_all_variables()
            ours.reset_all_variables()
        shapes = [detail["shape"] for detail in theirs.get_input_details()]
        inputs = [rng.integers(-128, 128, shape) if dtype == "int8" else rng.normal(size=shape) for shape in shapes]
        inputs = [x.astype(dtype) for x in inputs]
        for wanted, found in zip(step(theirs, inputs), step(ours, inputs), strict=True):
            assert wanted.max() > wanted.min(), "a test on numbers that are all the same shows nothing"
            assert found.shape == wanted.shape
            if bound == 0:
                np.testing.assert_array_equal(found, wanted, err_msg=f"run {run}")
            else:
                limit = bound * max(1.0, float(np.abs(wanted).max()))
                np.testing.assert_allclose(found, wanted, rtol=0, atol=limit, err_msg=f"run {run}")


class Draw:
    """Random constants; hybrid: weights as int8 with a scale."""

    def __init__(self, seed: int, hybrid: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.hybrid = hybrid

    def weights(self, *shape: int) -> Tensor:
        if self.hybrid:
            return constant(self.rng.integers(-127, 128, shape), "int8", (0.008, 0))
        return constant(self.rng.normal(size=shape) / np.sqrt(shape[-1]))

    def vector(self, size: int, mean: float = 0.0) -> Tensor:
        return constant(mean + 0.3 * self.rng.normal(size=size))

    def lstm(
        self, width: int, units: int, out: int = 0, cifg: bool = False, peephole: bool = False, bias: bool = False
    ) -> list[Tensor | None]:
        """Inputs 1 to 17 of the full kernel: i, f, g, o; projected to `out` unless it is 0, with a bias if told."""
        inputs: list[Tensor | None] = [self.weights(units, width) for _ in range(4)]
        inputs += [self.weights(units, out or units) for _ in range(4)]
        inputs += [self.vector(units) if peephole else None for _ in range(3)]
        inputs += [self.vector(units) for _ in range(4)]
        inputs += [self.weights(out, units) if out else None, self.vector(out) if out and bias else None]
        for index in (0, 4, 8, 11) if cifg else ():
            inputs[index] = None
        return inputs


def states(batch: int, *sizes: int) -> list[Tensor]:
    return [Tensor((batch, size), variable=True) for size in sizes]


LSTM_CASES: list[dict[str, Any]] = [
    {},
    {"time_major": True, "cifg": True},
    {"peephole": True, "cell_clip": 0.4},
    {"out": 5, "projection_clip": 0.3},
    {"out": 5, "bias": True, "cifg": True, "peephole": True, "time_major": True},
    {"norm": True},
    {"norm": True, "cifg": True, "out": 4},
    {"activation": RELU},
    {"activation": RELU6, "peephole": True},
    {"hybrid": True},
    {"hybrid": True, "out": 5, "time_major": True},
]


@pytest.mark.parametrize("case", LSTM_CASES, ids=str)
def test_unidirectional_sequence_lstm(case: Mapping[str, Any]) -> None:
    steps, batch, width, units = 6, 2, 7, 9
    hybrid, out, time_major = case.get("hybrid", False), case.get("out", 0), case.get("time_major", False)
    draw = Draw(1, hybrid)
    own = {name: case[name] for name in ("out", "cifg", "peephole", "bias") if name in case}
    norms: list[Tensor | None] = [draw.vector(units, 1.0) if case.get("norm") else None for _ in range(4)]
    if case.get("cifg"):
        norms[0] = None
    x = Tensor((steps, batch, width) if time_major else (batch, steps, width))
    y = Tensor((*x.shape[:2], out or units))
    options = {
        "fusedActivationFunction": case.get("activation", TANH), "timeMajor": time_major,
        "cellClip": case.get("cell_clip", 0.0), "projClip": case.get("projection_clip", 0.0),
    }  # fmt: skip
    inputs = [x, *draw.lstm(width, units, **own), *states(batch, out or units, units), *norms]
    model = one_op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], "UnidirectionalSequenceLSTMOptions", options)
    compare(model, 3e-2 if hybrid else 1e-5)


@pytest.mark.parametrize("out", [0, 3])
def test_lstm_step(out: int) -> None:
    draw, batch = Draw(2), 3
    inputs = [Tensor((batch, 5)), *draw.lstm(5, 8, out), *states(batch, out or 8, 8)]
    options = {"fusedActivationFunction": TANH}
    compare(one_op("LSTM", inputs, [Tensor((batch, out or 8))], "LSTMOptions", options), 1e-5)


def test_lstm_step_of_the_basic_kernel() -> None:
    """Its outputs are the new h and c, and two that hold what is in between."""
    draw, batch, width, units = Draw(3), 2, 5, 6
    h, c = states(batch, units, units)
    inputs = [Tensor((batch, width)), h, draw.weights(4 * units, width + units), draw.vector(4 * units), c]
    shapes = [(batch, units), (batch, units), (batch, width + units), (batch, 4 * units)]
    outputs = [Tensor(shape) for shape in shapes]
    options = {"fusedActivationFunction": TANH, "kernelType": 1}
    model = one_op("LSTM", inputs, outputs, "LSTMOptions", options)
    compare(only_outputs(model, 2), 1e-5)


def only_outputs(model: bytes, count: int) -> bytes:
    from litert_reference import edit

    def change(tree: Any) -> None:
        tree.subgraphs[0].outputs = tree.subgraphs[0].outputs[:count]

    return edit(model, change)


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("aux", ["", "weights", "cross"])
def test_bidirectional_sequence_lstm(aux: str, merge: bool) -> None:
    """Time-major: in the other layout, LiteRT reads the states of merged outputs at the wrong places."""
    batch, steps, width, units, out = 2, 5, 6, 7, 4
    draw = Draw(4)
    x = Tensor((steps, batch, width))
    extra: list[Tensor | None] = [None] * 8
    if aux == "weights":
        extra = [draw.weights(units, width) for _ in range(8)]
    inputs = [
        x, *draw.lstm(width, units, out), *draw.lstm(width, units, out), *states(batch, out, units, out, units),
        Tensor(x.shape) if aux else None, *extra,
    ]  # fmt: skip
    outputs = [Tensor((steps, batch, 2 * out))] if merge else [Tensor((steps, batch, out))] * 2
    options = {"fusedActivationFunction": TANH, "mergeOutputs": merge, "timeMajor": True}
    compare(one_op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, "BidirectionalSequenceLSTMOptions", options), 1e-5)


# int8 activations and int16 cell state


def int8_lstm(
    seed: int, out: int = 0, cifg: bool = False, peephole: bool = False, cell_clip: float = 0.0, cell_bits: int = 3,
    projection_clip: float = 0.0, time_major: bool = False, zero_points: tuple[int, int, int] = (0, 0, 0),
) -> bytes:  # fmt: skip
    """zero_points: of x, of the output and of what is projected."""
    rng = np.random.default_rng(seed)
    steps, batch, width, units = 5, 2, 11, 13
    x_quant, h_quant = (0.03, zero_points[0]), (0.0078 if not out else 0.011, zero_points[1])
    hidden = (0.0075, zero_points[2]) if out else h_quant
    cell = (2.0 ** (cell_bits - 15), 0)

    def weights(*shape: int) -> Tensor:
        return constant(rng.integers(-127, 128, shape), "int8", (float(rng.uniform(0.002, 0.008)), 0))

    def bias(size: int) -> Tensor:
        return constant(rng.integers(-3000, 3000, size), "int32", (1e-4, 0))

    inputs: list[Tensor | None] = [
        Tensor((steps, batch, width) if time_major else (batch, steps, width), "int8", x_quant)
    ]
    inputs += [weights(units, width) for _ in range(4)] + [weights(units, out or units) for _ in range(4)]
    scale = float(rng.uniform(1e-5, 3e-5))
    inputs += [
        constant(rng.integers(-32767, 32767, units), "int16", (scale, 0)) if peephole else None for _ in range(3)
    ]
    inputs += [bias(units) for _ in range(4)] + [weights(out, units) if out else None, bias(out) if out else None]
    for index in (1, 5, 9, 12) if cifg else ():
        inputs[index] = None
    inputs += [
        Tensor((batch, out or units), "int8", h_quant, variable=True),
        Tensor((batch, units), "int16", cell, variable=True), None, None, None, None,
    ]  # fmt: skip
    between = [Tensor((0,))] * 4 + [Tensor((0,), "int8", hidden)]
    assert inputs[0] is not None
    y = Tensor((*inputs[0].shape[:2], out or units), "int8", h_quant)
    options = {
        "fusedActivationFunction": TANH, "timeMajor": time_major, "cellClip": cell_clip, "projClip": projection_clip,
    }  # fmt: skip
    return one_op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], "UnidirectionalSequenceLSTMOptions", options, between)


INT8_CASES: list[dict[str, Any]] = [
    {},
    {"zero_points": (-128, 0, 0), "time_major": True},
    {"zero_points": (7, -9, 0)},
    {"cifg": True, "cell_bits": 0},
    {"cell_bits": 6, "cell_clip": 0.5},
    {"peephole": True},
    {"peephole": True, "cifg": True, "cell_bits": 4},
    {"out": 6, "zero_points": (-3, 5, 0)},
    {"out": 6, "projection_clip": 0.4, "zero_points": (11, 0, 9)},
    {"out": 6, "zero_points": (11, 0, 100)},
    {"out": 6, "zero_points": (11, 0, -90)},
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", INT8_CASES, ids=str)
def test_int8_lstm(case: Mapping[str, Any], seed: int) -> None:
    """Every bit."""
    model = int8_lstm(seed, **case)
    compare(model, 0, "int8")
    (node,) = (node for node in edgert.convert(model).graph.nodes if node.op == "lstm")
    assert node.inputs[0] is not None
    assert node.inputs[0].dtype.name == "INT8"


@pytest.mark.parametrize("out", [0, 5])
def test_int8_lstm_step(out: int) -> None:
    """Every bit of the operator of one step, which is the sequence's with a sequence of one."""
    rng, batch, width, units = np.random.default_rng(out), 2, 11, 13
    quant, cell = (0.0078, 3), (2.0**-12, 0)

    def weights(*shape: int) -> Tensor:
        return constant(rng.integers(-127, 128, shape), "int8", (float(rng.uniform(0.002, 0.008)), 0))

    def bias(size: int) -> Tensor:
        return constant(rng.integers(-3000, 3000, size), "int32", (1e-4, 0))

    inputs: list[Tensor | None] = [Tensor((batch, width), "int8", (0.03, -7))]
    inputs += [weights(units, width) for _ in range(4)] + [weights(units, out or units) for _ in range(4)]
    inputs += [None] * 3 + [bias(units) for _ in range(4)]
    inputs += [weights(out, units) if out else None, bias(out) if out else None]
    inputs += [
        Tensor((batch, out or units), "int8", quant, variable=True),
        Tensor((batch, units), "int16", cell, variable=True), None, None, None, None,
    ]  # fmt: skip
    between = [Tensor((0,))] * 4 + [Tensor((0,), "int8", (0.0075, 0) if out else quant)]
    y = Tensor((batch, out or units), "int8", quant)
    compare(one_op("LSTM", inputs, [y], "LSTMOptions", {"fusedActivationFunction": TANH}, between), 0, "int8")


def test_int8_lstm_with_layer_normalisation() -> None:
    """Computed in float32 from what the integers mean: within the steps that rounding costs LiteRT."""
    rng, batch, steps, width, units = np.random.default_rng(4), 2, 4, 11, 16
    norm_scale = 2.0**-14

    def weights(*shape: int) -> Tensor:
        return constant(rng.integers(-127, 128, shape), "int8", (0.004, 0))

    inputs: list[Tensor | None] = [Tensor((batch, steps, width), "int8", (0.03, -7))]
    inputs += [weights(units, width) for _ in range(4)] + [weights(units, units) for _ in range(4)] + [None] * 3
    inputs += [constant(rng.integers(-3000, 3000, units), "int32", (norm_scale / 1024, 0)) for _ in range(4)]
    inputs += [
        None, None, Tensor((batch, units), "int8", (0.0078, 0), variable=True),
        Tensor((batch, units), "int16", (2.0**-12, 0), variable=True),
    ]  # fmt: skip
    inputs += [constant(rng.integers(12000, 20000, units), "int16", (norm_scale, 0)) for _ in range(4)]
    between = [Tensor((0,), "int16", (2.0**-12, 0))] * 4 + [Tensor((0,), "int8", (0.0078, 0))]
    y = Tensor((batch, steps, units), "int8", (0.0078, 0))
    options = {"fusedActivationFunction": TANH}
    model = one_op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], "UnidirectionalSequenceLSTMOptions", options, between)
    compare(model, 0.05, "int8")
    made = edgert.convert(model)
    assert "is computed in float32" in " ".join(made.notes)
    (node,) = (node for node in made.graph.nodes if node.op == "lstm")
    assert node.outputs[0].dtype.name == "FLOAT32"


# Plain recurrent layers


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("activation", [TANH, RELU])
def test_rnn_step(activation: int, hybrid: bool) -> None:
    draw, batch = Draw(5, hybrid), 2
    inputs = [Tensor((batch, 6)), draw.weights(8, 6), draw.weights(8, 8), draw.vector(8), *states(batch, 8)]
    options = {"fusedActivationFunction": activation}
    compare(one_op("RNN", inputs, [Tensor((batch, 8))], "RNNOptions", options), 3e-2 if hybrid else 1e-5)


@pytest.mark.parametrize("time_major", [False, True])
def test_unidirectional_sequence_rnn(time_major: bool) -> None:
    draw, batch, steps = Draw(6), 2, 5
    lead = (steps, batch) if time_major else (batch, steps)
    inputs = [Tensor((*lead, 6)), draw.weights(8, 6), draw.weights(8, 8), draw.vector(8), *states(batch, 8)]
    options = {"fusedActivationFunction": TANH, "timeMajor": time_major}
    compare(one_op("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, [Tensor((*lead, 8))], "SequenceRNNOptions", options), 1e-5)


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("aux", ["", "weights", "cross"])
def test_bidirectional_sequence_rnn(aux: str, merge: bool) -> None:
    draw, batch, steps, width, units = Draw(7), 2, 5, 6, 8
    time_major = aux == "cross"  # in the other layout, LiteRT takes the input for it
    lead = (steps, batch) if time_major else (batch, steps)
    x = Tensor((*lead, width))

    def layer() -> list[Tensor]:
        return [draw.weights(units, width), draw.weights(units, units), draw.vector(units), *states(batch, units)]

    extra = [draw.weights(units, width) if aux == "weights" else None for _ in range(2)]
    inputs = [x, *layer(), *layer(), Tensor(x.shape) if aux else None, *extra]
    outputs = [Tensor((*lead, 2 * units))] if merge else [Tensor((*lead, units))] * 2
    options = {"fusedActivationFunction": TANH, "mergeOutputs": merge, "timeMajor": time_major}
    compare(one_op("BIDIRECTIONAL_SEQUENCE_RNN", inputs, outputs, "BidirectionalSequenceRNNOptions", options), 1e-5)


# SVDF


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize(("rank", "activation"), [(1, NONE), (2, RELU)])
def test_svdf(rank: int, activation: int, hybrid: bool) -> None:
    draw, batch, width, units, memory = Draw(8, hybrid), 2, 6, 5, 4
    filters = units * rank
    times = draw.weights(filters, memory)
    state = Tensor((batch, filters * memory), variable=True)
    inputs = [Tensor((batch, width)), draw.weights(filters, width), times, draw.vector(units), state]
    options = {"rank": rank, "fusedActivationFunction": activation}
    compare(one_op("SVDF", inputs, [Tensor((batch, units))], "SVDFOptions", options), 3e-2 if hybrid else 1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rank", [1, 2])
def test_int8_svdf(rank: int, seed: int) -> None:
    """Every bit. LiteRT fuses relu alone, as the least number of the output."""
    rng, batch, width, units, memory = np.random.default_rng(seed), 2, 9, 6, 5
    filters = units * rank
    inputs = [
        Tensor((batch, width), "int8", (0.05, 4)),
        constant(rng.integers(-127, 128, (filters, width)), "int8", (0.008, 0)),
        constant(rng.integers(-32767, 32768, (filters, memory)), "int16", (2.0**-14, 0)),
        constant(rng.integers(-20000, 20000, units), "int32", (2.0**-26, 0)),
        Tensor((batch, filters * memory), "int16", (2.0**-12, 0), variable=True),
    ]
    options = {"rank": rank, "fusedActivationFunction": RELU}
    compare(one_op("SVDF", inputs, [Tensor((batch, units), "int8", (0.04, -128))], "SVDFOptions", options), 0, "int8")


def test_refuses_a_function_that_layers_lack() -> None:
    draw = Draw(9)
    inputs = [Tensor((1, 6)), draw.weights(8, 6), draw.weights(8, 8), draw.vector(8), *states(1, 8)]
    model = one_op("RNN", inputs, [Tensor((1, 8))], "RNNOptions", {"fusedActivationFunction": 5})
    with pytest.raises(UnsupportedError, match="activation is number 5"):
        edgert.convert(model)


def test_diagonal_recurrent_weights() -> None:
    """LSTM whose units see themselves alone: the same as a matrix with zeros beside its diagonal."""
    draw, batch, steps, width, units = Draw(10), 2, 4, 5, 6
    inputs: list[Tensor | None] = [
        Tensor((batch, steps, width)),
        *draw.lstm(width, units),
        *states(batch, units, units),
    ]
    vectors = list(inputs)
    for index in range(5, 9):
        vector = draw.rng.normal(size=units).astype(np.float32)
        inputs[index], vectors[index] = constant(np.diag(vector)), constant(vector)
    options = {"fusedActivationFunction": TANH, "timeMajor": False}
    y, kind = Tensor((batch, steps, units)), "UNIDIRECTIONAL_SEQUENCE_LSTM"
    found = []
    for given in (inputs, vectors):
        model = one_op(kind, [*given, None, None, None, None], [y], "UnidirectionalSequenceLSTMOptions", options)
        (layer,) = (node for node in edgert.convert(model).graph.nodes if node.op == "lstm")
        assert layer.inputs[2] is not None
        found.append(layer.inputs[2].data)
    np.testing.assert_array_equal(found[0], found[1])


def broken(change: Any, match: str) -> None:
    """A model of one layer after a change to its inputs is refused with a clear message."""
    draw, units = Draw(11), 4
    inputs: list[Tensor | None] = [Tensor((1, 3, 5)), *draw.lstm(5, units), *states(1, units, units)]
    change(inputs)
    options = {"fusedActivationFunction": TANH}
    y = Tensor((1, 3, units))
    model = one_op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], "UnidirectionalSequenceLSTMOptions", options)
    with pytest.raises(EdgertError, match=match):
        edgert.convert(model)


def test_damaged_layers_are_refused() -> None:
    def put(index: int, tensor: Tensor | None) -> Any:
        def change(inputs: list[Tensor | None]) -> None:
            inputs[index] = tensor

        return change

    broken(put(0, Tensor((3, 5))), "its input has 2 dimensions")
    broken(put(3, None), "weights of a gate have the shape None")
    broken(put(3, constant(np.zeros((4, 6)))), "dimension|shape")
    broken(put(6, constant(np.zeros((0, 4)))), "read before anything writes it")
    broken(put(6, constant(np.zeros(5000))), "a diagonal of 5000")
    broken(put(13, constant(np.zeros(3))), "a bias or a peephole has 3 numbers, needed 4")
    broken(put(18, constant(np.zeros((1, 5)))), "needed \\[1, 4\\]")
    broken(put(0, Tensor((2**30, 3, 5))), "bytes|large|elements")
    broken(lambda inputs: inputs.__delitem__(slice(6, None)), "shape|missing")
