"""Which int16 layers need weights of more than eight bits.

With int16 activations, rounding the weights to int8 is nearly all of the noise that is left. A layer may have a second
int8 term, which holds what rounding to the first one left (edgert.quant.rewrite); it costs as much again, in bytes and
in time. So only as many layers get one as it takes to keep the promise of int16: PROMISE above int8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgert.ir import Graph, Node
from edgert.ops import QuantRule
from edgert.quant.forms import rule_of
from edgert.quant.schemes import Activations, Plan, Scheme, Weights, layer_name
from edgert.quant.weights import dequantized, nearest, weight_operands

PROMISE = 20.0  # decibels of the results
MARGIN = 3.0  # as other data are not the samples that this is measured on
_WORTHWHILE = 3.0  # decibels that all second terms together must gain, where they do not reach the promise


def layers_by_noise(graph: Graph, schemes: Mapping[Node, Scheme]) -> list[str]:
    """Names of the weighted int16 layers; first those that add most noise for the bytes that they have."""
    noise: dict[str, float] = {}
    for node in graph.nodes:
        if schemes[node].activations == Activations.INT16 and rule_of(node) == QuantRule.WEIGHTED:
            value = node.inputs[1]
            assert value is not None
            assert value.data is not None
            exact = value.data.astype(np.float64)
            wrong = dequantized(nearest(exact, weight_operands(node)[1], Weights.INT8, None)) - exact
            power = float(np.square(exact).sum())
            noise[layer_name(node)] = float(np.square(wrong).sum()) / power / exact.size if power > 0.0 else 0.0
    return sorted(noise, key=lambda name: -noise[name])  # equal ones in order of execution


def fewest_layers(
    names: Sequence[str], measure: Callable[[tuple[str, ...]], float], plain: float, goal: float
) -> tuple[str, ...]:
    """The shortest beginning of `names` with which the results reach `goal` decibels, by bisection.

    measure: decibels of the results when these layers have second terms; plain: when none has. Where not even all of
    them reach the goal: all, if that gains anything to speak of.
    """
    if plain >= goal or not names:
        return ()
    best = measure(tuple(names))
    if best < goal:
        return tuple(names) if best >= plain + _WORTHWHILE else ()
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
