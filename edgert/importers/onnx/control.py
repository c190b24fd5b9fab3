"""ONNX control flow, where the conversion knows which way it goes: branches are chosen (or both are computed), loops
and scans unrolled, sequences and optionals replaced by what they hold. None of it is left in the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.onnx.builder import RefusedError, SourceNode
from edgert.importers.onnx.constants import plain
from edgert.importers.onnx.instantiate import instantiate
from edgert.ir import Value

if TYPE_CHECKING:
    from edgert.importers.onnx.walk import Walk

FIXED = "export the model with fixed shapes, or give what decides it as a constant at conversion"


def _constant(walk: Walk, node: SourceNode, name: str, what: str) -> float:
    """The only element of a constant that must be known."""
    array = walk.builder.constants.get(name)
    if array is None or array.size != 1:
        raise RefusedError(f"its {what} depends on the data", FIXED)
    number: float = array.reshape(-1)[0].item()
    return number


def _body(walk: Walk, node: SourceNode, graph: Any, inputs: Mapping[str, str]) -> list[str]:
    """Walks a copy of a subgraph whose inputs are the given names; the names of its outputs."""
    from onnx import numpy_helper

    names = dict(inputs)

    def unique(name: str) -> str:
        return walk.unique(f"{node.name}/{name}")

    for tensor in graph.initializer:
        names[tensor.name] = unique(tensor.name)
        walk.builder.constants[names[tensor.name]] = plain(numpy_helper.to_array(tensor))
    nodes = instantiate(graph.node, names, unique, {})
    with walk.inside(walk.opsets):
        walk.nodes(nodes)
    return [names.get(value.name, value.name) for value in graph.output]


def _round(walk: Walk, node: SourceNode, graph: Any, inputs: Mapping[str, str]) -> list[str] | None:
    """As _body; None when something in it is refused, as it would be in further rounds: the node is lost then."""
    before = len(walk.refusals.items)
    results = _body(walk, node, graph, inputs)
    if len(walk.refusals.items) == before:
        return results
    walk.refusals.lose(node.outputs)
    return None


def if_(walk: Walk, node: SourceNode) -> None:
    condition = walk.builder.constant(node, 0)
    if condition is None or condition.size != 1:
        _both(walk, node)
        return
    branch = node.attrs["then_branch" if condition.reshape(-1)[0] else "else_branch"]
    for outer, inner in zip(node.outputs, _body(walk, node, branch, {}), strict=True):
        walk.alias(outer, inner)


def _both(walk: Walk, node: SourceNode) -> None:
    """A condition that depends on the data, where both branches give tensors alike: both are computed, and one is
    chosen."""
    b, condition = walk.builder, walk.builder.value(node, 0)
    if math.prod(condition.shape) != 1:
        raise ModelError(f"its condition is {list(condition.shape)}, needed one element")
    chosen, other = (_round(walk, node, node.attrs[name], {}) for name in ("then_branch", "else_branch"))
    if chosen is None or other is None:
        return
    scalar = b.reshape(condition, ())
    for outer, *inner in zip(node.outputs, chosen, other, strict=True):
        if any(name in b.sequences or name in b.absent for name in inner):
            raise RefusedError("its condition depends on the data", FIXED)
        yes, no = (b.value_of(name) for name in inner)
        if (yes.shape, yes.dtype) != (no.shape, no.dtype):
            raise RefusedError("its condition depends on the data, and its branches give different shapes", FIXED)
        walk.book(outer, b.emit("select", [scalar, yes, no]))
    b.graph.notes.append(f"If {node.name!r}: its condition depends on the data, so both branches are computed.")


def loop(walk: Walk, node: SourceNode) -> None:
    """Body: (round, condition, carried...) -> (condition, carried..., of each round...)."""
    body = node.attrs["body"]
    rounds = int(_constant(walk, node, node.inputs[0], "number of rounds")) if node.has(0) else None
    goes_on = bool(_constant(walk, node, node.inputs[1], "condition")) if node.has(1) else True
    carried = list(node.inputs[2:])
    collected: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
    count = 0
    while goes_on and (rounds is None or count < rounds):
        walk.spend(node)
        given = (
            walk.new_constant(f"{node.name}/round", np.asarray(count, np.int64)),
            walk.new_constant(f"{node.name}/condition", np.asarray(True)),
        )
        inputs = dict(zip((value.name for value in body.input), (*given, *carried), strict=True))
        made = _round(walk, node, body, inputs)
        if made is None:
            return
        condition, *results = made
        carried = results[: len(carried)]
        for items, name in zip(collected, results[len(carried) :], strict=True):
            items.append(name)
        goes_on = bool(_constant(walk, node, condition, "condition after a round"))
        count += 1
    for outer, inner in zip(node.outputs, carried, strict=False):
        walk.alias(outer, inner)
    for outer, items in zip(node.outputs[len(carried) :], collected, strict=False):
        if outer:
            walk.book(outer, _stacked(walk, items, 0))


def scan(walk: Walk, node: SourceNode) -> None:
    """Body: (state..., a slice of each scanned input...) -> (state..., a slice of each scanned output...)."""
    if node.opset < 9:
        raise RefusedError("Scan of operator set 8 (with a batch)", "export with operator set 9 or later")
    b, body = walk.builder, node.attrs["body"]
    scanned = node.integer("num_scan_inputs", 1)
    first = len(node.inputs) - scanned
    state, sources = list(node.inputs[:first]), [b.value(node, index) for index in range(first, len(node.inputs))]
    in_axes = node.integers("scan_input_axes") or (0,) * scanned
    axes = [axis % len(x.shape) for x, axis in zip(sources, in_axes, strict=True)]
    lengths = {x.shape[axis] for x, axis in zip(sources, axes, strict=True)}
    if len(lengths) != 1:
        raise ModelError(f"it scans inputs of {sorted(lengths)} slices, needed as many of each")
    backwards = node.integers("scan_input_directions") or (0,) * scanned
    (length,) = lengths
    outputs = len(body.output) - len(state)
    collected: list[list[str]] = [[] for _ in range(outputs)]
    for count in range(length):
        walk.spend(node)
        given = []
        for x, axis, reverse in zip(sources, axes, backwards, strict=True):
            at = length - 1 - count if reverse else count
            part = b.reshape(b.slice(x, axis, at, at + 1), (*x.shape[:axis], *x.shape[axis + 1 :]))
            given.append(walk.new_value(f"{node.name}/slice", part))
        inputs = dict(zip((value.name for value in body.input), (*state, *given), strict=True))
        results = _round(walk, node, body, inputs)
        if results is None:
            return
        state = results[: len(state)]
        for items, name in zip(collected, results[len(state) :], strict=True):
            items.append(name)
    for outer, inner in zip(node.outputs, state, strict=False):
        walk.alias(outer, inner)
    out_axes = node.integers("scan_output_axes") or (0,) * outputs
    turned = node.integers("scan_output_directions") or (0,) * outputs
    for outer, items, axis, reverse in zip(node.outputs[first:], collected, out_axes, turned, strict=False):
        if outer:
            walk.book(outer, _stacked(walk, items[::-1] if reverse else items, axis))


def _stacked(walk: Walk, names: Sequence[str], axis: int) -> Value:
    """The values joined along a new axis."""
    if not names:
        raise RefusedError("an output of no rounds is empty", FIXED)
    b = walk.builder
    values = [b.value_of(name) for name in names]
    at = axis % (len(values[0].shape) + 1)
    parts = [b.reshape(value, (*value.shape[:at], 1, *value.shape[at:])) for value in values]
    return parts[0] if len(parts) == 1 else b.emit("concat", parts, {"axis": at})


# Sequences: Builder.sequences holds the names of their elements


def sequence_construct(walk: Walk, node: SourceNode) -> None:
    walk.builder.sequences[node.outputs[0]] = list(node.inputs)


def sequence_empty(walk: Walk, node: SourceNode) -> None:
    walk.builder.sequences[node.outputs[0]] = []


def _position(walk: Walk, node: SourceNode, index: int, length: int, default: int) -> int:
    if not node.has(index):
        return default
    at = int(_constant(walk, node, node.inputs[index], "position"))
    if not -length <= at <= length:
        raise ModelError(f"position {at} in a sequence of {length}")
    return at + length if at < 0 else at


def _sequence(walk: Walk, node: SourceNode, index: int) -> list[str]:
    found = walk.builder.sequences.get(node.inputs[index])
    if found is None:
        raise RefusedError(f"its input {node.inputs[index]!r} is no sequence that the conversion knows", FIXED)
    return found


def sequence_insert(walk: Walk, node: SourceNode) -> None:
    items = list(_sequence(walk, node, 0))
    items.insert(_position(walk, node, 2, len(items), len(items)), node.inputs[1])
    walk.builder.sequences[node.outputs[0]] = items


def sequence_erase(walk: Walk, node: SourceNode) -> None:
    items = list(_sequence(walk, node, 0))
    if not items:
        raise ModelError("it erases from an empty sequence")
    del items[min(_position(walk, node, 1, len(items), len(items) - 1), len(items) - 1)]
    walk.builder.sequences[node.outputs[0]] = items


def sequence_at(walk: Walk, node: SourceNode) -> None:
    items = _sequence(walk, node, 0)
    at = _position(walk, node, 1, len(items), 0)
    if at >= len(items):
        raise ModelError(f"position {at} in a sequence of {len(items)}")
    walk.alias(node.outputs[0], items[at])


def sequence_length(walk: Walk, node: SourceNode) -> None:
    walk.builder.constants[node.outputs[0]] = np.asarray(len(_sequence(walk, node, 0)), np.int64)


def split_to_sequence(walk: Walk, node: SourceNode) -> None:
    """Parts of the size that a scalar states, of the sizes that a list states, or of one element each."""
    b, x = walk.builder, walk.builder.value(node, 0)
    axis = node.integer("axis", 0) % len(x.shape)
    total, keeps = x.shape[axis], bool(node.integer("keepdims", 1))
    sizes: list[int] = [1] * total
    if node.has(1):
        stated = b.need_constant(node, 1, "split")
        if stated.ndim:
            sizes = [int(size) for size in stated]
        else:
            chunk = max(int(stated), 1)
            sizes = [min(chunk, total - at) for at in range(0, total, chunk)]
    if sum(sizes) != total or min(sizes, default=0) < 1:
        raise ModelError(f"it splits {total} into parts of {sizes}")
    items, at = [], 0
    for size in sizes:
        walk.spend(node)
        part = b.slice(x, axis, at, at + size)
        if not node.has(1) and not keeps:
            part = b.reshape(part, (*x.shape[:axis], *x.shape[axis + 1 :]))
        items.append(walk.new_value(f"{node.outputs[0]}/part", part))
        at += size
    b.sequences[node.outputs[0]] = items


def concat_from_sequence(walk: Walk, node: SourceNode) -> None:
    items, axis = _sequence(walk, node, 0), node.integer("axis", 0)
    if not items:
        raise RefusedError("it joins an empty sequence", FIXED)
    if node.integer("new_axis", 0):
        walk.book(node.outputs[0], _stacked(walk, items, axis))
        return
    b = walk.builder
    values = [b.value_of(name) for name in items]
    joined = values[0] if len(values) == 1 else b.emit("concat", values, {"axis": axis % len(values[0].shape)})
    walk.book(node.outputs[0], joined)


def sequence_map(walk: Walk, node: SourceNode) -> None:
    """The body for each element of the first sequence, and of further ones; tensors are the same for all."""
    body, sequences = node.attrs["body"], walk.builder.sequences
    results: list[list[str]] = [[] for _ in node.outputs]
    for index in range(len(_sequence(walk, node, 0))):
        walk.spend(node)
        given = [sequences[name][index] if name in sequences else name for name in node.inputs]
        made = _round(walk, node, body, dict(zip((value.name for value in body.input), given, strict=True)))
        if made is None:
            return
        for items, name in zip(results, made, strict=True):
            items.append(name)
    for outer, items in zip(node.outputs, results, strict=True):
        sequences[outer] = items


# Optionals: what they hold, or nothing


def optional(walk: Walk, node: SourceNode) -> None:
    if not node.has(0):
        walk.builder.absent.add(node.outputs[0])
    else:
        walk.alias(node.outputs[0], node.inputs[0])


def optional_get_element(walk: Walk, node: SourceNode) -> None:
    if node.inputs[0] in walk.builder.absent:
        raise ModelError("it reads an optional that holds nothing")
    walk.alias(node.outputs[0], node.inputs[0])


def optional_has_element(walk: Walk, node: SourceNode) -> None:
    holds = node.has(0) and node.inputs[0] not in walk.builder.absent
    walk.builder.constants[node.outputs[0]] = np.asarray(holds)


CONTROL: dict[str, Callable[[Walk, SourceNode], None]] = {
    "If": if_,
    "Loop": loop,
    "Scan": scan,
    "SequenceConstruct": sequence_construct,
    "SequenceEmpty": sequence_empty,
    "SequenceInsert": sequence_insert,
    "SequenceErase": sequence_erase,
    "SequenceAt": sequence_at,
    "SequenceLength": sequence_length,
    "SplitToSequence": split_to_sequence,
    "ConcatFromSequence": concat_from_sequence,
    "SequenceMap": sequence_map,
    "Optional": optional,
    "OptionalGetElement": optional_get_element,
    "OptionalHasElement": optional_has_element,
}
