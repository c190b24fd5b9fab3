"""Messages of Caffe's text files: what fields each has, and objects that hold those of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_RANGES = {"int32": (-(1 << 31), 1 << 31), "uint32": (0, 1 << 32), "int64": (-(1 << 63), 1 << 63)}
_SCALARS = {"int32", "uint32", "int64", "float", "bool", "string", "enum"}
_BOOLS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_EMPTY: dict[str, Any] = {"string": "", "bool": False, "float": 0.0}  # defaults where none is stated; 0 otherwise


@dataclass(frozen=True)
class Field:
    """kind: a scalar's type ("int32", "uint32", "int64", "float", "bool", "string"), "enum", or a message's name."""

    kind: str
    repeated: bool
    default: Any
    values: dict[str, int] = field(default_factory=dict)  # of an enum

    def scalar(self, word: str, quoted: bool) -> Any:
        """What a word of a file means. ValueError when it cannot stand here."""
        if self.kind not in _SCALARS:
            raise ValueError(f"{word[:40]!r}, needed a message")
        if quoted != (self.kind == "string"):
            raise ValueError(f"{word[:40]!r}, needed {self.kind}")
        if self.kind == "string":
            return word
        if self.kind == "float":
            return float(word[:-1] if word[-1:] in "fF" and word[-3:].lower() != "inf" else word)
        if self.kind == "bool":
            if word.lower() not in _BOOLS:
                raise ValueError(f"{word[:40]!r}, needed true or false")
            return _BOOLS[word.lower()]
        if self.kind == "enum" and word in self.values:
            return self.values[word]
        if self.kind == "enum" and not word.isdigit():
            raise ValueError(f"{word[:40]!r}, needed one of {', '.join(list(self.values)[:8])}")
        number = int(word, 0)
        low, high = _RANGES.get(self.kind, _RANGES["int32"])
        if not low <= number < high:
            raise ValueError(f"{word[:40]} is no {self.kind}")
        return number


Spec = dict[str, Field]


class Message:
    """Fields as attributes: those of the file, or their defaults; lists where they are repeated."""

    def __init__(self, kind: str, specs: dict[str, Spec]) -> None:
        self._kind, self._specs = kind, specs

    def __getattr__(self, name: str) -> Any:
        spec = self._specs[self._kind].get(name) if not name.startswith("_") else None
        if spec is None:
            raise AttributeError(f"{self._kind} has no field {name}")
        if spec.repeated:
            return ()
        return Message(spec.kind, self._specs) if spec.kind in self._specs else spec.default

    def has(self, name: str) -> bool:
        """Whether the file states the field."""
        return name in self.__dict__

    def field(self, name: str) -> Field | None:
        """None for a field that is not known."""
        return self._specs[self._kind].get(name)

    def put(self, name: str, value: Any) -> None:
        """A value of the file's. ValueError for a second one of a field that has one."""
        if self._specs[self._kind][name].repeated:
            self.__dict__.setdefault(name, []).append(value)
        elif name in self.__dict__:
            raise ValueError(f"{name} stands there twice")
        else:
            self.__dict__[name] = value

    def inner(self, name: str) -> Message:
        """A new message in a field. ValueError where there can be none."""
        kind = self._specs[self._kind][name].kind
        if kind not in self._specs:
            raise ValueError(f"a message, needed {kind}")
        made = Message(kind, self._specs)
        self.put(name, made)
        return made


def read_specs(text: str) -> dict[str, Spec]:
    """Of lines "Name: field type[*] [=default], ...", continued on indented ones. A type is a scalar's, another message
    or {A=0 B=1}; * is repeated."""
    specs: dict[str, Spec] = {}
    for entry in filter(None, text.replace("\n  ", " ").splitlines()):
        name, _, fields = entry.partition(": ")
        specs[name] = dict(_field(item) for item in fields.split(", "))
    return specs


def _field(text: str) -> tuple[str, Field]:
    declared, _, default = text.partition(" =")
    name, _, kind = declared.partition(" ")
    repeated, kind = kind.endswith("*"), kind.rstrip("*")
    values = {label: int(number) for label, number in re.findall(r"(\w+)=(\d+)", kind)}
    plain = Field("enum" if values else kind, repeated, None, values)
    value = plain.scalar(default, kind == "string") if default else next(iter(values.values()), _EMPTY.get(kind, 0))
    return name, Field(plain.kind, repeated, value, values)
