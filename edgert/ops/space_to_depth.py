"""space_to_depth: x[N, H*b, W*b, C] -> y[N, H, W, b*b*C], a block's pixels in rows, then its channels."""

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
    if h % block or w % block:
        raise ModelError(f"input is {h}x{w}, needed multiples of {block}")
    return [n, h // block, w // block, c * block * block]


def _move(x: Array, attrs: Attrs) -> Array:
    block, (n, h, w, c) = attrs["block"], x.shape
    blocks = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h // block, w // block, block * block * c)


SPACE_TO_DEPTH = mover("space_to_depth", OpCode.SPACE_TO_DEPTH, {"block": 2}, _shape, _move)
