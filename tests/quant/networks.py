"""Small float networks for the quantiser, and what calibration would see in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from passes.graphs import Maker
from reference_executor import ReferenceExecutor

from edgert.compile import LOWER, run_passes
from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation, ReduceFunction, UnaryFunction
from edgert.pack.writer import write
from edgert.quant.histogram import Histogram

Inputs = Sequence[np.ndarray]


def pack(graph: Graph) -> bytes:
    """A package of a graph, as the pipeline makes it."""
    run_passes(graph, LOWER)
    return write(graph)


def images(graph: Graph, count: int, seed: int = 3) -> list[np.ndarray]:
    """Normal inputs for a graph with one input."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=graph.inputs[0].shape).astype(np.float32) for _ in range(count)]


def observe(graph: Graph, inputs: Inputs) -> dict[str, Histogram]:
    """Histograms of every float32 activation, through the reference and not through the runtime."""
    histograms: dict[str, Histogram] = {}
    for array in inputs:
        for value, seen in ReferenceExecutor(graph).all_values([array]).items():
            if value.dtype == DType.FLOAT32:
                assert histograms.setdefault(value.name, Histogram()).add(seen)
    return histograms


def node(graph: Graph, op: str, which: int = 0) -> Node:
    return [node for node in graph.nodes if node.op == op][which]


def scaled_conv(make: Maker, x: Value, spread: np.ndarray, activation: Activation = Activation.RELU) -> Value:
    """A 1x1 convolution whose output channels are as wide as `spread` says."""
    weights = make.rng.normal(size=(len(spread), 1, 1, x.shape[3])) * spread[:, None, None, None]
    bias = make.rng.normal(size=len(spread)) * spread
    return make.op("conv2d", x, weights.astype(np.float32), bias.astype(np.float32), activation=activation)


def depthwise(make: Maker, x: Value, activation: Activation = Activation.RELU, bias: float = 1.0) -> Value:
    """3x3, with a normal kernel and a normal bias of this deviation."""
    kernel = make.rng.normal(size=(3, 3, x.shape[3])).astype(np.float32)
    margins = {f"pad_{side}": 1 for side in ("top", "left", "bottom", "right")}
    biases = make.rng.normal(size=x.shape[3]).astype(np.float32) * np.float32(bias)
    return make.op("depthwise_conv2d", x, kernel, biases, activation=activation, **margins)


def residual_network(uneven: float = 100.0, activation: Activation = Activation.RELU) -> Graph:
    """Convolutions, depthwise, pool, residual addition, concatenation, flattening and softmax.

    uneven: ratio of the widest to the narrowest channel of its hidden tensors.
    """
    make = Maker(seed=4)
    spread = np.geomspace(1.0, uneven, 8) / uneven * 2.0
    x = make.input(1, 8, 8, 3)
    first = scaled_conv(make, x, spread, activation)
    inner = scaled_conv(make, depthwise(make, first, activation), spread[::-1].copy(), Activation.NONE)
    joined = make.op("add", first, inner, activation=Activation.RELU)
    small = make.op("max_pool2d", joined, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    side = scaled_conv(make, small, spread[:5].copy())
    both = make.op("concat", small, side, axis=3)
    features = scaled_conv(make, both, spread)
    flat = make.op("reshape", features, shape=(1, 128))
    weights = make.rng.normal(size=(4, 128)).astype(np.float32) / 300  # so that the softmax does not saturate
    scores = make.op("fully_connected", flat, weights, make.weights(4))
    return make.outputs(make.op("softmax", scores, axis=1))


def mobile_network(uneven: float = 1.0, size: int = 16, blocks: int = 4, classes: int = 10) -> Graph:
    """Like MobileNetV3: hard-swish, depthwise convolutions, squeeze-excite blocks, linear bottlenecks with residual
    additions, and a classifier. Its weights are random, but for ranges that keep its tensors alive.

    uneven: ratio of the widest to the narrowest channel of what it expands to; the layers that read these make up for
    it, so that the narrow channels matter as much as the wide ones.
    """
    make = Maker(seed=6)
    wide, narrow = 24, 8
    spread = np.geomspace(1.0, uneven, wide) / np.sqrt(uneven)

    def conv(x: Value, outputs: np.ndarray, inputs: np.ndarray, activation: Activation = Activation.NONE) -> Value:
        """1x1, with the scales of its output and input channels."""
        weights = make.rng.normal(size=(len(outputs), 1, 1, len(inputs))) * np.sqrt(2 / len(inputs))
        weights *= outputs[:, None, None, None] / inputs
        bias = make.rng.normal(size=len(outputs)) * 0.1 * outputs
        return make.op("conv2d", x, weights.astype(np.float32), bias.astype(np.float32), activation=activation)

    def gated(x: Value) -> Value:
        mean = make.op("reduce", x, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=True)
        wanted = conv(conv(mean, np.ones(8), spread, Activation.RELU), np.ones(wide), np.ones(8))
        return make.op("mul", x, make.op("unary", wanted, function=UnaryFunction.SIGMOID))

    def filtered(x: Value) -> Value:
        kernel, bias = make.rng.normal(size=(3, 3, wide)) / 2, make.rng.normal(size=wide) * 0.1 * spread
        margins = {f"pad_{side}": 1 for side in ("top", "left", "bottom", "right")}
        arrays = kernel.astype(np.float32), bias.astype(np.float32)
        return make.op("depthwise_conv2d", x, *arrays, activation=Activation.RELU, **margins)

    x = conv(make.input(1, size, size, 3), np.ones(narrow), np.ones(3), Activation.RELU)
    for _ in range(blocks):
        hidden = filtered(conv(x, spread, np.ones(narrow), Activation.RELU))
        x = make.op("add", x, conv(gated(hidden), np.ones(narrow), spread))
    features = make.op("unary", conv(x, np.ones(32), np.ones(narrow)), function=UnaryFunction.HARD_SWISH)
    mean = make.op("reduce", features, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=False)
    weights = make.rng.normal(size=(classes, 32)).astype(np.float32)
    return make.outputs(make.op("softmax", make.op("fully_connected", mean, weights, make.weights(classes)), axis=1))


def photo_like(graph: Graph, count: int, seed: int = 8) -> list[dict[str, np.ndarray]]:
    """Smooth images of differing contrast and colour, so that a network's answers differ."""
    rng = np.random.default_rng(seed)
    (value,) = graph.inputs
    _, height, width, channels = value.shape
    y, x = np.mgrid[:height, :width] / height
    made = []
    for _ in range(count):
        waves = rng.normal(size=(4, 4))
        plane = sum(a * np.sin(2 * np.pi * (b * y + c * x) + d) for a, b, c, d in waves)
        colour = rng.normal(size=(2, channels))
        made.append({value.name: (plane[..., None] * colour[0] + colour[1])[None].astype(np.float32)})
    return made
