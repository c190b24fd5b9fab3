"""What is wrong with calibration data is told in one line that names the sample."""

from __future__ import annotations

import numpy as np
import pytest
from quant.networks import images, observe, pack, residual_network

import edgert
from edgert.errors import InputError
from edgert.quant.calibrate import calibrate

onnx = pytest.importorskip("onnx")
GOOD = np.full((1, 3), 0.5, np.float32)


def two_inputs(weight: float = 1.0) -> bytes:
    """y = relu(a * weight) @ W + b, from inputs "a" and "b" of shape [1, 3]."""
    helper, numbers = onnx.helper, onnx.numpy_helper
    nodes = [
        helper.make_node("MatMul", ["a", "w"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w"], ["m"], "second"),
        helper.make_node("Add", ["m", "b"], ["y"], "sum"),
    ]
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in ("a", "b", "y")]
    weights = numbers.from_array(np.full((3, 3), weight, np.float32), "w")
    graph = helper.make_graph(nodes, "two", infos[:2], infos[2:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def sample(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return {"a": GOOD, "b": GOOD, **changes}


NAN = np.array([[0.0, np.nan, 1.0]], np.float32)
INFINITE = np.array([[0.0, -np.inf, 1.0]], np.float32)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([sample(), sample(a=NAN)], "calibration sample 2: input 'a' holds NaN; remove that sample"),
        ([sample(b=INFINITE)], "calibration sample 1: input 'b' holds infinity; remove that sample"),
        ([], "the calibration data hold no sample; give at least one"),
        ([{"a": GOOD}], r"calibration sample 1 has no input 'b' \(it has: a\); the model needs a: .*, b: "),
        ([sample(a=np.zeros((1, 4), np.float32))], r"calibration sample 1: input 'a' has shape \[1, 4\], needed"),
        ([sample(a=np.zeros((1, 3), np.int32))], "calibration sample 1: input 'a' is int32, needed float32"),
    ],
)
def test_bad_data(samples: list[dict[str, np.ndarray]], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        edgert.convert(two_inputs(), quantize="int8", calibrate=samples)
    assert "\n" not in str(caught.value)


def test_a_model_that_overflows() -> None:
    with pytest.raises(InputError, match=r"calibration sample 1: tensor '.*' is not finite; the float model itself"):
        edgert.convert(two_inputs(1e30), quantize="int8", calibrate=[sample(a=np.full((1, 3), 1e10, np.float32))])


def test_good_data_pass() -> None:
    result = edgert.convert(two_inputs(), quantize="int8", calibrate=[sample(), sample(a=-GOOD)])
    y = edgert.Model(result.data).run(sample())["y"]
    np.testing.assert_allclose(y, [[5.0, 5.0, 5.0]], rtol=0.02)


def test_histograms_are_those_of_the_reference() -> None:
    graph = residual_network()
    inputs = images(graph, 3)
    expected = observe(graph, inputs)
    seen = calibrate(pack(graph), [{graph.inputs[0].name: x} for x in inputs])
    assert set(seen) == set(expected)
    for name, histogram in expected.items():
        assert seen[name].limit == histogram.limit
        np.testing.assert_allclose(seen[name].mean(), histogram.mean(), rtol=1e-4, atol=1e-5 * histogram.limit)
        np.testing.assert_allclose(seen[name].channel_reach(), histogram.channel_reach(), rtol=1e-4, atol=1e-6)
        assert np.abs(seen[name].counts - histogram.counts).sum() <= 0.02 * max(histogram.counts.sum(), 100)
