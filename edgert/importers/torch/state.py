"""Attributes of TorchScript modules: what they hold, what a call writes to them, and what of it is state."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgert.errors import UnsupportedError
from edgert.importers.torch.builder import Array, Builder, Content, Lost, RefusedError, Tensor
from edgert.ir import Value


@dataclass(frozen=True)
class Module:
    """A module of the model: PyTorch's handle and the path by which it is reached."""

    raw: Any
    path: str

    @property
    def leaf(self) -> bool:
        """Whether it is one of PyTorch's own layers, which its path names well enough."""
        name = str(getattr(self.raw, "qualified_name", ""))
        return bool(self.path) and ".torch.nn.modules." in name and ".container." not in name


@dataclass
class _Attribute:
    initial: Any = None  # Python values, and arrays for tensors
    start: Any = None  # what the pass at hand starts from: the same kind
    current: Any = None  # as the interpreter has it: Tensors for tensors
    last_constant: Array | None = None  # the last array known at conversion that was written before a computed tensor
    variable: bool = False
    written: bool = False
    value: Value | None = None  # the variable of the graph at hand
    known: bool = False  # whether `start` holds something: not before a first pass has seen it


@dataclass
class Attributes:
    """Of all modules, by path, over all passes."""

    notes: list[str] = field(default_factory=list)
    _items: dict[str, _Attribute] = field(default_factory=dict)
    _parts: dict[str, tuple[type[Any], int]] = field(default_factory=dict)  # of tuples and lists of tensors
    _builder: Builder | None = None

    def begin(self, builder: Builder) -> None:
        """A new pass: every attribute starts from what the last one settled."""
        self._builder = builder
        self.notes = []
        for path, item in self._items.items():
            item.written = False
            item.value = None
            item.current = self._started(builder, path, item) if item.known else None

    def _started(self, b: Builder, path: str, item: _Attribute) -> Any:
        if item.variable:
            b.begin(path, "state")
            item.value = b.variable(path, item.start)
            return Tensor(b.emit("copy", [item.value]))  # what is written later must not change it
        return _lifted(b, path, item.start)

    def _path(self, owner: Any, name: str) -> str:
        if not isinstance(owner, Module):
            raise RefusedError(f"it uses the attribute {name!r} of what is no module", "script it anew")
        return f"{owner.path}.{name}" if owner.path else name

    def read(self, owner: Module, name: str) -> Any:
        """What the attribute holds; this object itself when nobody has read it before (then `keep` it)."""
        return self._read(self._path(owner, name))

    def _read(self, path: str) -> Any:
        if path in self._parts:
            kind, count = self._parts[path]
            parts = [self._read(f"{path}.{place}") for place in range(count)]
            return self if any(part is self for part in parts) else kind(parts)
        item = self._items.get(path)
        return self if item is None or (item.current is None and not item.known) else item.current

    def keep(self, owner: Module, name: str, value: Any) -> Any:
        """Books what the file holds."""
        self._keep(self._path(owner, name), value)
        return value

    def _keep(self, path: str, value: Any) -> None:
        if _has_tensors(value):
            self._parts[path] = (type(value), len(value))
            for place, part in enumerate(value):
                self._keep(f"{path}.{place}", part)
            return
        item = self._items.setdefault(path, _Attribute())
        if not isinstance(value, Module):
            item.initial = item.start = _grounded(value)
        item.current = value

    def write(self, owner: Any, name: str, value: Any) -> None:
        self._write(self._path(owner, name), value)

    def _write(self, path: str, value: Any) -> None:
        if _has_tensors(value):
            self._parts[path] = (type(value), len(value))
            for place, part in enumerate(value):
                self._write(f"{path}.{place}", part)
            return
        if path not in self._items:  # written before it is read
            self._items[path] = _Attribute(initial=_Missing, start=_Missing)
        item = self._items[path]
        item.current, item.written = value, True
        if isinstance(value, Tensor):
            held = value.read()
            if isinstance(held, Value) and held.constant and held.data is not None:
                item.last_constant = held.data

    def finish(self) -> bool:
        """Whether the pass left every attribute as it began, or in a variable that it fits."""
        return not self.changing()

    def _moved(self, path: str, item: _Attribute) -> bool:
        if path in self._parts:
            return False
        final = _final(item)
        if item.variable:
            return isinstance(final, Value) and item.value is not None and final.shape != item.value.shape
        if isinstance(item.current, Module) or (item.current is None and not item.written):
            return False
        return not _equal(final, item.start)

    def settle(self) -> None:
        """Makes the next pass start where this one ended. What a pass computes becomes a variable; so does a constant
        that changes from pass to pass."""
        for path, item in self._items.items():
            if isinstance(item.current, Module):
                item.known = False
                continue
            final = _final(item)
            if not self._moved(path, item):
                item.known = item.written or item.variable or item.known
                continue
            if isinstance(final, Lost):
                raise UnsupportedError(final.reasons)
            if isinstance(final, Value) and (not final.constant or item.known):
                item.start = self._initial(path, item, final)
                item.variable = True
            elif isinstance(final, Value):
                item.start = final.data
            else:
                item.start = _grounded(final)
            item.known = True

    def _initial(self, path: str, item: _Attribute, final: Value) -> Array:
        """Where a variable starts: at the last constant written before it was computed, or where the file has it; an
        empty tensor (or none) stands for zeros."""
        before = item.initial if final.constant else item.last_constant
        for array in (before, item.initial):
            if isinstance(array, np.ndarray) and array.shape == final.shape:
                return array.astype(final.dtype.numpy_name)
        held = item.initial if before is None else before
        if held is None or held is _Missing or (isinstance(held, np.ndarray) and not math.prod(held.shape)):
            return np.zeros(final.shape, final.dtype.numpy_name)
        raise RefusedError(f"the state {path!r} changes its shape", "keep state in tensors of fixed shape")

    def finals(self) -> dict[str, tuple[Value, Content | Lost]]:
        """Variable by variable, what the pass leaves in it."""
        found = {}
        for path, item in self._items.items():
            if item.variable and item.value is not None:
                found[path] = (item.value, _final(item))
                if isinstance(item.initial, np.ndarray) and not math.prod(item.initial.shape):
                    self.notes.append(f"The state {path!r} is empty at first: zeros {list(item.value.shape)} here.")
        return found

    def changing(self) -> list[str]:
        """Names of what a call leaves otherwise than it found it."""
        return [path for path, item in self._items.items() if self._moved(path, item)]


