"""What each layer computes in and how its weights are stored."""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgert.errors import InputError
from edgert.ir import Graph, Node


class Activations(enum.Enum):
    """What a layer reads and writes."""

    FLOAT = "float32"
    INT8 = "int8"
    INT16 = "int16"


class Weights(enum.Enum):
    """How a layer's weights are stored. They are expanded when a model is opened, to what its kernels compute with."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"  # a scale for every output channel
    INT4 = "int4"  # the same, in [-7, 7]
    INT4_BLOCK = "int4-block"  # and a multiplier for every 32 of its weights


@dataclass(frozen=True)
class Scheme:
    """One of SCHEMES."""

    activations: Activations
    weights: Weights

    @property
    def name(self) -> str:
        return next(name for name, scheme in SCHEMES.items() if scheme == self)


FLOAT = Scheme(Activations.FLOAT, Weights.FLOAT32)
INT8 = Scheme(Activations.INT8, Weights.INT8)
INT16 = Scheme(Activations.INT16, Weights.INT8)
# By the names that people give.
SCHEMES: Mapping[str, Scheme] = {
    "int8": INT8,
    "int16": INT16,
    "int4": Scheme(Activations.INT8, Weights.INT4),
    "int4-block": Scheme(Activations.INT8, Weights.INT4_BLOCK),
    "dynamic": Scheme(Activations.FLOAT, Weights.INT8),
    "dynamic-int4": Scheme(Activations.FLOAT, Weights.INT4),
    "dynamic-int4-block": Scheme(Activations.FLOAT, Weights.INT4_BLOCK),
    "float16": Scheme(Activations.FLOAT, Weights.FLOAT16),
    "float": FLOAT,
}


def scheme_of(name: str) -> Scheme:
    """The scheme of this name; InputError lists those that there are."""
    if name not in SCHEMES:
        raise InputError(f"there is no scheme {name!r}; needed one of {', '.join(SCHEMES)}")
    return SCHEMES[name]


def layer_name(node: Node) -> str:
    """What a layer is called: its first output's name, which is its own, as node names need not be."""
    return node.outputs[0].name if node.outputs else node.name


@dataclass(frozen=True)
class Plan:
    """A scheme for all layers, and exceptions by layer_name."""

    default: Scheme = INT8
    layers: Mapping[str, Scheme] = field(default_factory=dict)

    def of(self, node: Node) -> Scheme:
        return self.layers.get(layer_name(node), self.default)

    @property
    def calibrates(self) -> bool:
        """Whether any layer's activations are integers, whose ranges only samples tell."""
        return any(scheme.activations != Activations.FLOAT for scheme in (self.default, *self.layers.values()))

    def names(self, node: Node) -> bool:
        """Whether the node is an exception."""
        return layer_name(node) in self.layers

    def changed(self, layers: Iterable[str], scheme: Scheme) -> Plan:
        """This plan with another scheme for some layers."""
        return Plan(self.default, {**self.layers, **dict.fromkeys(layers, scheme)})


def plan_of(graph: Graph, default: str, exceptions: Mapping[str, str]) -> Plan:
    """A plan from names of schemes; exceptions by a pattern (fnmatch) of the layer's name or of its source node's.

    Later patterns go before earlier ones. Raises InputError for an unknown scheme and for a pattern that fits no layer.
    """
    layers: dict[str, Scheme] = {}
    for pattern, name in exceptions.items():
        scheme = scheme_of(name)
        found = [
            layer_name(node)
            for node in graph.nodes
            if node.outputs and any(fnmatch.fnmatchcase(text, pattern) for text in (layer_name(node), node.name))
        ]
        if not found:
            raise InputError(f"no layer is called {pattern!r}; the model has such as {_some_names(graph)}")
        layers.update(dict.fromkeys(found, scheme))
    return Plan(scheme_of(default), layers)


def _some_names(graph: Graph) -> str:
    weighted = [node for node in graph.nodes if len(node.inputs) > 1 and node.outputs]
    return ", ".join(layer_name(node) for node in weighted[:3]) or "none"
