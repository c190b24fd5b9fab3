"""Shortens chains of reshape, transpose and slice.

Cases: a chain that equals a cheaper one (see _views): transposes that cancel or combine, reshapes that combine, a
transpose that moves only dimensions of size 1 (a reshape), a channel shuffle followed by a split (strided slices), and
operators that do nothing (with a reshape to the same shape, a broadcast_to of the same shape, a pad of nothing).
"""

from __future__ import annotations

from edgert.ir import Graph, Node
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
    chain = [node]
    while (above := sweep.producer.get(first_input(chain[-1]))) is not None and above.op in _views.MOVES:
        chain.append(above)
    while chain:
        source = first_input(chain[-1])
        view: _views.View | None = _views.whole(source.shape)
        for link in reversed(chain):
            view = view and _views.apply(view, link.op, link.attrs, link.output.shape)
        steps = None if view is None else _views.steps(source.shape, view)
        if steps is not None and _views.cost(steps) < _views.cost([(link.op, link.attrs) for link in chain]):
            return _emit(sweep, node, chain, steps)
        chain.pop()
    return False


def _emit(sweep: Sweep, node: Node, chain: list[Node], steps: list[_views.Step]) -> bool:
    value = first_input(chain[-1])
    if not steps:
        return sweep.replace(node.output, value)
    for index, (op, attrs) in enumerate(steps):
        last = index == len(steps) - 1
        value = sweep.emit(op, [value], attrs, node, output=node.output if last else None)
    return True
