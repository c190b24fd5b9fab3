"""The arena plan: where each activation lies while it lives.

Largest first, each at the lowest offset where it overlaps nothing that lives at the same time (greedy by size,
Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference"). A node that can work in place
writes its output over the value that the node before computes for it alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgert.dtypes import DType
from edgert.ir import Graph, Value

ALIGNMENT = 64  # bytes; ERT_ALIGN of the C core
EXPANDS = frozenset({"unpack_int4", "dequantize", "cast", "reshape"})  # ERT_TRAIT_EXPANDS of the C core
MOST_BEHIND_EACH_OTHER = 8  # ERT_MAX_EXPANSION_DEPTH
IN_PLACE = frozenset({"add", "sub", "mul", "lut"})  # operators that the C core runs in place (ERT_BAND_ELEMENTS)


@dataclass(frozen=True)
class Plan:
    offsets: dict[Value, int]  # bytes from the start of the arena, for every activation
    arena_bytes: int


@dataclass(frozen=True)
class _Block:
    first: int  # index of the first and the last node during which it lives
    last: int
    bytes: int


def value_bytes(value: Value) -> int:
    """Bytes of a value's elements."""
    count = 1
    for dim in value.shape:
        count *= dim
    return count * value.dtype.itemsize


def _aligned(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def expanded(graph: Graph) -> set[Value]:
    """What the C core makes of constants when a model is bound, outside the arena (ext/core/expand.c)."""
    depth: dict[Value, int] = {}
    for node in graph.nodes:
        inputs = [value for value in node.inputs if value is not None and not value.constant]
        if node.op not in EXPANDS or not all(value in depth for value in inputs):
            continue
        behind = max((depth[value] for value in inputs), default=0)
        if behind < MOST_BEHIND_EACH_OTHER:
            depth[node.output] = behind + 1
    return set(depth)


def in_place(graph: Graph) -> dict[Value, Value]:
    """Output -> the value that it takes the place of.

    A node of IN_PLACE does so with what the node before it computes for it alone, when all its operands have the
    output's shape: the C core can then run both together, a part of the tensor at a time, and the value in between
    takes no memory. The core checks the same conditions (ext/core/arena.c).
    """
    uses = Counter(value for node in graph.nodes for value in node.inputs if value is not None)
    uses.update(graph.outputs)
    constants = expanded(graph)
    places: dict[Value, Value] = {}
    for before, node in pairwise(graph.nodes):
        if node.op not in IN_PLACE or len(before.outputs) != 1 or before.outputs[0] in constants:
            continue
        value, output = before.outputs[0], node.outputs[0]
        if node.op == "lut" and output.dtype != DType.INT8:  # what interpolates runs by itself
            continue
        operands = node.inputs[:1] if node.op == "lut" else node.inputs
        alike = all(x is not None and x.shape == output.shape and x.dtype == output.dtype for x in operands)
        if alike and value in operands and uses[value] == 1:
            places[output] = value
    return places


def plan_arena(graph: Graph) -> Plan:
    """Places every activation of the graph, but for what is expanded() from constants.

    A value lives from the node that writes it to the last node that reads it, both included, so that no operator's
    output overlaps its input, but for those that work in place. Graph inputs live through the whole run, so that a
    second run without new input gives the same result; graph outputs live to the end.
    """
    end = len(graph.nodes)
    constants = expanded(graph)
    first: dict[Value, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[Value, int] = dict.fromkeys(graph.inputs, end)
    for index, node in enumerate(graph.nodes):
        for value in node.inputs:
            if value is not None and value in first:
                last[value] = max(last[value], index)
        for value in node.outputs:
            if value not in constants:
                first[value] = last[value] = index
    for value in graph.outputs:
        if value in first:
            last[value] = end
    root = {value: value for value in first if value.data is None and not value.variable}
    for output, value in in_place(graph).items():  # in the order of execution
        root[output] = root[value]
        last[root[value]] = max(last[root[value]], last[output])
    values = [value for value in root if root[value] is value]
    blocks = [_Block(first[value], last[value], _aligned(value_bytes(value))) for value in values]
    places = dict(zip(values, _place(blocks), strict=True))
    arena = max((places[value] + block.bytes for value, block in zip(values, blocks, strict=True)), default=0)
    return Plan({value: places[root[value]] for value in root}, arena)


def _place(blocks: Sequence[_Block]) -> list[int]:
    order = sorted(range(len(blocks)), key=lambda i: (-blocks[i].bytes, blocks[i].first, i))
    places = [0] * len(blocks)
    placed: list[int] = []  # in rising order of place
    for i in order:
        block = blocks[i]
        at = 0
        for j in placed:
            other = blocks[j]
            if other.first > block.last or other.last < block.first:
                continue
            if at + block.bytes <= places[j]:
                break
            at = max(at, places[j] + other.bytes)
        places[i] = at
        placed.append(i)
        placed.sort(key=lambda j: places[j])
    return places
