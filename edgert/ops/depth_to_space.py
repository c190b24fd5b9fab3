"""depth_to_space: x[N, H, W, C*b*b] -> y[N, H*b, W*b, C]."""

from __future__ import annotations

from edgert.errors import ModelError
from edgert.ops._def import Array, Attrs
from edgert.ops._enums import OpCode
from edgert.ops._move import mover


def _shape(shape: tuple[int, ...], attrs: Attrs) -> list[int]:
    block = attrs["block"]
    if len(shape) != 4:
        raise ModelError(f"input has {len(shape)} dimensions, needed 4 (N, H, W, C)")
    if not 1 <= block <= 1024:
        raise ModelError(f"block is {block}, needed 1 to 1024")
    n, h, w, c = shape
    if c % (block * block):
        raise ModelError(f"input has {c} channels, needed a multiple of {block * block}")
    return [n, h * block, w * block, c // (block * block)]


def _move(x: Array, attrs: Attrs) -> Array:
    """A pixel's channels are [b, b, C], or [C, b, b] with column_row_depth (DCR and CRD of ONNX DepthToSpace)."""
    block, (n, h, w, c) = attrs["block"], x.shape
    depth = c // (block * block)
    if attrs["column_row_depth"]:
        blocks = x.reshape(n, h, w, depth, block, block).transpose(0, 1, 4, 2, 5, 3)
    else:
        blocks = x.reshape(n, h, w, block, block, depth).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h * block, w * block, depth)


DEPTH_TO_SPACE = mover(
    "depth_to_space", OpCode.DEPTH_TO_SPACE, {"block": 2, "column_row_depth": False}, _shape, _move
)  # fmt: skip
