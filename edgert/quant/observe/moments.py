"""What the weights of a layer are multiplied with: second moments of its inputs on calibration samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Graph, Node
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.ops._conv import taps
from edgert.quant.graph.forms import rule_of
from edgert.quant.observe.samples import Sample
from edgert.runtime.model import Model
from edgert.runtime.tensors import tensor_array, tensor_info

_ROWS = 4096  # windows by which a layer is known, or a few more
_TOGETHER = 256  # windows that are kept before they are multiplied
_MOST_ELEMENTS = 1 << 25  # of the moments of one layer: 128 MiB
_SEED = 5

Moments = dict[str, NDArray[np.float32]]


def input_moments(graph: Graph, package: bytes, samples: Sequence[Sample]) -> Moments:
    """By the name of its output, for every weighted layer of a float graph: the covariance of the windows of its
    input, [groups, K, K].

    package: of the graph. samples: inputs by name, one run each. K: weights of an output channel, in the order of
    their elements; groups: of a convolution, channels of a depthwise one. Of each sample some windows are drawn, the
    same ones each time; padding counts as the zeros that it is. Layers with too large a K have none.
    """
    readers: dict[str, list[_Layer]] = {}
    for node in graph.nodes:
        layer = _layer_of(node)
        if layer is not None and node.inputs[0] is not None:
            readers.setdefault(node.inputs[0].name, []).append(layer)
    rows = -(-_ROWS // max(1, len(samples)))
    model = Model(package)
    session, native = model.session, model.session.model
    written = [[(tensor_info(session, i).name, i) for i in native.op(op)[3]] for op in range(native.op_count)]
    for number, sample in enumerate(samples):
        random = np.random.default_rng((_SEED, number))
        for info in model.inputs:
            array = info.checked(sample[info.name], "input")
            model.view(info.name)[...] = array
            for layer in readers.get(info.name, ()):
                layer.add(np.asarray(array, np.float32), rows, random)
        session.rewind()
        while (step := session.step()) is not None:
            for name, index in written[step]:
                for layer in readers.get(name, ()):
                    layer.add(tensor_array(session, index), rows, random)
    layers = [layer for several in readers.values() for layer in several]
    return {layer.node.outputs[0].name: layer.covariance() for layer in layers if layer.count > 0}


class _Layer:
    """Adds up one layer's windows."""

    def __init__(self, node: Node, groups: int, columns: int) -> None:
        self.node = node
        self.count = 0
        self._groups = groups
        self._products = np.zeros((groups, columns, columns))
        self._sums = np.zeros((groups, columns))
        self._waiting: list[NDArray[np.float32]] = []

    def add(self, x: NDArray[Any], rows: int, random: np.random.Generator) -> None:
        """Some windows of one input: `rows`, or all that there are."""
        windows = self._windows(x)
        positions = math.prod(windows.shape[:-3])
        chosen = np.arange(positions) if positions <= rows else np.sort(random.choice(positions, rows, replace=False))
        places = np.unravel_index(chosen, windows.shape[:-3])
        picked = windows[places]  # [rows, KH, KW, C]
        by_group = picked.reshape(*picked.shape[:3], self._groups, -1).transpose(3, 0, 1, 2, 4)
        self._waiting.append(np.ascontiguousarray(by_group).reshape(self._groups, len(picked), -1))
        self.count += len(picked)
        if sum(part.shape[1] for part in self._waiting) >= _TOGETHER:
            self._multiply()

    def _windows(self, x: NDArray[Any]) -> NDArray[Any]:
        """[..., KH, KW, C]; a vector is a window of one place."""
        weights = self.node.inputs[1]
        assert weights is not None
        if self.node.op == "fully_connected":
            return x.reshape(-1, 1, 1, x.shape[-1])
        height, width = weights.shape[1:3] if self.node.op == "conv2d" else weights.shape[:2]
        return taps(x, height, width, OPS_BY_NAME[self.node.op].complete(self.node.attrs), 0)

    def _multiply(self) -> None:
        # In float64, so that what is left of the order of additions does not survive the rounding to float32.
        rows = np.concatenate(self._waiting, axis=1).astype(np.float64)
        self._waiting.clear()
        self._products += rows.transpose(0, 2, 1) @ rows
        self._sums += rows.sum(axis=1)

    def covariance(self) -> NDArray[np.float32]:
        if self._waiting:
            self._multiply()
        mean = self._sums / self.count
        return (self._products / self.count - mean[:, :, None] * mean[:, None, :]).astype(np.float32)


def _layer_of(node: Node) -> _Layer | None:
    if rule_of(node) != QuantRule.WEIGHTED:
        return None
    x, weights = node.inputs[0], node.inputs[1]
    assert x is not None
    assert weights is not None
    columns = math.prod(weights.shape[:2]) if node.op == "depthwise_conv2d" else math.prod(weights.shape[1:])
    groups = x.shape[-1] if node.op == "depthwise_conv2d" else int(node.attrs.get("groups", 1))
    return _Layer(node, groups, columns) if groups * columns * columns <= _MOST_ELEMENTS else None
