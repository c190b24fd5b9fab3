"""What it costs to compute a unit of layers in another scheme than the network's: time, size and conversions.

Modelled and not measured: the same model gets the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgert.quant.schemes import Activations, Scheme, Weights
from edgert.quant.units import Network

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
    """Of raising units of a network whose layers are in `base` otherwise."""

    def __init__(self, network: Network, base: Scheme) -> None:
        self._network, self._base = network, base
        units = network.units
        self._layers = sum(len(unit.weighted) or 1 for unit in units) or 1
        self._time = max(sum(unit.work for unit in units) * TIME[base.activations], 1.0)
        self._bytes = max(sum(unit.weights for unit in units) * BYTES[base.weights], 1.0)
        self._other_time = network.fixed_work * TIME[Activations.FLOAT]

    def of(self, unit: int, scheme: Scheme) -> float:
        """Time and weights that the unit takes more, each as a share of the network's, and A_LAYER times its share of
        the layers."""
        if scheme == self._base:
            return 0.0
        this = self._network.units[unit]
        slower = this.work * (TIME[scheme.activations] - TIME[self._base.activations]) / self._time
        larger = this.weights * (BYTES[scheme.weights] - BYTES[self._base.weights]) / self._bytes
        return max(slower, 0.0) + max(larger, 0.0) + A_LAYER * (len(this.weighted) or 1) / self._layers

    def slowdown(self, schemes: Sequence[Scheme]) -> float:
        """Modelled time with a scheme for every unit, against all in the network's own."""
        units = self._network.units
        now = sum(unit.work * TIME[scheme.activations] for unit, scheme in zip(units, schemes, strict=True))
        return (now + self._other_time) / (self._time + self._other_time)

    def more_bytes(self, schemes: Sequence[Scheme]) -> int:
        """By which the weights grow."""
        units = self._network.units
        grown = (
            unit.weights * (BYTES[scheme.weights] - BYTES[self._base.weights])
            for unit, scheme in zip(units, schemes, strict=True)
        )
        return round(sum(grown))
