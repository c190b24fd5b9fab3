"""Tensors of one to three spatial dimensions, channels first or last, as the NHWC images that operators take."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.importers.builder import GraphBuilder
from edgert.ir import Value


def spatial(x: Value, channels_last: bool = False) -> tuple[int, ...]:
    """Sizes of the spatial dimensions of [N, C, *sizes], or [N, *sizes, C]."""
    return x.shape[1:-1] if channels_last else x.shape[2:]


def channels(x: Value, channels_last: bool = False) -> int:
    return x.shape[-1] if channels_last else x.shape[1]


def to_last(b: GraphBuilder, x: Value, channels_last: bool = False) -> Value:
    """[N, C, *sizes] as [N, *sizes, C]; a sequence becomes an image of height 1, [N, 1, L, C]."""
    rank = len(x.shape)
    y = x if channels_last else b.transpose(x, (0, *range(2, rank), 1))
    return b.reshape(y, (y.shape[0], 1, *y.shape[1:])) if rank == 3 else y


def from_last(b: GraphBuilder, y: Value, rank: int, channels_last: bool = False) -> Value:
    """The inverse of to_last, to a tensor of the given rank."""
    if rank == 3:
        y = b.reshape(y, (y.shape[0], *y.shape[2:]))
    return y if channels_last else b.transpose(y, (0, rank - 1, *range(1, rank - 1)))


def pad_sizes(b: GraphBuilder, y: Value, before: Sequence[int], after: Sequence[int], fill: float = 0.0) -> Value:
    """Padding of the spatial dimensions of [N, *sizes, C]."""
    return b.pad(y, (0, *before, 0), (0, *after, 0), fill)
