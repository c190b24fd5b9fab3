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
from edgert.quant.graph.clone import clone
from edgert.quant.observe.histogram import Histogram
from edgert.quant.observe.measure import run_all

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


def headed_network(classes: int) -> Graph:
    """A convolution, an average, and a fully connected layer, which is small beside it for a few classes."""
    make = Maker(seed=3)
    hidden = scaled_conv(make, make.input(1, 8, 8, 16), np.ones(32))
    mean = make.op("reduce", hidden, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=False)
    return make.outputs(make.op("fully_connected", mean, make.weights(classes, 32), make.weights(classes)))


def mobile_network(uneven: float = 1.0, size: int = 16, blocks: int = 4) -> Graph:
    """Like MobileNetV3 without its head: hard-swish, depthwise convolutions, squeeze-excite blocks, linear bottlenecks
    with residual additions, and an average. Its weights are random, but for ranges that keep its tensors alive.

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
    features = make.op("unary", conv(x, np.ones(64), np.ones(narrow)), function=UnaryFunction.HARD_SWISH)
    return make.outputs(make.op("reduce", features, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=False))


Labelled = tuple[list[dict[str, np.ndarray]], list[int]]


def trained(features: Graph, count: int, measured: int, classes: int = 10, seed: int = 8) -> tuple[Graph, Labelled]:
    """A classifier on a network's features [1, N], its head fitted by ridge regression to `count` images, and
    `measured` other images with their classes: smooth patterns, one a class, of differing contrast under noise."""
    rng = np.random.default_rng(seed)
    (value,) = features.inputs
    _, height, width, channels = value.shape
    y, x = np.mgrid[:height, :width, :1][:2] / height
    waves = rng.normal(size=(classes, 4, 3, channels))
    patterns = [sum(np.sin(2 * np.pi * (b * y + c * x) + d) for b, c, d in waves[k]) for k in range(classes)]
    labels = [int(label) for label in rng.integers(0, classes, count + measured)]
    samples = []
    for label in labels:
        noise = rng.normal(size=patterns[label].shape)
        image = patterns[label] * rng.uniform(0.4, 1.6) + noise * rng.uniform(0.4, 1.6)
        samples.append({value.name: image[None].astype(np.float32)})
    seen = np.concatenate([run[0] for run in np.split(run_all(pack(clone(features)), samples[:count])[0], count)])
    middle, wide = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    normal = (seen - middle) / wide
    wanted = np.eye(classes)[labels[:count]] - 1 / classes
    solved = np.linalg.solve(normal.T @ normal + np.eye(normal.shape[1]) * 0.01 * count, normal.T @ wanted)
    weights = 20 * (solved / wide[:, None]).T
    make = Maker()
    make.graph, make.count = clone(features), 1000
    head = weights.astype(np.float32), (-weights @ middle).astype(np.float32)
    graph = make.outputs(make.op("softmax", make.op("fully_connected", make.graph.outputs[0], *head), axis=1))
    return graph, (samples[count:], labels[count:])
