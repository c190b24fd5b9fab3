"""Which layers need finer weights than a scheme gives them.

With int16 activations, rounding the weights to int8 is nearly all of the noise that is left. A layer may have a second
int8 term, which holds what rounding to the first one left (graph/rewrite.py); it costs as much again, in bytes and
in time. So only as many layers get one as it takes to keep the promise of int16: PROMISE above int8.
Of the layers that int4 is for, some stay int8: as few as it takes to come near to what int8 gives. A narrow network has
no layer to spare that a wide one would not notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgert.ir import Graph, Node
from edgert.ops import QuantRule
from edgert.quant.graph.forms import rule_of
from edgert.quant.rounding.weights import dequantized, nearest, weight_operands
from edgert.quant.schemes import Activations, Plan, Scheme, Weights, layer_name

FOUR_BITS = (Weights.INT4, Weights.INT4_BLOCK)
PROMISE = 20.0  # decibels of the results, of int16 above int8
MARGIN = 3.0  # as other data are not the samples that this is measured on
_WORTHWHILE = 3.0  # decibels that all second terms together must gain, where they do not reach the promise
_GOOD = 26.0  # decibels at which a classifier's decisions are hardly touched
_LOST = 0.5  # decibels that int4 may lose where int8 itself is not that good


def layers_by_noise(graph: Graph, schemes: Mapping[Node, Scheme], wanted: Callable[[Scheme], bool]) -> list[str]:
    """Names of the weighted layers of such schemes; first those whose weights add most noise for their number."""
    noise: dict[str, float] = {}
    for node in graph.nodes:
        if wanted(schemes[node]) and rule_of(node) == QuantRule.WEIGHTED:
            value = node.inputs[1]
            assert value is not None
            assert value.data is not None
            exact = value.data.astype(np.float64)
            wrong = dequantized(nearest(exact, weight_operands(node)[1], schemes[node].weights, None)) - exact
            power = float(np.square(exact).sum())
            noise[layer_name(node)] = float(np.square(wrong).sum()) / power / exact.size if power > 0.0 else 0.0
    return sorted(noise, key=lambda name: -noise[name])  # equal ones in order of execution


def has_two_terms(scheme: Scheme) -> bool:
    """Whether a layer of this scheme may have a second term of weights."""
    return scheme.activations == Activations.INT16


def has_four_bits(scheme: Scheme) -> bool:
    """Whether a layer of this scheme has int4 weights."""
    return scheme.weights in FOUR_BITS


def second_terms(
    names: Sequence[str], measure: Callable[[tuple[str, ...]], float], plain: float, int8: float
) -> tuple[str, ...]:
    """The layers that get a second term of weights, of `names` in this order.

    measure: decibels of the results when these layers have one; plain: when none has; int8: of int8. Where not even
    all of them keep the promise: all, if that gains anything to speak of.
    """
    goal = int8 + PROMISE + MARGIN
    if plain >= goal or not names:
        return ()
    best = measure(tuple(names))
    if best < goal:
        return tuple(names) if best >= plain + _WORTHWHILE else ()
    return _fewest(names, measure, goal)


def spared_layers(names: Sequence[str], measure: Callable[[tuple[str, ...]], float], plain: float) -> tuple[str, ...]:
    """The layers that stay int8 among those of int4, of `names` in this order.

    measure: decibels of the results when these layers are int8; plain: when none is.
    """
    if plain >= _GOOD or not names:
        return ()
    goal = min(_GOOD, measure(tuple(names)) - _LOST)
    return () if plain >= goal else _fewest(names, measure, goal)


def _fewest(names: Sequence[str], measure: Callable[[tuple[str, ...]], float], goal: float) -> tuple[str, ...]:
    """The shortest beginning of `names` with which the results reach the goal, which all of them do; by bisection."""
    low, high = 0, len(names)  # `low` layers are too few, `high` are enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if measure(tuple(names[:middle])) >= goal else (middle, high)
    return tuple(names[:high])


def raised_layers(plan: Plan) -> tuple[str, ...]:
    """The layers that a plan names as int16 among others that are not: they are to lose next to nothing."""
    if plan.default.activations == Activations.INT16:
        return ()
    return tuple(name for name, scheme in plan.layers.items() if scheme.activations == Activations.INT16)
