"""ONNX handler of ConvTranspose."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.errors import ModelError
from edgert.importers.builder import QuantizedConstant
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.norm import along
from edgert.importers.onnx.builder import Builder, Handler, SourceNode
from edgert.importers.onnx.spatial import weights_of
from edgert.ir import Value


def conv_transpose(b: Builder, node: SourceNode) -> Value:
    """x [N, I, ...], weights [I, O/groups, ...]."""
    x, weights = b.value(node, 0), weights_of(b, node, 1)
    shape = weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape
    rank = len(x.shape) - 2
    if len(shape) != rank + 2:
        raise ModelError(f"weights {list(shape)} do not fit an input {list(x.shape)}")
    sides = _sides(node, x.shape[2:], shape[2:])
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    reach = [
        step * (size - 1) + (taps - 1) * apart + 1 - crop
        for size, taps, step, apart, (_, crop) in zip(x.shape[2:], shape[2:], strides, dilations, sides, strict=True)
    ]
    beyond = [max(size - most, 0) for (size, _), most in zip(sides, reach, strict=True)]
    bias = b.optional(node, 2)
    y = transposed_convolution(
        b,
        x,
        weights,
        None if any(beyond) else bias,
        stride=strides,
        dilation=dilations,
        before=[crop for _, crop in sides],
        out=[size - more for (size, _), more in zip(sides, beyond, strict=True)],
        groups=node.integer("group", 1),
    )
    if any(beyond):  # positions that no tap reaches hold the bias alone
        y = b.pad(y, (0,) * (rank + 2), (0, 0, *beyond))
        y = y if bias is None else b.add(y, along(b, y, bias, 1))
    return y


def _sides(node: SourceNode, sizes: Sequence[int], kernel: Sequence[int]) -> list[tuple[int, int]]:
    """Of every spatial axis: the output's size, and how much of the full result comes before it."""
    rank = len(sizes)
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    pads = node.integers("pads") or (0,) * (2 * rank)
    extra = node.integers("output_padding") or (0,) * rank
    stated = node.integers("output_shape")
    if {len(strides), len(dilations), len(extra), len(pads) // 2} != {rank}:
        raise ModelError(f"strides, dilations, pads or output_padding do not fit {rank} spatial dimensions")
    if min(*strides, *dilations) < 1 or min(*pads, *extra) < 0:
        raise ModelError("strides and dilations must be at least 1, pads and output_padding at least 0")
    automatic = node.text("auto_pad", "NOTSET")
    if automatic.startswith("SAME") and stated is None:
        stated = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
    sides = []
    for axis, size in enumerate(sizes):
        full = strides[axis] * (size - 1) + (kernel[axis] - 1) * dilations[axis] + 1 + extra[axis]
        if stated is not None:
            out = stated[-rank:][axis]
            total = max(full - out, 0)
            sides.append((out, total // 2 if automatic == "SAME_UPPER" else total - total // 2))
        elif automatic == "VALID":
            sides.append((full, 0))
        else:
            sides.append((full - pads[axis] - pads[rank + axis], pads[axis]))
    return sides


HANDLERS: dict[str, Handler] = {"ConvTranspose": conv_transpose}
