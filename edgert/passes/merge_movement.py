"""Shortens chains of reshape, transpose and slice.

Cases: a chain that equals a cheaper one (see _views): transposes that cancel or combine, reshapes that combine, a
transpose that moves only dimensions of size 1 (a reshape), a channel shuffle followed by a split (strided slices), a
slice of what is transposed (sliced first, there is less to transpose), and operators that do nothing (a reshape to
the same shape, a broadcast_to of the same shape, a pad of nothing).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgert.ir import Graph, Node, Value
from edgert.passes import _views
from edgert.passes._rewrite import Sweep, first_input


def merge_movement(graph: Graph) -> bool:
    """Shortens them; True when there were any."""
    return Sweep(graph).run(shorten)


def shorten(sweep: Sweep, node: Node) -> bool:
    """Visitor: emits a cheaper chain in place of the one that ends with this node, if there is one."""
    if node.op in ("broadcast_to", "pad") and node.inputs[0] is not None:
        unchanged = node.output.shape == node.inputs[0].shape
        return unchanged and sweep.replace(node.output, node.inputs[0])
    if node.op not in _views.MOVES:
        return False
    for source, chain in chains_above(sweep, first_input(node)):
        links = [*chain, node]
        view: _views.View | None = _views.whole(source.shape)
        for link in links:
            view = view and _views.apply(view, link.op, link.attrs, link.output.shape)
        steps = None if view is None else _views.steps(source.shape, view)
        elements = math.prod(source.shape)
        old = _views.cost(elements, [(link.op, link.attrs) for link in links])
        if steps is not None and _views.cost(elements, steps) < old:
            return _emit(sweep, node, source, steps)
    return False


def chains_above(sweep: Sweep, value: Value) -> Iterator[tuple[Value, list[Node]]]:
    """Sources and the movement from them to a value, in order, the longest first; the last is the value itself."""
    chain: list[Node] = []
    sources = [value]
    while (above := sweep.producer.get(sources[0])) is not None and above.op in _views.MOVES:
        chain.insert(0, above)
        sources.insert(0, first_input(above))
    for index, source in enumerate(sources):
        yield source, chain[index:]


def _emit(sweep: Sweep, node: Node, value: Value, steps: list[_views.Step]) -> bool:
    if not steps:
        return sweep.replace(node.output, value)
    for index, (op, attrs) in enumerate(steps):
        last = index == len(steps) - 1
        value = sweep.emit(op, [value], attrs, node, output=node.output if last else None)
    return True
