"""Fuses padding with zeros into the operator below.

Cases: a constant pad of height and width of an image [N,H,W,C] with the real value 0, read by conv2d or
depthwise_conv2d (their padding grows), or by an average_pool2d without padding of its own (it then counts the padding).
Other readers of the pad keep it.
"""

from __future__ import annotations

from edgert.ir import Graph, Node
from edgert.ops._enums import PadMode
from edgert.passes._rewrite import Sweep

SIDES = ("pad_top", "pad_left", "pad_bottom", "pad_right")


def fuse_pad(graph: Graph) -> bool:
    """Fuses them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op not in ("conv2d", "depthwise_conv2d", "average_pool2d") or node.inputs[0] is None:
        return False
    pad = sweep.producer.get(node.inputs[0])
    if pad is None or pad.op != "pad" or pad.attrs["mode"] != PadMode.CONSTANT or pad.attrs["value"] != 0.0:
        return False
    before, after = pad.attrs["before"], pad.attrs["after"]
    if before[0] or before[3] or after[0] or after[3]:
        return False
    attrs = dict(node.attrs)
    if node.op == "average_pool2d":
        if any(attrs[side] for side in SIDES):
            return False
        attrs["count_include_pad"] = True
    for side, more in zip(SIDES, (before[1], before[2], after[1], after[2]), strict=True):
        attrs[side] += more
    sweep.emit(node.op, [pad.inputs[0], *node.inputs[1:]], attrs, node, output=node.output)
    return True
