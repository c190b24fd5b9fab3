"""One operator from outside in the sources of every framework: alpha * x + weight, brought by edgert.add_custom_op."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgert
from edgert.custom import custom_ops
from edgert.errors import UnsupportedError
from importers import _caffe_write, _tensorflow_graphs, _tflite_models, _torch7_write
from importers._keras_run import keras_or_skip

X = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
WEIGHT = np.full((1, 3, 4), 0.25, np.float32)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    for op in custom_ops():
        edgert.remove_custom_op(op.name)


def bring(*sources: str, alpha: float | None = None) -> None:
    """alpha: of formats whose layers carry no attributes of their own."""

    def reference(arrays: list[np.ndarray], attrs: dict[str, Any]) -> list[np.ndarray]:
        factor = np.float32(attrs.get("alpha", alpha))
        return [factor * arrays[0] + (arrays[1].reshape(arrays[0].shape) if len(arrays) > 1 else 0)]

    edgert.add_custom_op(edgert.CustomOp("tests.Magic", lambda types, attrs: [types[0]], reference, sources))


def check(source: Any, wanted: np.ndarray, kind: str, **options: Any) -> None:
    """Refused without the operator; with it, converted and run."""
    with pytest.raises(UnsupportedError, match=kind):
        edgert.convert(source, **options)
    bring(kind, alpha=0.5)
    model = edgert.Model(edgert.convert(source, **options).data)
    (made,) = model.run({model.inputs[0].name: X.reshape(model.inputs[0].shape)}).values()
    np.testing.assert_allclose(made.reshape(wanted.shape), wanted, rtol=1e-6)


def test_caffe(tmp_path: Path) -> None:
    text = _caffe_write.inputs_text({"data": (1, 3, 4)})
    text += '\nlayer { name: "m" type: "Magic" bottom: "data" top: "y" }'
    check(_caffe_write.save(tmp_path, text, {"m": [WEIGHT]}), 0.5 * X + WEIGHT, "Magic")


def test_mxnet(tmp_path: Path) -> None:
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "Magic", "name": "m", "attrs": {"alpha": "0.5"}, "inputs": [[0, 0, 0]]},
    ]
    path = tmp_path / "net-symbol.json"
    path.write_text(json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": [[1, 0, 0]], "attrs": {}}))
    (tmp_path / "net-0000.params").write_bytes(np.array([0x112, 0, 0, 0], "<u8").tobytes())
    check(path, 0.5 * X, "Magic", input_shapes={"data": X.shape})


def test_torch7(tmp_path: Path) -> None:
    net = _torch7_write.sequential(_torch7_write.module("Magic", alpha=0.5, weight=WEIGHT))
    path = tmp_path / "net.t7"
    _torch7_write.save(path, net)
    check(path, 0.5 * X + WEIGHT, "nn.Magic", input_shapes={"input": X.shape})


def test_tflite(tmp_path: Path) -> None:
    tensors = [_tflite_models.Tensor(X.shape), _tflite_models.Tensor(X.shape, data=WEIGHT)]
    model = _tflite_models.one_op("CUSTOM Magic", tensors, [_tflite_models.Tensor(X.shape)], options={"alpha": 0.5})
    check(model, 0.5 * X + WEIGHT, "Magic")


def test_tensorflow(tmp_path: Path) -> None:
    graph = _tensorflow_graphs.Graph()
    graph.input("x", *X.shape)
    graph.node("m", "Magic", "x", alpha=0.5)
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.data())
    check(path, 0.5 * X, "Magic")


def test_keras(tmp_path: Path) -> None:
    keras = keras_or_skip()

    class Magic(keras.layers.Layer):
        def __init__(self, alpha: float, **options: Any) -> None:
            super().__init__(**options)
            self.alpha = alpha

        def build(self, shape: Any) -> None:
            self.weight = self.add_weight(shape=(3, 4), name="weight", initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.alpha + self.weight

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "alpha": self.alpha}

    model = keras.Sequential([keras.layers.Input((3, 4)), Magic(0.5)])
    model.layers[-1].set_weights([WEIGHT[0]])
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        check(tmp_path / name, 0.5 * X + WEIGHT, "Magic")
        edgert.remove_custom_op("tests.Magic")


def test_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    schema = "(Tensor x, Tensor weight, float alpha) -> Tensor"
    magic = torch.library.custom_op(
        "edgert_tests::magic", lambda x, weight, alpha: x * alpha + weight, mutates_args=(), schema=schema
    )
    magic.register_fake(lambda x, weight, alpha: torch.empty_like(x))

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(WEIGHT))

        def forward(self, x: Any) -> Any:
            return magic(x, self.weight, 0.5)

    check(Net().eval(), 0.5 * X + WEIGHT, "edgert_tests.magic", example_inputs=(torch.from_numpy(X),))
