"""Inputs and outputs of a TensorFlow graph: what is asked for by name, what the graph itself says, where it is cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import EdgertError, InputError, Unsupported, UnsupportedError
from edgert.importers.builder import Array, RefusedError
from edgert.importers.interface import settle_shapes
from edgert.importers.tensorflow.builder import CUT, Bound, Builder, Opaque
from edgert.importers.tensorflow.frontends import PLACEHOLDERS, Shape, Tensor, described, front_ends
from edgert.importers.tensorflow.tensors import dtype_of, plain, stated_shape, type_name
from edgert.importers.tensorflow.walk import Scope, data_inputs, tensor_parts
from edgert.ir import Value

BOOL, FLOAT = 10, 1
MOST_ELEMENTS = 2**31
# Nodes that nothing reads and that are no outputs all the same.
NO_OUTPUTS = {
    "NoOp", "Exit", "Switch", "LoopCond", "NextIteration", "Enter", "Const", "Assert", "Print", "PrintV2",
    "SaveV2", "RestoreV2", "ShardedFilename", "MergeV2Checkpoints", "WriteFile",
    "Placeholder", "PlaceholderWithDefault", "VarHandleOp", "ReadVariableOp", "Variable", "VariableV2",
    "Assign", "AssignVariableOp", "AssignAddVariableOp", "HashTableV2", "ControlTrigger", "Abort",
    "ScalarSummary", "HistogramSummary", "TensorSummary", "TensorSummaryV2", "ImageSummary", "MergeSummary",
}  # fmt: skip


@dataclass(frozen=True)
class Feed:
    """An input to be: its name here, the tensor that it takes the place of, its type and shape as far as known."""

    name: str
    tensor: Tensor
    kind: int  # of tensorflow.DataType
    shape: Shape


@dataclass
class Interface:
    """All inputs, and what else is set before the walk: constants by node."""

    feeds: list[Feed] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def as_tensor(nodes: Mapping[str, Any], name: str, what: str) -> Tensor:
    """ "node" or "node:1"; InputError for what is not in the graph."""
    node, parts = tensor_parts(name.removeprefix("^"))
    index = parts[0] if parts else "0"
    if node not in nodes or not index.isdecimal() or len(parts) > 1:
        close = [other for other in nodes if node.lower() in other.lower()][:4] or list(nodes)[:4]
        raise InputError(f"{what} names {name!r}, which is no tensor of the graph (it has: {', '.join(close)} ...)")
    return Tensor(node, int(index))


def sinks(nodes: Mapping[str, Any]) -> list[str]:
    """Nodes that no other reads: the outputs of a graph that does not name them."""
    read = {tensor_parts(text)[0] for proto in nodes.values() for text in data_inputs(proto)}
    found = [
        name for name, proto in nodes.items()
        if name not in read and proto.op not in NO_OUTPUTS and not _branches(nodes, proto)
    ]  # fmt: skip
    if not found:
        raise InputError("the graph has no node that nothing reads: say what its outputs are, outputs=[...]")
    return found


def _branches(nodes: Mapping[str, Any], proto: Any) -> bool:
    """Whether a node is a loose end of a branch: an Identity of a Switch, which control inputs read."""
    source = next((tensor_parts(text)[0] for text in data_inputs(proto)), "")
    return proto.op == "Identity" and source in nodes and nodes[source].op in ("Switch", "RefSwitch")


def reached(nodes: Mapping[str, Any], wanted: Sequence[str], stop: set[str]) -> set[str]:
    """Names of the nodes that the wanted tensors need, less what lies before the tensors to stop at."""
    seen: set[str] = set()
    waiting = list(wanted)
    while waiting:
        node, parts = tensor_parts(waiting.pop())
        name = Tensor(node, int(parts[0]) if parts and parts[0].isdecimal() else 0).name
        if name in stop or node in seen or node not in nodes:
            continue
        seen.add(node)
        waiting.extend(data_inputs(nodes[node]))
    return seen


def find_interface(
    nodes: Mapping[str, Any],
    wanted: Sequence[str],
    asked: Mapping[str, str] | None,
    constants: Mapping[str, Array],
    producer: int,
    probe: Callable[[str], tuple[tuple[int, ...], DType] | None],
    given: Mapping[str, Sequence[int]],
) -> Interface:
    """asked: tensors to cut the graph at, by the names that they get; None: the graph's own inputs. producer: version
    of the TensorFlow that wrote it. probe: shape and type of a tensor within the graph, where they can be worked out.
    """
    found = Interface()
    for name, array in constants.items():
        tensor = as_tensor(nodes, name, "constants")
        try:
            found.constants[tensor.node] = plain(np.asarray(array))
        except RefusedError as error:
            raise InputError(f"constants gives {name!r}: {error}") from None
        found.notes.append(f"{name!r}: a constant here.")
    stop = set(found.constants)
    for name, text in (asked or {}).items():
        tensor = as_tensor(nodes, text, "inputs")
        stop.add(tensor.name)
        found.feeds.append(_asked(nodes, name, tensor, producer, probe, given))
    needed = reached(nodes, wanted, stop)
    cuts = _cut_front_ends(nodes, needed, wanted)
    if cuts:
        stop |= {tensor.name for tensor in cuts}
        needed = reached(nodes, wanted, stop)
    for name, proto in nodes.items():
        if name in needed and proto.op in PLACEHOLDERS:
            _placeholder(found, name, proto, asked is not None, producer)
        elif name in needed and proto.op == "PlaceholderWithDefault" and asked is None:
            found.notes.append(f"Input {name!r} takes its default.")
    for tensor in sorted(cuts, key=lambda cut: list(nodes).index(cut.node)):
        shape, kind = described(nodes, tensor)
        found.feeds.append(Feed(tensor.name, tensor, kind, shape))
        sizes = "" if shape is None else f" [{', '.join('?' if size < 0 else str(size) for size in shape)}]"
        found.notes.append(
            f"{nodes[tensor.node].op} does not run here, and what stands before it neither: the graph is cut after it, "
            f"and its output {tensor.name!r}{sizes} ({type_name(kind)}) is an input."
        )
    return found


def _cut_front_ends(nodes: Mapping[str, Any], needed: set[str], wanted: Sequence[str]) -> set[Tensor]:
    """Outputs of front ends that the rest of the graph reads."""
    ends = front_ends(nodes, needed)
    cuts = set()
    for name in needed - set(ends):
        for text in data_inputs(nodes[name]):
            node, parts = tensor_parts(text)
            if ends.get(node):
                cuts.add(Tensor(node, int(parts[0]) if parts else 0))
    outputs = {tensor_parts(text)[0] for text in wanted}
    refused = [name for name in outputs if name in ends]
    if refused:
        proto = nodes[refused[0]]
        raise UnsupportedError([Unsupported(refused[0], proto.op, "it is an output, and does not run here", CUT)])
    return cuts


def _placeholder(found: Interface, name: str, proto: Any, asked: bool, producer: int) -> None:
    kind, shape = int(proto.attr["dtype"].type), _placeholder_shape(proto, producer)
    if kind == BOOL and (shape is None or shape in ((), (1,))):
        found.constants[name] = np.zeros(shape or (), np.bool_)
        found.notes.append(f"Input {name!r}: a flag, taken as False (not training).")
    elif asked:
        raise InputError(
            f"the outputs need {name!r} too ({type_name(kind)}): name it in inputs=[...], "
            f"or give constants={{{name!r}: array}}"
        )
    else:
        found.feeds.append(Feed(name, Tensor(name, 0), kind, shape))


def _placeholder_shape(proto: Any, producer: int) -> Shape:
    """In graphs before version 24 a placeholder without dimensions may have any."""
    listed: Sequence[Any] = proto.attr["_output_shapes"].list.shape if "_output_shapes" in proto.attr else []
    shape = stated_shape(proto.attr["shape"].shape) if "shape" in proto.attr else None
    if (shape is None or (shape == () and producer < 24)) and len(listed):
        shape = stated_shape(listed[0])
    return None if shape == () and producer < 24 else shape


def _asked(
    nodes: Mapping[str, Any],
    name: str,
    tensor: Tensor,
    producer: int,
    probe: Callable[[str], tuple[tuple[int, ...], DType] | None],
    given: Mapping[str, Sequence[int]],
) -> Feed:
    proto = nodes[tensor.node]
    if proto.op in (*PLACEHOLDERS, "PlaceholderWithDefault"):
        return Feed(name, tensor, int(proto.attr["dtype"].type), _placeholder_shape(proto, producer))
    shape, kind = described(nodes, tensor)
    if "DstT" in proto.attr:
        kind = int(proto.attr["DstT"].type)
    if name in given:
        return Feed(name, tensor, kind, None)
    if shape is None or -1 in shape:
        try:
            worked_out = probe(tensor.name)
        except EdgertError:
            worked_out = None
        if worked_out is not None:
            return Feed(name, tensor, _KINDS.get(worked_out[1], FLOAT), worked_out[0])
    return Feed(name, tensor, kind, shape)


_KINDS = {
    DType.FLOAT32: FLOAT, DType.INT32: 3, DType.UINT8: 4, DType.INT16: 5, DType.INT8: 6, DType.INT64: 9,
    DType.BOOL: BOOL,
}  # fmt: skip


def add_inputs(b: Builder, scope: Scope, found: Interface, given: Mapping[str, tuple[int, ...]] | None) -> None:
    """Makes the inputs of the graph, and books constants; InputError that lists all inputs whose sizes are open."""
    b.graph.notes += found.notes
    for node, array in found.constants.items():
        scope.results[node] = (b.const(array, name=b.unique(f"{node}/constant")),)
    shapes = settle_shapes({feed.name: feed.shape for feed in found.feeds}, given, b.graph.notes)
    large = [name for name, shape in shapes.items() if math.prod(shape) >= MOST_ELEMENTS]
    if large:
        raise InputError(f"the input {large[0]!r} of the shape {list(shapes[large[0]])} has 2^31 elements or more")
    fed: dict[str, dict[int, Bound]] = {}
    for feed in found.feeds:
        try:
            dtype = dtype_of(feed.kind)
        except RefusedError as error:
            raise UnsupportedError([Unsupported(feed.name, "input", error.reason, error.fix)]) from None
        stated = type_name(feed.kind)
        if stated != dtype.numpy_name:
            b.graph.notes.append(f"Input {feed.name!r}: {stated} in the source, {dtype.numpy_name} here.")
        fed.setdefault(feed.tensor.node, {})[feed.tensor.index] = b.input(feed.name, shapes[feed.name], dtype)
    for node, outputs in fed.items():
        others = Opaque(f"another output of {node!r}, where the graph is cut")
        scope.results[node] = [outputs.get(index, others) for index in range(max(outputs) + 1)]


def add_outputs(b: Builder, made: Mapping[str, Bound], named: bool) -> None:
    """Makes the outputs of the graph. Those that were not asked for by name may be no tensors: they are left out."""
    for name, bound in made.items():
        if isinstance(bound, Value) or named:
            b.begin(name, "output")
            taken = any(value.name == name for value in b.graph.inputs)
            try:
                b.output(b.unique(name) if taken else name, b.as_value(bound))
            except RefusedError as error:
                raise UnsupportedError([Unsupported(name, "output", error.reason, error.fix)]) from None
    if not b.graph.outputs:
        raise InputError("none of the graph's outputs is a tensor of numbers: say which, outputs=[...]")
