"""The intermediate representation: a Graph of Nodes that read and write Values.

Importers make a graph, passes and the quantiser rewrite it in place, and edgert.pack writes it to a file. Image
tensors are NHWC. Every shape is known: a dynamic dimension is settled by the importer. Values are compared by
identity; names are unique within a graph (Graph.verify checks both).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError

Array = NDArray[Any]


class Names:
    """Names that are taken; a further value of one gets a number behind it."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._copies: Counter[str] = Counter()  # names given so far to further values of a name

    def add(self, name: str) -> None:
        self._taken.add(name)

    def unique(self, wanted: str) -> str:
        """The name itself, or one like it that nothing has; it is taken then."""
        name = wanted
        while name in self._taken:
            self._copies[wanted] += 1
            name = f"{wanted}_{self._copies[wanted]}"
        self._taken.add(name)
        return name


@dataclass(eq=False)
class Value:
    """A tensor of the graph: an input, a constant (data is set), a variable, or the output of a node."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: QuantParams | None = None
    data: Array | None = None  # a constant's elements, or a variable's initial ones
    variable: bool = False  # lives between invokes; written by the op "assign"

    @property
    def constant(self) -> bool:
        return self.data is not None and not self.variable

    def __repr__(self) -> str:
        kind = "variable " if self.variable else "constant " if self.constant else ""
        return f"<{kind}{self.name} {self.dtype.name.lower()}{list(self.shape)}>"


@dataclass(eq=False)
class Node:
    """One operator. `op` is a name of edgert.ops.ALL_OPS; attrs are those of its OpDef."""

    op: str
    inputs: list[Value | None]  # None: an optional input that is absent
    outputs: list[Value]
    attrs: dict[str, Any] = field(default_factory=dict)
    name: str = ""  # the source node's name
    source: str = ""  # what the source calls the operator ("Conv", "CONV_2D")

    @property
    def output(self) -> Value:
        """The only output; ValueError when there are several."""
        (value,) = self.outputs
        return value

    def __repr__(self) -> str:
        return f"<{self.op} {self.name!r}>"


@dataclass(frozen=True)
class About:
    """What a source says of its model beside the network."""

    description: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()  # of the positions of an output's last axis, or of the classes that it names
    mean: tuple[float, ...] = ()  # per channel, or one for all: x = (pixel - mean) / std
    std: tuple[float, ...] = ()
    entries: tuple[tuple[str, str], ...] = ()  # anything else, by key


@dataclass(eq=False)
class Graph:
    """A model. Nodes stand in an order in which every value is produced before it is used."""

    name: str = ""
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what an importer assumed, one sentence each, for a person to read
    about: About = field(default_factory=About)
    files: tuple[Path, ...] = ()  # what it was read from, when that is more than the one file that was named

    def values(self) -> Iterator[Value]:
        """Every value once: inputs first, then node by node, inputs before outputs."""
        seen: set[int] = set()

        def all_values() -> Iterable[Value | None]:
            yield from self.inputs
            for node in self.nodes:
                yield from node.inputs
                yield from node.outputs
            yield from self.outputs

        for value in all_values():
            if value is not None and id(value) not in seen:
                seen.add(id(value))
                yield value

    def producers(self) -> dict[Value, Node]:
        return {value: node for node in self.nodes for value in node.outputs}

    def consumers(self) -> dict[Value, list[Node]]:
        """Nodes that read each value, once for every use; values that nothing reads are absent."""
        uses: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value is not None:
                    uses.setdefault(value, []).append(node)
        return uses

    def replace_uses(self, old: Value, new: Value) -> None:
        """Makes every node, and the graph's outputs, read `new` where they read `old`."""
        for node in self.nodes:
            node.inputs = [new if value is old else value for value in node.inputs]
        self.outputs = [new if value is old else value for value in self.outputs]

    def unique_name(self, wanted: str) -> str:
        """`wanted`, or the first of wanted_1, wanted_2 ... that no value has."""
        return Names(value.name for value in self.values()).unique(wanted)

    def verify(self) -> None:
        """Checks what every pass must keep: order, single producers, unique names, shapes, dtypes and attributes.

        Raises ModelError that names the node and what is wrong.
        """
        from edgert.ops import OPS_BY_NAME  # ir stands below ops; only the check looks up

        names = Counter(value.name for value in self.values())
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ModelError(f"graph {self.name!r}: two values have the name {twice[0]!r}")
        known = set(self.inputs)
        for value in self.inputs:
            if value.constant:
                raise ModelError(f"graph input {value.name!r} is a constant")
        for node in self.nodes:
            where = f"node {node.name!r} ({node.op})"
            definition = OPS_BY_NAME.get(node.op)
            if definition is None:
                raise ModelError(f"{where}: there is no such operator")
            for source in node.inputs:
                if source is not None and not (source in known or source.constant or source.variable):
                    raise ModelError(f"{where}: reads {source.name!r} before anything writes it")
            definition.check(node)
            for value in node.outputs:
                if value in known or value.data is not None:
                    raise ModelError(f"{where}: writes {value.name!r}, which something else writes too")
                known.add(value)
        for value in self.outputs:
            if value not in known and not value.constant and not value.variable:
                raise ModelError(f"graph output {value.name!r} is written by no node")
