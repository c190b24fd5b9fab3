"""Takes out the transposes between channels-first sources and NHWC operators.

Importers of NCHW models write every spatial operator as transpose, NHWC operator, transpose. Here the transposes sink
through the operators below them until they meet their inverse, and both vanish.

Cases: a transpose sinks through
- operators of one tensor, element by element: unary, quantize, dequantize, cast, copy, lut;
- operators of several (add, sub, mul, binary, compare, select, prelu) and concat, when every other operand has the
  same transpose, or is a constant (transposed here), or is a tensor that needs no transpose to be had in that order
  (a vector of channels, say, or a chain of movement that ends up as a slice);
- pad, slice, reduce, softmax, log_softmax, arg_max and gather, whose axes it renames;
- a reshape that parts or joins dimensions which lie together on either side of it;
- fully_connected when the last axis stays in place; matmul when only the last two axes change places (a flag there).
A reshape sinks through operators that work element by element, constants fitting. Chains of transposes and reshapes are
shortened on the way (merge_movement). What then stands before a fully connected layer (flatten of NCHW) goes into the
order of its weights. A channel shuffle becomes a gather, or the order of the weights that read it (_shuffle). Last,
movement rises above dequantize, so that it moves int8 and fold_qdq sees dequantize, operator, quantize.

What remains is needed: at graph inputs and outputs, whose layout is the source's, and where a source reshapes across
channels and pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.passes import _views
from edgert.passes._columns import reorder_weights
from edgert.passes._rewrite import Array, Sweep, first_input, inverse, is_per_channel, permuted
from edgert.passes._shuffle import gather_to_weights, merge_gather, shuffle_to_gather
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.merge_duplicates import merge_duplicates
from edgert.passes.merge_movement import chains_above, shorten

Perm = tuple[int, ...]
Rule = Callable[[Sweep, Node], bool]

LIMIT = 50  # sweeps; each moves a transpose over the whole graph, so that a few do
ELEMENTWISE = ("unary", "quantize", "dequantize", "cast", "copy", "lut")


def layout(graph: Graph) -> bool:
    """Takes them out; True when anything changed."""
    before = _structure(graph)
    merge_duplicates(graph)
    for _ in range(LIMIT):
        moved = Sweep(graph).run(_sink)
        moved |= Sweep(graph).run(reorder_weights)
        moved |= Sweep(graph).run(gather_to_weights)
        if not moved:
            break
        remove_dead_code(graph)
        merge_duplicates(graph)
    for _ in range(LIMIT):
        if not (Sweep(graph).run(_rise) | Sweep(graph).run(shorten)):
            break
        remove_dead_code(graph)
    return _structure(graph) != before


def _structure(graph: Graph) -> list[object]:
    """The graph but for names: what sinks through a dequantize and rises again has not changed."""
    numbers: dict[Value | None, int] = {None: -1}
    return [
        (
            node.op,
            node.output.shape if node.op == "reshape" else sorted(node.attrs.items()),
            [numbers.setdefault(value, len(numbers)) for value in (*node.inputs, *node.outputs)],
        )
        for node in graph.nodes
    ]


def _sink(sweep: Sweep, node: Node) -> bool:
    if shorten(sweep, node) or shuffle_to_gather(sweep, node) or merge_gather(sweep, node):
        return True
    rule = RULES.get(node.op)
    return rule is not None and rule(sweep, node)


def _above(sweep: Sweep, value: Value | None) -> tuple[Value, Perm] | None:
    """The source and the order of the transpose that writes a value; None when something else does."""
    node = None if value is None else sweep.producer.get(value)
    if node is None or node.op != "transpose" or node.inputs[0] is None:
        return None
    return node.inputs[0], tuple(node.attrs["perm"])


def _finish(sweep: Sweep, node: Node, inputs: list[Value | None], attrs: dict[str, object], perm: Perm) -> bool:
    """Emits the operator on untransposed inputs, and the transpose below it."""
    old = node.output
    if perm == tuple(range(len(perm))):
        sweep.emit(node.op, inputs, attrs, node, output=old)
        return True
    shape = tuple(permuted(old.shape, inverse(perm)))
    moved = Value(sweep.names.unique(f"{old.name}/{node.op}"), shape, old.dtype, old.quant)
    sweep.emit(node.op, inputs, attrs, node, output=moved)
    sweep.emit("transpose", [moved], {"perm": perm}, node, output=old)
    return True


def _elementwise(sweep: Sweep, node: Node) -> bool:
    if node.op == "dequantize" and is_per_channel(node.inputs[0]):
        return False
    above = _above(sweep, node.inputs[0])
    if above is not None:
        return _finish(sweep, node, [above[0]], node.attrs, above[1])
    return _below_reshape(sweep, node)


def _below_reshape(sweep: Sweep, node: Node) -> bool:
    """Element by element, other operands being constants that fit the shape above the reshape: the reshape sinks."""
    index = next((i for i, value in enumerate(node.inputs) if _writer(sweep, value) == "reshape"), None)
    flat = None if index is None else node.inputs[index]
    if flat is None or len(node.inputs) > 2:
        return False
    source = first_input(sweep.producer[flat])
    inputs: list[Value | None] = []
    for position, value in enumerate(node.inputs):
        if position == index:
            inputs.append(source)
        elif value is None or value.data is None or node.output.shape != flat.shape:
            return False
        elif value.data.size == 1:
            inputs.append(sweep.constant(value.data.reshape(()), value, value.quant))
        elif value.shape == flat.shape:
            inputs.append(sweep.constant(value.data.reshape(source.shape), value, value.quant))
        else:
            return False
    old = node.output
    moved = Value(sweep.names.unique(f"{old.name}/{node.op}"), source.shape, old.dtype, old.quant)
    sweep.emit(node.op, inputs, node.attrs, node, output=moved)
    sweep.emit("reshape", [moved], {"shape": old.shape}, node, output=old)
    return True


def _writer(sweep: Sweep, value: Value | None) -> str:
    node = None if value is None else sweep.producer.get(value)
    return "" if node is None else node.op


def _untransposed(sweep: Sweep, node: Node, value: Value, perm: Perm) -> Callable[[], Value] | None:
    """How to have a value in the order that the transpose `perm` starts from; None when that costs a transpose."""
    if int(np.prod(value.shape)) == 1 and len(value.shape) <= 1:
        return lambda: value
    full = (1,) * (len(perm) - len(value.shape)) + value.shape
    back = inverse(perm)
    if value.constant and value.data is not None:
        data: Array = np.ascontiguousarray(value.data.reshape(full).transpose(back))
        return lambda: sweep.constant(data, value, value.quant)
    for source, chain in chains_above(sweep, value):
        view: _views.View | None = _views.whole(source.shape)
        for link in chain:
            view = view and _views.apply(view, link.op, link.attrs, link.output.shape)
        view = view and _views.apply(view, "reshape", {}, full)
        view = view and _views.apply(view, "transpose", {"perm": back}, ())
        steps = None if view is None else _views.steps(source.shape, view)
        if steps is not None and all(op != "transpose" for op, _ in steps):
            return partial(_emit_steps, sweep, node, source, steps)
    return None


def _emit_steps(sweep: Sweep, node: Node, value: Value, steps: list[_views.Step]) -> Value:
    for op, attrs in steps:
        value = sweep.emit(op, [value], attrs, node)
    return value


def _reshape(sweep: Sweep, node: Node) -> bool:
    """The reshape first, then the transpose, of the dimensions as they are by then."""
    above = _above(sweep, node.inputs[0])
    if above is None:
        return False
    source, perm = above
    turned = _views.reshape_first(source.shape, perm, node.output.shape)
    if turned is None:
        return False
    shape, order = turned
    apart = sweep.emit("reshape", [source], {"shape": shape}, node)
    sweep.emit("transpose", [apart], {"perm": order}, node, output=node.output)
    return True


def _several(sweep: Sweep, node: Node) -> bool:
    """Operators that broadcast, and concat, by the order of any operand that is transposed."""
    rank = len(node.output.shape)
    perms = {
        above[1]: None for value in node.inputs if (above := _above(sweep, value)) is not None and len(above[1]) == rank
    }
    for perm in perms:
        ways = [_untransposed(sweep, node, value, perm) for value in node.inputs if value is not None]
        if all(way is not None for way in ways):
            inputs: list[Value | None] = [way() for way in ways if way is not None]
            attrs = dict(node.attrs)
            if node.op == "concat":
                attrs["axis"] = perm[attrs["axis"] % rank]
            return _finish(sweep, node, inputs, attrs, perm)
    return node.op in ("add", "sub", "mul", "binary") and _below_reshape(sweep, node)


def _pad(sweep: Sweep, node: Node) -> bool:
    above = _above(sweep, node.inputs[0])
    if above is None:
        return False
    source, perm = above
    renamed = {name: tuple(permuted(node.attrs[name], inverse(perm))) for name in node.attrs if name in AXIS_LISTS}
    return _finish(sweep, node, [source], {**node.attrs, **renamed}, perm)


AXIS_LISTS = ("before", "after", "begin", "end", "strides")  # one entry for every axis


def _one_axis(sweep: Sweep, node: Node) -> bool:
    """softmax and log_softmax."""
    above = _above(sweep, node.inputs[0])
    if above is None:
        return False
    source, perm = above
    axis = perm[node.attrs["axis"] % len(perm)]
    return _finish(sweep, node, [source], {**node.attrs, "axis": axis}, perm)


def _dropping(sweep: Sweep, node: Node) -> bool:
    """reduce and arg_max: the axes go, or stay with size 1."""
    above = _above(sweep, node.inputs[0])
    if above is None:
        return False
    source, perm = above
    rank = len(perm)
    if node.op == "reduce":
        old = [axis % rank for axis in node.attrs["axes"]] or list(range(rank))
        renamed: dict[str, object] = {"axes": tuple(sorted(perm[axis] for axis in old))}
    else:
        old = [node.attrs["axis"] % rank]
        renamed = {"axis": perm[old[0]]}
    below = perm
    if not node.attrs["keep_dims"]:
        left = [perm[axis] for axis in range(rank) if axis not in old]
        below = tuple(sorted(left).index(axis) for axis in left)
    return _finish(sweep, node, [source], {**node.attrs, **renamed}, below)


def _gather(sweep: Sweep, node: Node) -> bool:
    """With a vector of indices, which keeps the rank."""
    above = _above(sweep, node.inputs[0])
    indices = node.inputs[1]
    if above is None or indices is None or len(indices.shape) != 1:
        return False
    source, perm = above
    axis = perm[node.attrs["axis"] % len(perm)]
    return _finish(sweep, node, [source, indices], {**node.attrs, "axis": axis}, perm)


def _fully_connected(sweep: Sweep, node: Node) -> bool:
    above = _above(sweep, node.inputs[0])
    if above is None or above[1][-1] != len(above[1]) - 1:
        return False
    return _finish(sweep, node, [above[0], *node.inputs[1:]], node.attrs, above[1])


def _matmul(sweep: Sweep, node: Node) -> bool:
    inputs, attrs = list(node.inputs), dict(node.attrs)
    for index, flag in enumerate(("transpose_a", "transpose_b")):
        above = _above(sweep, inputs[index])
        if above is not None:
            rank = len(above[1])
            if above[1] == (*range(rank - 2), rank - 1, rank - 2):
                inputs[index], attrs[flag] = above[0], not attrs[flag]
    if inputs == node.inputs:
        return False
    sweep.emit("matmul", inputs, attrs, node, output=node.output)
    return True


RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(("add", "sub", "mul", "binary", "compare", "select", "prelu", "concat"), _several),
    **dict.fromkeys(("pad", "slice"), _pad),
    **dict.fromkeys(("softmax", "log_softmax"), _one_axis),
    **dict.fromkeys(("reduce", "arg_max"), _dropping),
    "gather": _gather,
    "reshape": _reshape,
    "fully_connected": _fully_connected,
    "matmul": _matmul,
}


def _rise(sweep: Sweep, node: Node) -> bool:
    """Movement of a dequantised tensor becomes movement of the quantised one."""
    moves = node.op in _views.MOVES or node.op == "gather"
    above = sweep.producer.get(first_input(node)) if moves else None
    if above is None or above.op != "dequantize" or is_per_channel(above.inputs[0]):
        return False
    stored = first_input(above)
    if stored.constant and len(node.inputs) == 1:
        (data,) = OPS_BY_NAME[node.op].run(node, [stored.data])
        moved = sweep.constant(np.ascontiguousarray(data), stored, stored.quant)
    else:
        moved = sweep.emit(node.op, [stored, *node.inputs[1:]], node.attrs, node)
    sweep.emit("dequantize", [moved], {}, above, output=node.output)
    return True
