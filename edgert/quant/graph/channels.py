"""Which channels of which tensors can be rescaled together without changing what a float network computes.

A channel may be divided by s > 0 where it is written and multiplied by s where it is read. Weighted operators can do
both in their weights. Operators that are positively homogeneous, f(s x) = s f(x), and keep channels apart pass the
factor on, which ties the channels of their inputs and outputs to one another. Everything else, and the graph's inputs
and outputs, needs the true values, which pins a channel to s = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation, ReduceFunction, UnaryFunction

_LINEAR = (Activation.NONE, Activation.RELU)
_HOMOGENEOUS = (UnaryFunction.RELU, UnaryFunction.LEAKY_RELU, UnaryFunction.ABS, UnaryFunction.NEG)
_RELU6_END = 6.0
_NEAR_END = 0.999  # of the clip: what comes closer counts as clipped


class ChannelTies:
    """Disjoint sets of channels (union-find over all channels of all float32 activations, the last axis of each)."""

    def __init__(self, graph: Graph, reach: Mapping[Value, NDArray[np.float64]]) -> None:
        """reach: largest magnitude of every channel on the calibration samples, by value."""
        self._first: dict[Value, int] = {}
        self._count = 1  # 0 is the pinned set
        self.values: list[Value] = []
        for value in graph.values():
            if value.dtype == DType.FLOAT32 and not value.constant:
                self._first[value] = self._count
                self._count += _channels(value)
                self.values.append(value)
        self._parent = list(range(self._count))
        self._reach = reach
        for value in (*graph.inputs, *graph.outputs):
            self._pin(value)
        for node in graph.nodes:
            self._tie(node)

    def sets(self, value: Value) -> NDArray[np.int64]:
        """The set of every channel of a value; 0 is the pinned set, whose channels keep their scale."""
        first = self._first[value]
        return np.array([self._find(first + i) for i in range(_channels(value))], np.int64)

    @property
    def bound(self) -> int:
        """Every set's number is less than this."""
        return self._count

    def _find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def _join(self, a: int, b: int) -> None:
        a, b = self._find(a), self._find(b)
        self._parent[max(a, b)] = min(a, b)  # so that whatever touches the pinned set becomes it

    def _pin(self, value: Value | None) -> None:
        if value in self._first:
            for i in range(_channels(value)):
                self._join(self._first[value] + i, 0)

    def _join_all(self, a: Value | None, b: Value, at: int = 0) -> None:
        """Ties channel i of a to channel at + i of b, counted round where b has more channels."""
        if a not in self._first or b not in self._first:
            self._pin(a)
            self._pin(b)
            return
        for i in range(_channels(a)):
            self._join(self._first[a] + i, self._first[b] + at + i)

    def _tie(self, node: Node) -> None:
        if node.op in _WEIGHTED and all(v is None or v.constant for v in node.inputs[1:]):
            self._clip(node)
            return
        rule = _TIES.get(node.op)
        if rule is None or not rule(self, node):
            for value in (*node.inputs, *node.outputs):
                self._pin(value)
        else:
            self._clip(node)

    def _clip(self, node: Node) -> None:
        """A clip at a constant pins the channels that reach it on the calibration samples; the others never feel it,
        and still do not when equalisation brings none of them beyond what the tensor's largest channel reaches."""
        activation = node.attrs.get("activation", Activation.NONE)
        if node.op == "unary" and node.attrs["function"] == UnaryFunction.RELU6:
            activation = Activation.RELU6
        if activation in _LINEAR:
            return
        value = node.output
        reach = self._reach.get(value)
        if activation != Activation.RELU6 or reach is None:
            self._pin(value)
            return
        for i in np.flatnonzero(reach >= _RELU6_END * _NEAR_END):
            self._join(self._first[value] + int(i), 0)


def _channels(value: Value) -> int:
    return value.shape[-1] if value.shape else 1


def _same_shape(ties: ChannelTies, node: Node) -> bool:
    """add, sub: every input has the output's channels."""
    if any(value is None or value.constant or value.shape != node.output.shape for value in node.inputs):
        return False
    for value in node.inputs:
        ties._join_all(value, node.output)
    return True


def _spatial(ties: ChannelTies, node: Node) -> bool:
    """Operators that treat every channel alike and keep it where it is."""
    ties._join_all(node.inputs[0], node.output)
    return True


def _pad(ties: ChannelTies, node: Node) -> bool:
    channels_stay = node.attrs["before"][-1] == 0 and node.attrs["after"][-1] == 0
    return channels_stay and node.attrs.get("value", 0.0) == 0.0 and _spatial(ties, node)


def _unary(ties: ChannelTies, node: Node) -> bool:
    return node.attrs["function"] in (*_HOMOGENEOUS, UnaryFunction.RELU6) and _spatial(ties, node)


def _prelu(ties: ChannelTies, node: Node) -> bool:
    slope = node.inputs[1]
    return slope is not None and slope.constant and _spatial(ties, node)


def _mul(ties: ChannelTies, node: Node) -> bool:
    """A product passes the first factor's scale on; the other, a gate or a constant, keeps its own."""
    larger, smaller = node.inputs
    assert larger is not None
    assert smaller is not None
    if larger.constant or math.prod(larger.shape) < math.prod(smaller.shape):
        larger, smaller = smaller, larger
    if larger.constant or larger.shape != node.output.shape:
        return False
    ties._pin(smaller)
    ties._join_all(larger, node.output)
    return True


def _reduce(ties: ChannelTies, node: Node) -> bool:
    source = node.inputs[0]
    assert source is not None
    last = len(source.shape) - 1
    axes = {axis % len(source.shape) for axis in node.attrs.get("axes", ())}
    linear = node.attrs["function"] in (ReduceFunction.MEAN, ReduceFunction.SUM, ReduceFunction.MAX)
    return linear and last not in axes and _spatial(ties, node)


def _concat(ties: ChannelTies, node: Node) -> bool:
    axis = node.attrs.get("axis", 0) % len(node.output.shape)
    if any(value is None or value.constant for value in node.inputs):
        return False
    at = 0
    for value in node.inputs:
        assert value is not None
        ties._join_all(value, node.output, at)
        at += value.shape[-1] if axis == len(node.output.shape) - 1 else 0
    return True


def _reshape(ties: ChannelTies, node: Node) -> bool:
    """The last axis stays, or a flattened one takes its channels in turn: feature j is channel j modulo channels."""
    source = node.inputs[0]
    assert source is not None
    channels, wide = _channels(source), _channels(node.output)
    trailing = np.cumprod(source.shape[::-1]).tolist()
    if channels == 0 or wide not in trailing:
        return False
    for at in range(0, wide, channels):
        ties._join_all(source, node.output, at)
    return True


_WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected")
_TIES: Mapping[str, Callable[[ChannelTies, Node], bool]] = {
    "add": _same_shape,
    "sub": _same_shape,
    "max_pool2d": _spatial,
    "average_pool2d": _spatial,
    "resize": _spatial,
    "copy": _spatial,
    "pad": _pad,
    "unary": _unary,
    "prelu": _prelu,
    "mul": _mul,
    "reduce": _reduce,
    "concat": _concat,
    "reshape": _reshape,
}
