"""Where to draw a network's operators: in layers from top to bottom, with few crossings (Sugiyama's method).

fast-sugiyama lays out what is connected; components stand side by side, and operators without any edge in a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgert.errors import MissingExtraError

NODE_WIDTH, NODE_HEIGHT = 208, 48
_COLUMN, _ROW = 240, 84  # pixels from centre to centre
_GAP = 48  # between components

Point = tuple[float, float]


@dataclass(frozen=True)
class Placement:
    """Pixels, from the top left. centres: of every node. routes: for every edge, (from, to, points that its line goes
    through), centres of both nodes included."""

    width: float
    height: float
    centres: tuple[Point, ...]
    routes: tuple[tuple[int, int, tuple[Point, ...]], ...]


def place(count: int, edges: Sequence[tuple[int, int]]) -> Placement:
    """Places nodes 0 to count - 1. edges: (from, to), of which from is less than to, as operators in their order of
    execution have it. Raises MissingExtraError without fast-sugiyama."""
    try:
        from fast_sugiyama import from_edges
    except ImportError as error:
        raise MissingExtraError("fast-sugiyama", "drawing a network's graph", "report") from error
    forward = sorted({(a, b) for a, b in edges if 0 <= a < b < count})  # no cycle is possible
    joined = sorted({node for edge in forward for node in edge})
    number = {node: i for i, node in enumerate(joined)}  # the library gives its own points numbers beyond those in use
    centres: dict[int, Point] = {}
    routes: list[tuple[int, int, tuple[Point, ...]]] = []
    left = height = 0.0
    components = from_edges([(number[a], number[b]) for a, b in forward], vertex_spacing=_COLUMN) if forward else []
    for positions, _, _, links in sorted(components, key=lambda component: min(node for node, _ in component[0])):
        top = max(y for _, (_, y) in positions)
        start = min(x for _, (x, _) in positions)
        points = {
            node: (left + x - start + NODE_WIDTH / 2, (top - y) / _COLUMN * _ROW + NODE_HEIGHT / 2)
            for node, (x, y) in positions
        }
        follower: dict[int, list[int]] = {}
        for a, b in links or ():
            follower.setdefault(a, []).append(b)
        for node, point in points.items():
            if node < len(joined):
                centres[joined[node]] = point
                routes += [_route(node, following, follower, points, joined) for following in follower.get(node, ())]
        left = max(x for x, _ in points.values()) + NODE_WIDTH / 2 + _GAP
        height = max(height, *(y for _, y in points.values()))
    alone = [node for node in range(count) if node not in centres]
    for row, node in enumerate(alone):
        centres[node] = (left + NODE_WIDTH / 2, row * _ROW + NODE_HEIGHT / 2)
        height = max(height, centres[node][1])
    width = left + NODE_WIDTH if alone else max(left - _GAP, 0.0)
    placed = tuple(centres[node] for node in range(count))
    return Placement(width, height + NODE_HEIGHT / 2, placed, tuple(sorted(routes)))


def _route(
    node: int, following: int, follower: dict[int, list[int]], points: dict[int, Point], joined: Sequence[int]
) -> tuple[int, int, tuple[Point, ...]]:
    """The points that the library bends a long edge at, each of which has one follower."""
    through = [points[node], points[following]]
    while following >= len(joined):
        (following,) = follower[following]
        through.append(points[following])
    return joined[node], joined[following], tuple(through)
