"""MXNet handlers: spatial transformers, and elements picked by computed indices."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.layers import indices as layers
from edgert.importers.layers.sampling import grid_sample
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

MOST_PLACES = 1 << 22  # of a grid


def _plane(height: int, width: int) -> Array:
    """[3, height * width]: x and y of every place, from -1 to 1, and 1."""
    if min(height, width) < 1 or height * width > MOST_PLACES:
        raise ModelError(f"a grid of {height} x {width} places")
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.asarray([x.ravel(), y.ravel(), np.ones(height * width)], np.float32)


def _affine(b: GraphBuilder, node: SourceNode, theta: Value) -> Value:
    """[N, 2, height, width] of theta [N, 6], in target_shape."""
    sizes = node.integers("target_shape")
    if len(sizes) != 2 or len(theta.shape) != 2 or theta.shape[1] != 6:
        raise ModelError(f"target_shape {list(sizes)} and parameters {list(theta.shape)}")
    matrix = b.reshape(theta, (theta.shape[0], 2, 3))
    return b.reshape(b.emit("matmul", [matrix, _plane(*sizes)]), (theta.shape[0], 2, *sizes))


def grid_generator(b: GraphBuilder, node: SourceNode) -> Value:
    """Places from an affine transformation, or from a flow in pixels added to each pixel's own."""
    x = node.input()
    if node.text("transform_type", "") == "affine":
        return _affine(b, node, x)
    if len(x.shape) != 4 or x.shape[1] != 2 or min(x.shape[2:]) < 2:
        raise ModelError(f"a flow {list(x.shape)}, needed [N, 2, H, W]")
    height, width = x.shape[2:]
    scale = np.array([2 / (width - 1), 2 / (height - 1)], np.float32).reshape(1, 2, 1, 1)
    return b.add(b.mul(x, scale), _plane(height, width)[:2].reshape(1, 2, height, width))


def bilinear_sampler(b: GraphBuilder, node: SourceNode) -> Value:
    return _sampled(b, node.input(0), node.input(1))


def spatial_transformer(b: GraphBuilder, node: SourceNode) -> Value:
    return _sampled(b, node.input(0), _affine(b, node, node.input(1)))


def _sampled(b: GraphBuilder, x: Value, grid: Value) -> Value:
    if len(x.shape) != 4 or len(grid.shape) != 4:
        raise ModelError(f"an image {list(x.shape)} and a grid {list(grid.shape)}, needed 4 dimensions")
    return grid_sample(b, x, b.transpose(grid, (0, 2, 3, 1)), "linear", "zeros", align_corners=True)


def _whole(b: GraphBuilder, x: Value) -> Value:
    return b.emit("cast", [x], dtype=DType.INT32) if x.dtype == DType.FLOAT32 else x


def gather_nd(b: GraphBuilder, node: SourceNode) -> Value:
    """Indices [depth, ...] into the first dimensions."""
    places = _whole(b, node.input(1))
    rank = len(places.shape)
    return layers.gather_nd(b, node.input(), b.transpose(places, (*range(1, rank), 0)))


def pick(b: GraphBuilder, node: SourceNode) -> Value:
    """One element of every row along an axis, by the numbers of the second input, clipped to what there is."""
    if node.text("mode", "clip") != "clip":
        raise RefusedError(f"mode {node.text('mode', 'clip')}", "use clip")
    x, axis = node.input(), node.axis("axis", -1)
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    numbers = b.reshape(b.unary(UnaryFunction.CLIP, node.input(1), 0, x.shape[axis] - 1), kept)
    picked = b.emit("gather_elements", [x, _whole(b, numbers)], {"axis": axis})
    if node.flag("keepdims", False):
        return picked
    return b.reshape(picked, (*x.shape[:axis], *x.shape[axis + 1 :]) or (1,))


HANDLERS: dict[str, Handler] = {
    "BilinearSampler": bilinear_sampler,
    "GridGenerator": grid_generator,
    "SpatialTransformer": spatial_transformer,
    "gather_nd": gather_nd,
    "pick": pick,
}
