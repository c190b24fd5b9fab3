"""TorchScript graphs read once: PyTorch's own objects are slow to ask again and again, in loops above all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """A node: its kind ("aten::add"), names of inputs and outputs, the attribute `name`, its schema and blocks."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    schema: str
    blocks: tuple[Block, ...]
    literal: Any  # of a constant: Python's value of it
    function: str  # of a constant that is a function: its qualified name


@dataclass(frozen=True)
class Block:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]


def read_block(block: Any) -> Block:
    """A graph or a block of one."""
    return Block(
        tuple(value.debugName() for value in block.inputs()),
        tuple(value.debugName() for value in block.outputs()),
        tuple(_step(node) for node in block.nodes()),
    )


def _step(node: Any) -> Step:
    kind = node.kind()
    named = kind.startswith("prim::") and "name" in node.attributeNames() and node.kindOf("name") == "s"
    name = str(node.s("name")) if named else ""
    literal, function = None, ""
    if kind == "prim::Constant":
        output = node.output()
        if name and output.type().kind() == "FunctionType":
            function = str(output.type())
        else:
            literal = output.toIValue()
    schema = node.schema()
    return Step(
        kind,
        tuple(value.debugName() for value in node.inputs()),
        tuple(value.debugName() for value in node.outputs()),
        name,
        "" if schema == "(no schema)" else schema,
        tuple(read_block(block) for block in node.blocks()),
        literal,
        function,
    )
