"""What is wrong with calibration data is told in one line that names the sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from quant.networks import images, observe, pack, residual_network

import edgert
from edgert.cache import Cache
from edgert.errors import InputError
from edgert.quant.observe import calibrate as calibrate_module
from edgert.quant.observe.calibrate import calibrate
from edgert.quant.quantize import Quantizer

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


def test_a_second_run_resumes_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = residual_network()
    samples = [{graph.inputs[0].name: x} for x in images(graph, 70)]
    plain = pack(Quantizer(graph, samples, pack).quantized())
    cache = Cache(tmp_path)
    first = Quantizer(graph, samples, pack, cache=cache)
    assert pack(first.quantized()) == plain
    told: list[tuple[str, int, int | None]] = []
    monkeypatch.setattr(calibrate_module._Lanes, "observed", None)  # nothing is run
    again = Quantizer(graph, samples, pack, progress=lambda *stage: told.append(stage), cache=cache)
    assert told == [("calibrate", 64, 70), ("calibrate", 70, 70)]
    monkeypatch.undo()
    assert pack(again.quantized()) == plain
    for name, histogram in first.histograms.items():
        assert again.histograms[name].ends == histogram.ends
        np.testing.assert_array_equal(again.histograms[name].mean(), histogram.mean())


def test_samples_may_come_in_one_and_the_same_array() -> None:
    graph = residual_network()
    (value,) = graph.inputs
    given = images(graph, 12)

    def reused() -> Iterator[dict[str, np.ndarray]]:
        buffer = np.empty(value.shape, np.float32)
        for image in given:
            buffer[...] = image
            yield {value.name: buffer}

    one, other = calibrate(pack(graph), reused()), calibrate(pack(graph), [{value.name: image} for image in given])
    for name, histogram in one.items():
        np.testing.assert_array_equal(histogram.counts, other[name].counts)


def test_threads_change_nothing() -> None:
    graph = residual_network()
    samples = [{graph.inputs[0].name: x} for x in images(graph, 9)]
    one, three = calibrate(pack(graph), samples, threads=1), calibrate(pack(graph), samples, threads=3)
    for name, histogram in one.items():
        assert histogram.ends == three[name].ends
        np.testing.assert_array_equal(histogram.mean(), three[name].mean())
        np.testing.assert_array_equal(histogram.mean_square(), three[name].mean_square())
        np.testing.assert_array_equal(histogram.counts, three[name].counts)
