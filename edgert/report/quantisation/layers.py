"""How far a quantised model's tensors lie from the float model's, layer by layer.

Every tensor is compared twice. As the model runs: with all the error that the layers before it brought in. And by
itself: the layer is given the float model's values, so that what differs is this layer's own doing, the rounding of its
inputs, weights and result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgert.errors import InputError
from edgert.report.compare import Difference
from edgert.report.quantisation.twins import Pair, PairedSample, Twins, Variables, set_inputs, steps

Visit = Callable[[Pair], None]


@dataclass(frozen=True)
class LayerDifference:
    """One layer of the quantised model. order: its place among those compared, in the order of execution. difference:
    as the model runs; own: on the float model's values."""

    order: int
    pair: Pair
    operator: str
    node: str  # the source node's name
    difference: Difference
    own: Difference

    def as_json(self) -> dict[str, object]:
        """Infinities as None: JSON has none."""
        return {
            **self.difference.as_json(),
            "order": self.order,
            "operator": self.operator,
            "index": self.pair.op,
            "node": self.node,
            "dtype": self.pair.rounded.dtype.numpy_name,
            "rescaled": self.pair.rescaled,
            "own_sqnr_db": self.own.as_json()["sqnr_db"],
            "own_cosine": self.own.cosine,
        }


def compare_layers(
    twins: Twins, samples: Iterable[PairedSample], visit: Visit | None = None
) -> tuple[list[LayerDifference], int]:
    """Compares every first pair of the twins on the samples; returns them in the order of execution, and how many
    samples there were.

    visit: called with every first pair of each sample while both models hold its values, as the models run. State
    (variables) flows from one sample to the next. Raises InputError when there is no sample, or one does not fit.
    """
    running = {pair: Difference(pair.name) for pair in twins.first}
    alone = {pair: Difference(pair.name) for pair in twins.first}
    by_op: dict[int, list[Pair]] = {}
    for pair in twins.pairs:
        by_op.setdefault(pair.op, []).append(pair)
    variables = Variables(twins)
    twins.restart()
    count = 0
    for mine, theirs in samples:
        given = variables.exact_state()
        twins.exact.run(mine)
        twins.rounded.run(theirs)
        for pair in twins.first:
            running[pair].add(twins.exact_values(pair), twins.rounded_values(pair))
            if visit is not None:
                visit(pair)
        after = variables.state()
        variables.restore_exact(given)
        set_inputs(twins.rounded, theirs)
        for op in steps(twins.rounded):
            for pair in by_op.get(op, ()):
                if pair.first:
                    alone[pair].add(twins.exact_values(pair), twins.rounded_values(pair))
                twins.overwrite_rounded(pair)
        variables.restore(after)
        count += 1
    if count == 0:
        raise InputError("the data hold no sample to compare on")
    native = twins.rounded.session.model
    return [
        LayerDifference(order, pair, *native.op(pair.op)[:2], running[pair], alone[pair])
        for order, pair in enumerate(twins.first)
    ], count


def _worst_first(value: float) -> float:
    """Of something that is better when larger: NaN is the worst."""
    return -math.inf if math.isnan(value) else value


# What layers can be ranked by, the worst first.
ORDERS: dict[str, Callable[[LayerDifference], float]] = {
    "sqnr": lambda layer: _worst_first(layer.difference.sqnr_db),
    "cosine": lambda layer: _worst_first(layer.difference.cosine),
    "own": lambda layer: _worst_first(layer.own.sqnr_db),
    "order": lambda layer: layer.order,
}


def ranked(layers: Iterable[LayerDifference], by: str) -> list[LayerDifference]:
    """The worst first, or in the order of execution; equal ones stay in that order. by: one of ORDERS."""
    return sorted(layers, key=lambda layer: (ORDERS[by](layer), layer.order))


COLUMNS = ("#", "tensor", "operator", "type", "SQNR dB", "cosine", "own SQNR dB", "max |a-b|", "different")


def row(layer: LayerDifference) -> list[str]:
    """For COLUMNS; a star stands at the type where channels were rescaled and are compared by their shape."""
    name, sqnr, cosine, largest, different = layer.difference.row()
    dtype = layer.pair.rounded.dtype.numpy_name
    return [
        str(layer.order), name, layer.operator, f"{dtype}*" if layer.pair.rescaled else dtype,
        sqnr, cosine, f"{layer.own.sqnr_db:.1f}", largest, different,
    ]  # fmt: skip
