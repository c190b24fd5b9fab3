"""What the Keras handlers work with: a layer, its configuration made readable, and one call of it.

A handler is a function (builder, call) -> Value, or a list of them. Configurations come from a file: an accessor
raises ModelError for a value that is not of the kind which is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgert.custom import CustomOp, custom_op_of_source
from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.ir import Value

LARGEST = 1 << 31


@dataclass(frozen=True)
class Origin:
    """Which Keras wrote the file."""

    version: int  # 1, 2 or 3
    backend: str  # "tensorflow", "theano", "cntk", "torch", "jax"; "" where the file does not say
    release: str = ""  # "2.3.1", "2.4.0-tf"
    channels_first: bool = False  # what layers mean which do not say (padding, cropping and upsampling in Keras 1)


@dataclass(eq=False)
class Layer:
    """A layer, an operation of keras.ops or of TensorFlow, or a model within a model.

    kind: its class, as Keras 2 and 3 call it. path: its name behind those of the models that it stands in.
    children: layers that it is made of, by role ("layer", "cell", "query" ...), in Keras' order of their weights.
    weights: reads each of its own variables, by name; files.py fills it.
    """

    kind: str
    name: str
    path: str
    config: Mapping[str, Any]
    origin: Origin
    children: dict[str, Layer] = field(default_factory=dict)
    body: Model | None = None
    weights: dict[str, Callable[[], Array]] = field(default_factory=dict)
    read: dict[str, Array] = field(default_factory=dict)
    folder: str = ""  # its class, as the file calls it
    operation: bool = False  # of keras.ops: no layer
    custom: bool = False  # its class is not one of Keras' own

    def weight(self, name: str) -> Array:
        """One of its variables, by name."""
        if name not in self.read:
            if name not in self.weights:
                raise ModelError(f"the file holds no {name!r} for it")
            data = self.weights[name]()
            if data.dtype.kind != "f":
                raise RefusedError(
                    f"its {name} is {data.dtype.name}: Keras has quantised it",
                    "save the model before model.quantize(), and have edgert quantise it",
                )
            self.read[name] = data
        return self.read[name]

    def optional(self, name: str) -> Array | None:
        return self.weight(name) if name in self.weights or name in self.read else None

    # Configuration

    def get(self, name: str, default: Any = None) -> Any:
        found = self.config.get(name)
        return default if found is None else found

    def integer(self, name: str, default: int | None = None) -> int:
        found = self.get(name, default)
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if isinstance(found, (list, tuple)) and len(found) == 1:
            found = found[0]
        if isinstance(found, bool) or not isinstance(found, int) or abs(found) >= LARGEST:
            raise ModelError(f"{name} is {found!r}, needed an integer")
        return found

    def number(self, name: str, default: float | None = None) -> float:
        found = self.get(name, default)
        if isinstance(found, Mapping) and found.get("class_name") == "__numpy__":
            found = found.get("config", {}).get("value")
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            raise ModelError(f"{name} is {found!r}, needed a number")
        return float(found)

    def flag(self, name: str, default: bool) -> bool:
        return bool(self.get(name, default))

    def text(self, name: str, default: str) -> str:
        found = self.get(name, default)
        if not isinstance(found, str):
            raise ModelError(f"{name} is {found!r}, needed text")
        return found

    def sizes(self, name: str, rank: int, default: int | Sequence[int] | None = None) -> tuple[int, ...]:
        """`rank` integers; one integer means itself for each."""
        return sizes(name, self.get(name, default), rank)

    def channels_last(self) -> bool:
        found = self.text("data_format", "channels_last")
        if found not in ("channels_last", "channels_first"):
            raise ModelError(f"data_format is {found!r}, needed 'channels_last' or 'channels_first'")
        return found == "channels_last"


def brought(layer: Layer) -> CustomOp | None:
    """The operator that the program has brought for a layer's class, named with its module or without."""
    return custom_op_of_source(layer.kind) or custom_op_of_source(layer.kind.rpartition(".")[2])


def sizes(name: str, found: Any, rank: int) -> tuple[int, ...]:
    items = [found] * rank if isinstance(found, int) and not isinstance(found, bool) else found
    if not isinstance(items, (list, tuple)) or len(items) != rank:
        raise ModelError(f"{name} is {found!r}, needed {rank} integers")
    if any(isinstance(item, bool) or not isinstance(item, int) or abs(item) >= LARGEST for item in items):
        raise ModelError(f"{name} is {found!r}, needed {rank} integers")
    return tuple(items)


@dataclass(frozen=True)
class Tensor:
    """What a call of a layer gives: number `index` of its outputs."""

    layer: str
    call: int
    index: int


@dataclass(frozen=True)
class CallSite:
    """Arguments of one call of a layer: trees of lists and dicts with Tensors and plain values as leaves."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(eq=False)
class Model:
    """The layers of a model, how they call one another, and the trees of its inputs and outputs."""

    layers: dict[str, Layer]
    calls: dict[str, list[CallSite]]
    inputs: Any
    outputs: Any


def leaves(tree: Any, kind: type[Any] | tuple[type[Any], ...]) -> Iterator[Any]:
    """Leaves of that kind in a tree of lists, tuples and dicts, in order."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, kind):
            yield item
        elif isinstance(item, (list, tuple)):
            waiting.extend(reversed(item))
        elif isinstance(item, Mapping):
            waiting.extend(reversed(list(item.values())))


def mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """The tree with every leaf replaced by function(leaf)."""
    if isinstance(tree, (list, tuple)):
        return [mapped(item, function) for item in tree]
    if isinstance(tree, Mapping):
        return {key: mapped(item, function) for key, item in tree.items()}
    return function(tree)


@dataclass(frozen=True)
class Call:
    """One call of a layer: arguments with Values in the places of tensors.

    invoke: converts a layer that this one is made of, as invoke(layer, args, kwargs) -> outputs.
    """

    layer: Layer
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    invoke: Callable[..., Any]
    notes: list[str]

    @property
    def input(self) -> Value:
        """The only tensor that it reads."""
        (value,) = self.inputs(1)
        return value

    def inputs(self, count: int | None = None) -> list[Value]:
        """All tensors of its first argument, or of all of them for a layer that is called with one after another."""
        found = list(leaves([self.args, self.kwargs], Value))
        if count is not None and len(found) != count:
            raise ModelError(f"it is called with {len(found)} tensors, needed {count}")
        if not found:
            raise ModelError("it is called without a tensor")
        return found

    def only(self, rank: int | None = None) -> Value:
        """As input, checked to be float32 and of that rank."""
        x = self.input
        if rank is not None and len(x.shape) != rank:
            raise ModelError(f"its input has {len(x.shape)} dimensions, needed {rank}")
        if x.dtype != DType.FLOAT32:
            raise RefusedError(f"its input is {x.dtype.name.lower()}", "cast to float32 before it")
        return x

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


Result = Value | Sequence[Any]
Handler = Callable[[GraphBuilder, Call], Result]


def real(b: GraphBuilder, x: Value) -> Value:
    """x as float32."""
    return x if x.dtype == DType.FLOAT32 else b.emit("cast", [x], dtype=DType.FLOAT32)
