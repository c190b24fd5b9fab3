"""Fuses padding with zeros into the operator below.

Cases: a constant pad of height and width of an image [N,H,W,C] with the real value 0, read by conv2d or
depthwise_conv2d (their padding grows), or by an average_pool2d without padding of its own (it then counts padding).
A reshape that adds or drops dimensions of size 1 may stand between (a padded sequence), or a transpose (a padded graph
input that is channels first). Other readers keep the pad.
"""

from __future__ import annotations

from edgert.ir import Graph, Node
from edgert.ops._enums import PadMode
from edgert.passes._rewrite import Sweep, first_input, permuted

SIDES = ("pad_top", "pad_left", "pad_bottom", "pad_right")


def fuse_pad(graph: Graph) -> bool:
    """Fuses them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op not in ("conv2d", "depthwise_conv2d", "average_pool2d") or node.inputs[0] is None:
        return False
    between = pad = sweep.producer.get(node.inputs[0])
    shape = node.inputs[0].shape
    if pad is not None and pad.op in ("reshape", "transpose"):
        pad = sweep.producer.get(first_input(pad))
    if (
        between is None
        or pad is None
        or pad.op != "pad"
        or pad.attrs["mode"] != PadMode.CONSTANT
        or pad.attrs["value"] != 0.0
    ):
        return False
    perm = between.attrs.get("perm")
    amounts: tuple[tuple[int, ...], tuple[int, ...]] | None
    if perm is not None:
        amounts = tuple(permuted(pad.attrs["before"], perm)), tuple(permuted(pad.attrs["after"], perm))
    else:
        amounts = _in_shape(pad.output.shape, shape, pad.attrs["before"], pad.attrs["after"])
    if amounts is None:
        return False
    before, after = amounts
    if before[0] or before[3] or after[0] or after[3]:
        return False
    attrs = dict(node.attrs)
    if node.op == "average_pool2d":
        if any(attrs[side] for side in SIDES):
            return False
        attrs["count_include_pad"] = True
    for side, more in zip(SIDES, (before[1], before[2], after[1], after[2]), strict=True):
        attrs[side] += more
    x = first_input(pad)
    unpadded = tuple(size - b - a for size, b, a in zip(shape, before, after, strict=True))
    if perm is not None:
        x = sweep.emit("transpose", [x], {"perm": perm}, node)
    elif x.shape != unpadded:
        x = sweep.emit("reshape", [x], {"shape": unpadded}, node)
    sweep.emit(node.op, [x, *node.inputs[1:]], attrs, node, output=node.output)
    return True


def _in_shape(
    padded: tuple[int, ...], shape: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Padding of the axes of `padded` as padding of those of `shape`; None when they differ by more than ones."""
    if padded == shape:
        return before, after
    old = [axis for axis, size in enumerate(padded) if size != 1]
    new = [axis for axis, size in enumerate(shape) if size != 1]
    if [padded[axis] for axis in old] != [shape[axis] for axis in new]:
        return None
    place = dict(zip(new, old, strict=True))
    return (
        tuple(before[place[axis]] if axis in place else 0 for axis in range(len(shape))),
        tuple(after[place[axis]] if axis in place else 0 for axis in range(len(shape))),
    )
