"""LSTM, GRU and RNN of ONNX against onnxruntime: directions, functions, clips, lengths (layouts: conformance/)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_runs import assert_all_close, run_converted

from edgert.compile import convert
from edgert.errors import EdgertError, UnsupportedError
from edgert.importers.onnx import load

from ._onnx_run import run_onnxruntime

STEPS, BATCH, WIDTH, UNITS = 6, 3, 5, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(
    kind: str,
    attrs: dict[str, Any] | None = None,
    *,
    bias: bool = True,
    lengths: tuple[int, ...] | None = None,
    states: bool = True,
    peephole: bool = False,
    computed: bool = False,
    opset: int = 14,
    outputs: int | None = None,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of one node, and inputs for it. computed: weights are inputs too; lengths: an input as well."""
    attrs = {"hidden_size": UNITS, **(attrs or {})}
    directions = 2 if attrs.get("direction") == "bidirectional" else 1
    gates, rng = GATES[kind], np.random.default_rng(len(str(attrs)))
    given: dict[str, np.ndarray] = {
        "X": rng.normal(size=(STEPS, BATCH, WIDTH)),
        "W": 0.5 * rng.normal(size=(directions, gates * UNITS, WIDTH)),
        "R": 0.5 * rng.normal(size=(directions, gates * UNITS, UNITS)),
    }
    if bias:
        given["B"] = 0.3 * rng.normal(size=(directions, 2 * gates * UNITS))
    if states:
        given["H"] = rng.normal(size=(directions, BATCH, UNITS))
        if kind == "LSTM":
            given["C"] = rng.normal(size=(directions, BATCH, UNITS))
    if peephole:
        given["P"] = 0.5 * rng.normal(size=(directions, 3 * UNITS))
    given = {name: array.astype(np.float32) for name, array in given.items()}
    if lengths is not None:
        given["L"] = np.asarray(lengths, np.int32)
    places = ["X", "W", "R", "B", "L", "H", *(["C", "P"] if kind == "LSTM" else [])]
    names = [name if name in given else "" for name in places]
    while not names[-1]:
        names.pop()
    fed = [name for name in given if computed or name in ("X", "H", "C", "L")]
    results = ["Y", "Y_h", "Y_c"][: outputs or (3 if kind == "LSTM" else 2)]
    graph = helper.make_graph(
        [helper.make_node(kind, names, results, "layer", **attrs)],
        "recurrent",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(given[name].dtype), given[name].shape)
            for name in fed
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [numpy_helper.from_array(array, name) for name, array in given.items() if name not in fed],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model, {name: given[name] for name in fed}


def check(tmp_path: Any, kind: str, *args: Any, **options: Any) -> None:
    model, feeds = layer(kind, *args, **options)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    assert_all_close(run_converted(path, feeds), run_onnxruntime(model, feeds))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_directions(tmp_path: Any, kind: str, direction: str) -> None:
    attrs = {"direction": direction}
    check(tmp_path, kind, attrs)
    check(tmp_path, kind, attrs, bias=False, states=False, opset=7)
    check(tmp_path, kind, attrs, lengths=(3, 6, 1))
    check(tmp_path, kind, attrs, lengths=(0, 2, 6), computed=True)


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_peepholes_and_what_they_couple(tmp_path: Any, direction: str) -> None:
    check(tmp_path, "LSTM", {"direction": direction}, peephole=True)
    check(tmp_path, "LSTM", {"direction": direction, "input_forget": 1}, peephole=True)
    check(tmp_path, "LSTM", {"direction": direction, "input_forget": 1}, bias=False, peephole=True, computed=True)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_reset_before_and_after(tmp_path: Any, direction: str) -> None:
    for after in (0, 1):
        check(tmp_path, "GRU", {"direction": direction, "linear_before_reset": after, "clip": 0.8})


ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("HardSigmoid", {"activation_alpha": [0.3], "activation_beta": [0.4]}),
    ("LeakyRelu", {"activation_alpha": [0.2]}),
    ("ThresholdedRelu", {"activation_alpha": [0.1]}),
    ("ScaledTanh", {"activation_alpha": [0.7], "activation_beta": [1.3]}),
    ("Affine", {"activation_alpha": [0.5], "activation_beta": [0.1]}),
    ("Elu", {"activation_alpha": [0.8]}),
    ("Softsign", {}),
    ("Softplus", {}),
]


@pytest.mark.parametrize(("name", "parameters"), ACTIVATIONS)
def test_activations(tmp_path: Any, name: str, parameters: dict[str, Any]) -> None:
    """Those that the operators lack are unrolled, with lengths too."""
    check(tmp_path, "RNN", {"activations": [name], "clip": 1.5, **parameters}, lengths=(3, 6, 0))
    check(tmp_path, "GRU", {"activations": ["Sigmoid", name], "direction": "reverse", **parameters})
    check(tmp_path, "LSTM", {"activations": ["Sigmoid", name, "Tanh"], "clip": 1.5, **parameters}, peephole=True)


def test_each_direction_has_its_own_functions(tmp_path: Any) -> None:
    names = ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Softsign", "Relu"]
    check(tmp_path, "LSTM", {"direction": "bidirectional", "activations": names}, lengths=(6, 2, 4))


def test_parameters_go_to_the_functions_that_take_one(tmp_path: Any) -> None:
    attrs = {
        "direction": "bidirectional", "activations": ["Sigmoid", "LeakyRelu", "HardSigmoid", "Elu"],
        "activation_alpha": [0.3, 0.25, 0.9], "activation_beta": [0.45],
    }  # fmt: skip
    check(tmp_path, "GRU", attrs)


def test_one_node_a_direction(tmp_path: Any) -> None:
    """What the runtime has is not unrolled, and what nobody reads is not computed."""
    model, _ = layer("LSTM", {"direction": "bidirectional"}, lengths=(6, 6, 6), outputs=1)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    graph = convert(path).graph
    assert sorted(node.op for node in graph.nodes if node.op in ("lstm", "concat")) == ["concat", "lstm", "lstm"]
    assert load(path).outputs[0].shape == (STEPS, 2, BATCH, UNITS)


def test_refuses_what_does_not_exist(tmp_path: Any) -> None:
    path = tmp_path / "model.onnx"
    cases: list[tuple[dict[str, Any], type[EdgertError], str]] = [
        ({"activations": ["Swish"]}, UnsupportedError, "its activation is 'Swish'"),
        ({"direction": "sideways"}, EdgertError, "its direction is 'sideways'"),
        ({"clip": -1.0}, EdgertError, "it clips to -1"),
        ({"activations": ["Tanh", "Tanh"]}, EdgertError, "it has 2 activations, needed 1"),
    ]
    for attrs, error, text in cases:
        onnx.save(layer("RNN", attrs)[0], str(path))
        with pytest.raises(error, match=text):
            convert(path)


def test_refuses_to_unroll_without_end(tmp_path: Any) -> None:
    path = tmp_path / "model.onnx"
    model, _ = layer("RNN", {"activations": ["Softsign"]})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 10**6
    onnx.save(model, str(path))
    with pytest.raises(UnsupportedError, match="it has 1000000 steps"):
        convert(path)
