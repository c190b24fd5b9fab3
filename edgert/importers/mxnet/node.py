"""What MXNet's handlers work with: a node with its inputs as Values and its attributes read from text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.ir import Value

_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class SourceNode:
    """A node at hand. A handler gives the Values of its outputs, or of the first ones (the others are not used)."""

    name: str
    op: str
    attrs: Mapping[str, str]
    inputs: tuple[Value, ...]

    def input(self, index: int = 0) -> Value:
        if index >= len(self.inputs):
            raise ModelError(f"it has {len(self.inputs)} inputs, needed {index + 1}")
        return self.inputs[index]

    def array(self, index: int, what: str) -> Array:
        """An input's elements; RefusedError when only the run knows them."""
        value = self.input(index)
        if not value.constant or value.data is None:
            raise RefusedError(f"its {what} ({value.name!r}) are computed", "it needs them as parameters")
        return value.data

    # Attributes: "None" is as good as absent.

    def has(self, name: str) -> bool:
        return self.attrs.get(name, "None") != "None"

    def text(self, name: str, default: str) -> str:
        return self.attrs[name] if self.has(name) else default

    def integer(self, name: str, default: int) -> int:
        return int(float(self.attrs[name])) if self.has(name) else default

    def number(self, name: str, default: float) -> float:
        return float(self.attrs[name]) if self.has(name) else default

    def flag(self, name: str, default: bool) -> bool:
        return self.attrs[name] in ("True", "true", "1") if self.has(name) else default

    def integers(self, name: str) -> tuple[int, ...]:
        """A list, which may be written as one number; empty when it is absent."""
        return tuple(0 if size is None else size for size in self.bounds(name))

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers; empty when it is absent."""
        return tuple(map(float, re.sub(r"[()\[\],]", " ", self.text(name, "")).split()))

    def bounds(self, name: str) -> tuple[int | None, ...]:
        """A list whose entries may be None: "(0, None, 3L)"."""
        words = re.sub(r"[()\[\]]", " ", self.text(name, "")).replace(",", " ").split()
        for word in words:
            if word != "None" and not _NUMBER.fullmatch(word.removesuffix("L")):
                raise ModelError(f"its attribute {name} is {self.attrs[name]!r}, needed whole numbers")
        return tuple(None if word == "None" else int(word.removesuffix("L")) for word in words)

    def axis(self, name: str, default: int, rank: int | None = None) -> int:
        """An axis, which may count from the end, of the first input (or of a tensor of that rank)."""
        rank = len(self.input().shape) if rank is None else rank
        axis = self.integer(name, default)
        if not -rank <= axis < rank:
            raise ModelError(f"{name} {axis} of an input of {rank} dimensions")
        return axis % rank


Outputs = Value | Sequence[Value]
Handler = Callable[[GraphBuilder, SourceNode], Outputs]
