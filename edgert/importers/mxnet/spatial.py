"""MXNet handlers: convolution, pooling, resizing of images and sequences."""

from __future__ import annotations

import math

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.elementwise import affine
from edgert.importers.layers.movement import concat
from edgert.importers.layers.pool import average_pool, global_pool, max_pool
from edgert.importers.layers.resize import resize
from edgert.importers.layers.window import Window, window
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction

MOST_SHARES = 1 << 20  # elements of a matrix that makes means of windows of several sizes


def _each(node: SourceNode, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A size for each spatial axis."""
    sizes = node.integers(name) or (default,) * rank
    if len(sizes) != rank:
        raise ModelError(f"{name} {list(sizes)} for {rank} spatial dimensions")
    return sizes


def _channels_last(node: SourceNode) -> bool:
    return node.text("layout", "").endswith("C")


def _sizes(x: Value, last: bool) -> tuple[int, ...]:
    return x.shape[1:-1] if last else x.shape[2:]


def _bias(node: SourceNode, default: bool) -> Value | None:
    """The third input, unless no_bias (whose default is given)."""
    return None if node.flag("no_bias", default) else node.input(2)


def conv(b: GraphBuilder, node: SourceNode) -> Value:
    """Weights [O, I/groups, *kernel], or [O, *kernel, I/groups] where the layout has channels last."""
    x, last = node.input(), _channels_last(node)
    sizes = _sizes(x, last)
    rank = len(sizes)
    kernel, stride, dilation, pad = (
        _each(node, name, rank, default) for name, default in (("kernel", 0), ("stride", 1), ("dilate", 1), ("pad", 0))
    )
    place = window(sizes, kernel, stride=stride, dilation=dilation, before=pad)
    weights = node.input(1)
    if last:
        weights = b.transpose(weights, (0, rank + 1, *range(1, rank + 1)))
    groups = node.integer("num_group", 1)
    return convolution(b, x, weights, _bias(node, False), place, groups, channels_last=last)


def deconv(b: GraphBuilder, node: SourceNode) -> Value:
    """With target_shape, padding is what it takes to get there."""
    if _channels_last(node):
        raise RefusedError(f"its layout is {node.text('layout', '')}", "use NCHW")
    x = node.input()
    rank = len(x.shape) - 2
    kernel, stride, dilation, pad, more = (
        _each(node, name, rank, default)
        for name, default in (("kernel", 0), ("stride", 1), ("dilate", 1), ("pad", 0), ("adj", 0))
    )
    full = [
        (size - 1) * step + (taps - 1) * spread + 1
        for size, taps, step, spread in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    out = _each(node, "target_shape", rank, 0)
    if any(out):
        pad = tuple((size - wanted + 1) // 2 for size, wanted in zip(full, out, strict=True))
    else:
        out = tuple(size - 2 * crop + extra for size, crop, extra in zip(full, pad, more, strict=True))
    return transposed_convolution(
        b, x, node.input(1), _bias(node, True), stride=stride, dilation=dilation, before=pad, out=out,
        groups=node.integer("num_group", 1),
    )  # fmt: skip


def pooling(b: GraphBuilder, node: SourceNode) -> Value:
    x, last = node.input(), _channels_last(node)
    kind = node.text("pool_type", "max")
    if kind not in ("max", "avg", "sum"):
        raise RefusedError(f"pool_type {kind}", "use max, avg or sum")
    if node.flag("global_pool", False):
        functions = {"max": ReduceFunction.MAX, "avg": ReduceFunction.MEAN, "sum": ReduceFunction.SUM}
        return global_pool(b, x, functions[kind], channels_last=last)
    place = _pool_window(node, _sizes(x, last))
    if kind == "max":
        return max_pool(b, x, place, channels_last=last)
    counts = kind == "sum" or node.flag("count_include_pad", True)
    if kind == "sum" and any(place.overhang):
        raise RefusedError("sums with sizes rounded up", "use pooling_convention valid")
    y = average_pool(b, x, place, counts_padding=counts, channels_last=last)
    return affine(b, y, math.prod(place.kernel), 0) if kind == "sum" else y


def _pool_window(node: SourceNode, sizes: tuple[int, ...]) -> Window:
    """pooling_convention "full" rounds sizes up, "valid" down."""
    rank = len(sizes)
    kernel, stride, pad = (
        _each(node, name, rank, default) for name, default in (("kernel", 0), ("stride", 1), ("pad", 0))
    )
    convention = node.text("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise RefusedError(f"pooling_convention {convention}", "use valid or full")
    if any(margin >= taps for margin, taps in zip(pad, kernel, strict=True)):
        raise ModelError(f"padding {list(pad)} is not smaller than the kernel {list(kernel)}")
    place = window(sizes, kernel, stride=stride, before=pad)
    if convention == "valid":
        return place
    rest = [
        (size + 2 * margin - taps) % step for size, margin, taps, step in zip(sizes, pad, kernel, stride, strict=True)
    ]
    return place._replace(overhang=tuple(step - left if left else 0 for left, step in zip(rest, stride, strict=True)))


def upsampling(b: GraphBuilder, node: SourceNode) -> Value:
    """nearest: inputs to one size, side by side as channels. bilinear: a transposed convolution with its weights."""
    scale, x = node.integer("scale", 0), node.input()
    if scale < 1 or len(x.shape) != 4:
        raise ModelError(f"scale {scale} of an input {list(x.shape)}")
    if node.text("sample_type", "nearest") == "bilinear":
        pad = math.ceil((scale - 1) / 2)
        out = tuple(size * scale for size in x.shape[2:])
        return transposed_convolution(
            b, x, node.input(1), None, stride=(scale, scale), before=(pad, pad), out=out, groups=x.shape[1]
        )
    if node.text("multi_input_mode", "concat") != "concat":
        raise RefusedError("multi_input_mode sum", "add the inputs before it")
    height, width = (size * scale for size in x.shape[2:])
    larger = [
        resize(b, item, (*item.shape[:2], height, width), mode="nearest", coordinates="asymmetric", nearest="floor")
        for item in node.inputs
    ]
    return concat(b, larger, 1)


def bilinear_resize(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    if node.text("mode", "size") != "size" or len(x.shape) != 4:
        raise RefusedError(f"mode {node.text('mode', 'size')}", "state height and width, or scales, alone")
    height, width = node.integer("height", 1), node.integer("width", 1)
    if node.has("scale_height"):
        height = int(x.shape[2] * node.number("scale_height", 1))
        width = int(x.shape[3] * node.number("scale_width", 1))
    coordinates = "align_corners" if node.flag("align_corners", True) else "half_pixel"
    return resize(b, x, (*x.shape[:2], height, width), mode="linear", coordinates=coordinates)


def adaptive_average_pool(b: GraphBuilder, node: SourceNode) -> Value:
    """To output_size pixels (1 by default); where sizes do not divide, windows differ, as a product has them."""
    x = node.input()
    stated = node.integers("output_size") or (1,)
    wanted = stated * 2 if len(stated) == 1 else stated
    if (
        len(x.shape) != 4
        or len(wanted) != 2
        or min(wanted) < 1
        or any(out > size for out, size in zip(wanted, x.shape[2:], strict=True))
    ):
        raise ModelError(f"output_size {list(stated)} of an input {list(x.shape)}")
    if wanted == (1, 1):
        return global_pool(b, x, ReduceFunction.MEAN)
    if all(size % out == 0 for size, out in zip(x.shape[2:], wanted, strict=True)):
        kernel = tuple(size // out for size, out in zip(x.shape[2:], wanted, strict=True))
        return average_pool(b, x, window(x.shape[2:], kernel, stride=kernel), counts_padding=True)
    if any(size * out > MOST_SHARES for size, out in zip(x.shape[2:], wanted, strict=True)):
        raise RefusedError(f"from {x.shape[2]} x {x.shape[3]} pixels to {list(wanted)}", "use sizes that divide")
    rows, columns = (_shares(size, out) for size, out in zip(x.shape[2:], wanted, strict=True))
    y = b.emit("matmul", [x, columns], {"transpose_b": True})
    y = b.emit("matmul", [b.transpose(y, (0, 1, 3, 2)), rows], {"transpose_b": True})
    return b.transpose(y, (0, 1, 3, 2))


def _shares(size: int, out: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """[out, size]: the mean over positions floor(i * size / out) to ceil((i + 1) * size / out)."""
    matrix = np.zeros((out, size), np.float32)
    for index in range(out):
        begin, end = index * size // out, -(-(index + 1) * size // out)
        matrix[index, begin:end] = 1 / (end - begin)
    return matrix


HANDLERS: dict[str, Handler] = {
    "Convolution": conv,
    "Convolution_v1": conv,
    "Deconvolution": deconv,
    "Pooling": pooling,
    "Pooling_v1": pooling,
    "UpSampling": upsampling,
    "_contrib_AdaptiveAvgPooling2D": adaptive_average_pool,
    "_contrib_BilinearResize2D": bilinear_resize,
}
