"""What Torch7's handlers work with: a module with its fields, and a builder that applies modules to activities.

An activity is what flows from module to module: a Value, or a list of them (a Lua table). LOST stands for one that a
module which cannot be converted would have computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Refusals, RefusedError
from edgert.importers.torch7.read import Table, Tensor, TorchObject
from edgert.ir import Value


class Lost:
    """The result of a module that cannot be converted."""


LOST = Lost()

MOST_MODULES = 1 << 13  # a hostile file may share a module with itself without end
DEEPEST = 64


class Module:
    """A module of the file. Fields are read with their defaults: older files lack some."""

    def __init__(self, source: TorchObject) -> None:
        self.kind = source.kind
        self.fields = source.fields

    def has(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def number(self, name: str, default: float | None = None) -> float:
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            if default is None or value is not None:
                raise ModelError(f"its field {name} is {'missing' if value is None else 'no number'}")
            return float(default)
        return float(value)

    def integer(self, name: str, default: int | None = None) -> int:
        number = self.number(name, default)
        if not number.is_integer():
            raise ModelError(f"its field {name} is {number:g}, needed a whole number")
        return int(number)

    def flag(self, name: str, default: bool) -> bool:
        value = self.fields.get(name)
        return default if value is None else bool(value)

    def array(self, name: str, shape: Sequence[int] | None = None) -> Array:
        """A tensor's elements as float32, in the shape given if they are as many."""
        tensor = self.fields.get(name)
        if not isinstance(tensor, Tensor):
            raise ModelError(f"its tensor {name} is missing")
        array = np.asarray(tensor.array(), np.float32)
        if shape is None:
            return array
        if array.size != int(np.prod(shape)):
            raise ModelError(f"its tensor {name} has the shape {list(array.shape)}, needed {list(shape)}")
        return array.reshape(shape)

    def optional(self, name: str, shape: Sequence[int] | None = None) -> Array | None:
        return self.array(name, shape) if self.has(name) else None

    def integers(self, name: str) -> tuple[int, ...]:
        """A storage, or a table of numbers."""
        value = self.fields.get(name)
        items = value.sequence() if isinstance(value, Table) else value
        if not isinstance(items, list | np.ndarray):
            raise ModelError(f"its field {name} is no list")
        return tuple(int(item) for item in items)

    def modules(self) -> list[Module]:
        """What a container holds."""
        table = self.fields.get("modules")
        if not isinstance(table, Table):
            raise ModelError("it has no modules")
        items = table.sequence()
        if not all(isinstance(item, TorchObject) for item in items):
            raise ModelError("something in it is no module")
        return [Module(item) for item in items]

    def axis(self, name: str, rank: int) -> int:
        """A dimension, which Lua counts from 1, and from the end if it is negative. nInputDims says how many an input
        has without a batch: a batch before them moves the dimension on."""
        axis = self.integer(name)
        index = axis - 1 if axis > 0 else axis + rank
        dims = self.fields.get("nInputDims") or self.fields.get("numInputDims")
        if axis > 0 and isinstance(dims, float) and 0 < dims < rank:
            index += 1
        if axis == 0 or not 0 <= index < rank:
            raise ModelError(f"{name} {axis} of an input of {rank} dimensions")
        return index


class Builder(GraphBuilder):
    """The graph under construction."""

    def __init__(
        self, name: str, find: Callable[[str], Handler | None], advice: Callable[[str], tuple[str, str]]
    ) -> None:
        super().__init__(name, {"input", "output"})
        self._find = find
        self.advice = advice
        self.refusals = Refusals()
        self._path: list[int] = []
        self._applied = 0

    def apply(self, module: Module, x: Any, position: int | None = None) -> Any:
        """What a module computes of an activity. position: its number in the container that holds it."""
        if position is not None:
            self._path.append(position)
        self._applied += 1
        if self._applied > MOST_MODULES or len(self._path) > DEEPEST:
            raise ModelError("its modules hold one another without end")
        try:
            return self._applied_to(module, x)
        finally:
            if position is not None:
                self._path.pop()

    def _applied_to(self, module: Module, x: Any) -> Any:
        where = ".".join(map(str, self._path)) or "net"
        handler = self._find(module.kind)
        container = handler is not None and (module.has("modules") or module.kind == "nn.gModule")
        if handler is None:
            self.refusals.add(where, module.kind, *self.advice(module.kind), [])
            return LOST
        if is_lost(x) and not container:
            return LOST
        outer = self.node_name, self.node_kind, self.label
        self.begin(where, module.kind, f"{where}.{module.kind.partition('.')[2]}")
        try:
            return handler(self, module, x)
        except RefusedError as refusal:
            self.refusals.add(where, module.kind, refusal.reason, refusal.fix, [])
            return LOST
        except ModelError as error:
            raise error if container else ModelError(f"{module.kind} {where!r}: {error}") from error
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            # These come of fields that the module cannot have.
            raise ModelError(f"{module.kind} {where!r}: its fields or tensors are damaged ({error})") from error
        finally:
            self.begin(*outer)


def is_lost(x: Any) -> bool:
    return isinstance(x, Lost) or (isinstance(x, list) and any(is_lost(item) for item in x))


def tensor_of(x: Any) -> Value:
    """The only tensor of an activity; ModelError for a table."""
    if not isinstance(x, Value):
        raise ModelError("its input is a table, needed one tensor")
    return x


def tensors_of(x: Any) -> list[Value]:
    if not isinstance(x, list) or not x or not all(isinstance(item, Value) for item in x):
        raise ModelError("its input is no table of tensors")
    return x


Handler = Callable[[Builder, Module, Any], Any]
