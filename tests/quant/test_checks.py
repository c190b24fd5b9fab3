"""Bad calibration data are named; good data are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_inputs
import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import depthwise, pack, scaled_conv

from edgert.compile import optimise
from edgert.errors import InputError
from edgert.importers import formats
from edgert.ir import Graph
from edgert.ops._enums import Activation
from edgert.quant.quantize import Quantizer

Samples = list[dict[str, np.ndarray]]
PIXELS = ((127.5,), (127.5,))


def warnings(graph: Graph, samples: Samples, normalisation: Any = ((), ())) -> str:
    return " ".join(Quantizer(graph, samples, pack, normalisation=normalisation).warnings)


def of_array(graph: Graph, arrays: Any) -> Samples:
    (value,) = graph.inputs
    return [{value.name: np.asarray(array, np.float32).reshape(value.shape)} for array in arrays]


def photos(count: int, size: int = 16, seed: int = 8) -> list[np.ndarray]:
    """Smooth images of differing contrast and colour: [H, W, 3], from -1 to 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    made = []
    for _ in range(count):
        plane = sum(a * np.sin(2 * np.pi * (b * y + c * x) + d) for a, b, c, d in rng.normal(size=(4, 4)))
        colour = rng.normal(size=(2, 3))
        made.append(np.tanh(np.asarray(plane)[..., None] * colour[0] + colour[1]))
    return made


def relu6_network() -> Graph:
    make = Maker(seed=5)
    hidden = make.input(1, 16, 16, 3)
    for channels in (8, 8):
        wide = scaled_conv(make, hidden, np.ones(channels) * 0.7, Activation.RELU6)
        hidden = depthwise(make, wide, Activation.RELU6)
    mean = make.op("reduce", hidden, function=0, axes=(1, 2), keep_dims=False)
    return make.outputs(make.op("fully_connected", mean, make.weights(4, 8), make.weights(4)))


def test_good_samples_are_not_named() -> None:
    graph = relu6_network()
    assert warnings(graph, of_array(graph, photos(24)), PIXELS) == ""


def test_few_samples() -> None:
    graph = relu6_network()
    assert "Only 1 calibration sample: what other data reach" in warnings(graph, of_array(graph, photos(1)))
    assert "Only 5 calibration samples" in warnings(graph, of_array(graph, photos(5)))


def test_constant_samples() -> None:
    graph = relu6_network()
    images = photos(20)
    images[3], images[11] = np.full((16, 16, 3), 0.5), np.zeros((16, 16, 3))
    assert "Calibration samples 4, 12 are one value throughout" in warnings(graph, of_array(graph, images))
    with pytest.raises(InputError, match="all 20 calibration samples are one constant value throughout"):
        warnings(graph, of_array(graph, [np.zeros((16, 16, 3))] * 20))
    with pytest.raises(InputError, match="the calibration sample is one constant value"):
        warnings(graph, of_array(graph, [np.ones((16, 16, 3))]))


def test_repeated_samples() -> None:
    graph = relu6_network()
    found = warnings(graph, of_array(graph, photos(5) * 6))
    assert "Of 30 calibration samples only 5 differ: sample 6 is the same as sample 1" in found
    assert warnings(graph, of_array(graph, [*photos(20), *photos(3)])) == ""  # a few do no harm


def test_pixels_that_are_not_normalised_as_stated() -> None:
    graph = relu6_network()
    pixels = [127.5 * image + 127.5 for image in photos(20)]
    found = warnings(graph, of_array(graph, pixels), PIXELS)
    assert "the stated normalisation makes -1 to 1 of pixels: normalise the samples" in found
    twice = [(image - 127.5) / 127.5 for image in photos(20)]
    assert "seem to be normalised twice" in warnings(graph, of_array(graph, twice), PIXELS)


def test_pixels_in_wrong_units_without_a_stated_normalisation() -> None:
    graph = relu6_network()
    pixels = [127.5 * image + 127.5 for image in photos(20)]
    assert "A ReLU6 clips" in warnings(graph, of_array(graph, pixels))

    make = Maker(seed=5)  # trained on 0 to 255
    hidden = scaled_conv(make, make.input(1, 16, 16, 3), np.full(8, 0.01))
    hidden = scaled_conv(make, hidden, np.full(8, 0.5))
    mean = make.op("reduce", hidden, function=0, axes=(1, 2), keep_dims=False)
    graph = make.outputs(make.op("fully_connected", mean, make.weights(4, 8), make.weights(4)))
    assert warnings(graph, of_array(graph, pixels)) == ""
    small = [image / 255.0 for image in pixels]
    assert "almost the same results for all calibration samples" in warnings(graph, of_array(graph, small))


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_that_were_reshaped_and_not_transposed(channels_last: bool) -> None:
    make = Maker(seed=5)
    if channels_last:
        x = given = make.input(1, 16, 16, 3)
    else:
        given = make.input(1, 3, 16, 16)
        x = make.transpose(given, 0, 2, 3, 1)
    graph = make.outputs(scaled_conv(make, x, np.ones(4), Activation.NONE))
    right = [image if channels_last else image.transpose(2, 0, 1) for image in photos(20)]
    wrong = [image.transpose(2, 0, 1) if channels_last else image for image in photos(20)]
    assert warnings(graph, of_array(graph, right)) == ""
    found = warnings(graph, of_array(graph, wrong))
    assert f"Input {given.name!r} takes images as {'[H, W, C]' if channels_last else '[C, H, W]'}" in found
    assert "transpose them, reshaping does not" in found


GOOD: dict[str, Callable[[Any], Any]] = {
    "tflite/ic_resnet8_float.tflite": lambda find: [image for image, _ in model_inputs.cifar(find)][:40],
    "tflite/vww_mnv1_float.tflite": lambda find: [image / 255.0 for image, _ in model_inputs.person(find)][:40],
    "tflite/mobilenet_v1_0.25_224_float.tflite": lambda find: [
        (image - 127.5) / 127.5 for image in model_inputs.photos(find, 224, 224)
    ][:20],
}


@pytest.mark.parametrize("name", list(GOOD))
def test_shared_data_raise_no_false_alarm(name: str, shared_data: Callable[[str], Path]) -> None:
    _, graph = formats.load(shared_data(name), None, {})
    optimise(graph)
    assert warnings(graph, of_array(graph, GOOD[name](shared_data))) == ""


def test_shared_data_in_wrong_units(shared_data: Callable[[str], Path]) -> None:
    expected = {
        "tflite/mobilenet_v1_0.25_224_float.tflite": "A ReLU6 clips",
        "tflite/ic_resnet8_float.tflite": "almost the",
    }
    for name, words in expected.items():
        _, graph = formats.load(shared_data(name), None, {})
        optimise(graph)
        images = [
            image * 127.5 + 127.5 if words.startswith("A") else image / 255.0 for image in GOOD[name](shared_data)
        ]
        assert words in warnings(graph, of_array(graph, images))
