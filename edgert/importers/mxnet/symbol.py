"""Reads -symbol.json: the graph of a symbol, as every version of MXNet since 0.7 writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.errors import FileFormatError

LARGEST_FILE = 8 << 20  # bytes; the largest networks in use take some 2 MB


@dataclass(frozen=True)
class SymbolNode:
    """One node: an operator, or a variable (op "null")."""

    name: str
    op: str
    attrs: Mapping[str, str]
    inputs: tuple[tuple[int, int], ...]  # (index of a node that stands before this one, which of its outputs)


@dataclass(frozen=True)
class Symbol:
    nodes: list[SymbolNode]
    heads: list[tuple[int, int]]  # the outputs

    def reachable(self) -> set[int]:
        """Indices of the nodes that the outputs depend on."""
        needed = {index for index, _ in self.heads}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in needed:
                needed.update(source for source, _ in self.nodes[index].inputs)
        return needed


def read_symbol(path: Path) -> Symbol:
    """Raises FileFormatError for what is no symbol, or one whose nodes read what does not stand before them."""
    if path.stat().st_size > LARGEST_FILE:
        raise FileFormatError(f"{path.name}: {path.stat().st_size} bytes, too large for a symbol")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FileFormatError(f"{path.name}: not an MXNet symbol, or cut short ({why})") from error
    try:
        nodes = [_node(index, node) for index, node in enumerate(content["nodes"])]
        heads = [_entry(entry, len(nodes)) for entry in content["heads"]]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileFormatError(f"{path.name}: not an MXNet symbol, or damaged ({error})") from error
    if not heads:
        raise FileFormatError(f"{path.name}: the symbol has no outputs")
    return Symbol(nodes, heads)


def _node(index: int, node: Mapping[str, Any]) -> SymbolNode:
    """Attributes stand under "attrs" (since 1.0), "attr" and, before 0.9, the operator's own under "param"."""
    attrs: dict[str, str] = {}
    for key in ("attr", "param", "attrs"):
        attrs.update(node.get(key) or {})
    name, op = node["name"], node["op"]
    if not all(isinstance(text, str) for text in (name, op, *attrs.values())):
        raise ValueError(f"the name, operator or an attribute of node {index} is not text")
    return SymbolNode(name, op, attrs, tuple(_entry(entry, index) for entry in node["inputs"]))


def _entry(entry: Any, limit: int) -> tuple[int, int]:
    """[node, output] or [node, output, version]."""
    source, output = int(entry[0]), int(entry[1])
    if not 0 <= source < limit or output < 0:
        raise ValueError(f"node {limit} reads output {output} of node {source}, which does not stand before it")
    return source, output