def _has_tensors(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, Tensor) or _has_tensors(item) for item in value)


class _Missing:
    """In the place of an attribute's value before it is written."""


def _final(item: _Attribute) -> Any:
    return item.current.read() if isinstance(item.current, Tensor) else item.current


def _grounded(value: Any) -> Any:
    """Without values of a graph: arrays for constant tensors."""
    if isinstance(value, Tensor):
        value = value.read()
    if isinstance(value, Value):
        return value.data if value.constant else value
    if isinstance(value, list | tuple):
        return type(value)(_grounded(item) for item in value)
    if isinstance(value, dict):
        return {key: _grounded(item) for key, item in value.items()}
    return value


def _lifted(b: Builder, path: str, value: Any) -> Any:
    """The inverse of _grounded."""
    if isinstance(value, np.ndarray):
        return Tensor(b.const(value, b.unique(path)))
    if isinstance(value, Lost):
        return Tensor(value)
    if isinstance(value, list | tuple):
        return type(value)(_lifted(b, path, item) for item in value)
    if isinstance(value, dict):
        return {key: _lifted(b, path, item) for key, item in value.items()}
    return value


def _equal(final: Any, start: Any) -> bool:
    final = _grounded(final)
    if isinstance(final, np.ndarray) and isinstance(start, np.ndarray):
        return final.shape == start.shape and final.dtype == start.dtype and np.array_equal(final, start)
    if isinstance(final, list | tuple) and isinstance(start, list | tuple):
        return len(final) == len(start) and all(_equal(a, b) for a, b in zip(final, start, strict=True))
    if isinstance(final, np.ndarray) or isinstance(start, np.ndarray) or isinstance(final, Value):
        return False
    return bool(type(final) is type(start) and final == start)
