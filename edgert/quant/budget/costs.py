"""What it costs to compute a unit of layers in a more exact scheme: time, size and conversions.

Modelled and not measured: the same model gets the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgert.quant.budget.units import Network
from edgert.quant.schemes import Activations, Scheme, Weights

# Time of a multiply-add against int8's: what this project's kernels take on x86-64 with dot products, for convolutions
# of 28x28x128 and the like. int16 with int8 weights has no dot product to use, and float has four lanes for int8's
# sixteen and its own fused multiply-add.
TIME: Mapping[Activations, float] = {Activations.INT8: 1.0, Activations.FLOAT: 4.0, Activations.INT16: 12.0}
BYTES: Mapping[Weights, float] = {
    Weights.INT4: 0.5,
    Weights.INT4_BLOCK: 0.5 + 1 / 32,
    Weights.INT8: 1.0,
    Weights.FLOAT16: 2.0,
    Weights.FLOAT32: 4.0,
}
# Weight of a layer's share of all layers beside its shares of time and size, each of which grows by three times of
# itself when a layer becomes float. A raised layer is one that converts what it reads and writes, that no kernel fuses
# with its neighbours, and that a device without float arithmetic cannot run at speed: few are better than cheap ones.
A_LAYER = 6.0


class Costs:
    """Of raising units of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        units = network.units
        self._layers = sum(len(unit.weighted) or 1 for unit in units) or 1
        self._time = max(sum(unit.work * TIME[unit.scheme.activations] for unit in units), 1.0)
        self._bytes = max(sum(unit.weights * BYTES[unit.scheme.weights] for unit in units), 1.0)
        self._other_time = network.fixed_work * TIME[Activations.FLOAT]

    def of(self, unit: int, level: int) -> float:
        """Time and weights that the unit takes more on a step, each as a share of the network's, and A_LAYER times its
        share of the layers."""
        if level == 0:
            return 0.0
        slower = (self._time_of(unit, level) - self._time_of(unit, 0)) / self._time
        larger = (self._bytes_of(unit, level) - self._bytes_of(unit, 0)) / self._bytes
        layers = len(self._network.units[unit].weighted) or 1
        return max(slower, 0.0) + max(larger, 0.0) + A_LAYER * layers / self._layers

    def slowdown(self, levels: Sequence[int]) -> float:
        """Modelled time with every unit on its step, against none raised."""
        now = sum(self._time_of(unit, level) for unit, level in enumerate(levels))
        return (now + self._other_time) / (self._time + self._other_time)

    def more_bytes(self, levels: Sequence[int]) -> int:
        """By which the weights grow."""
        grown = (self._bytes_of(unit, level) - self._bytes_of(unit, 0) for unit, level in enumerate(levels))
        return round(sum(grown))

    def _time_of(self, unit: int, level: int) -> float:
        this, scheme = self._network.units[unit], self._network.scheme(unit, level)
        return this.work * TIME[scheme.activations] * self._terms(scheme, level)

    def _bytes_of(self, unit: int, level: int) -> float:
        this, scheme = self._network.units[unit], self._network.scheme(unit, level)
        return this.weights * BYTES[scheme.weights] * self._terms(scheme, level)

    def _terms(self, scheme: Scheme, level: int) -> int:
        """Of weights: a layer that is raised to int16 has two, as rounding to one would limit it."""
        return 2 if level and scheme.activations == Activations.INT16 else 1
