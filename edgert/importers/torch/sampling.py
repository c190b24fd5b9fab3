"""PyTorch handlers: images read between their pixels (spatial transformers)."""

from __future__ import annotations

import math

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array
from edgert.importers.layers import sampling
from edgert.importers.torch.builder import Builder, Call, Handler
from edgert.ir import Value

MODES = ("linear", "nearest", "cubic")
LARGEST = 1 << 24  # places of a grid
PADDINGS = ("zeros", "border", "reflection")


def grid_sampler(b: Builder, call: Call) -> Value:
    mode, padding = call.integer("interpolation_mode"), call.integer("padding_mode")
    if not (0 <= mode < len(MODES) and 0 <= padding < len(PADDINGS)):
        raise ModelError(f"interpolation mode {mode} with padding mode {padding}")
    x, grid = b.value(call, "input"), b.value(call, "grid")
    return sampling.grid_sample(b, x, grid, MODES[mode], PADDINGS[padding], call.flag("align_corners"))


def affine_grid(b: Builder, call: Call) -> Value:
    """Matrices [N, K, K + 1] to the places [N, *sizes, K] where they put the pixels of an image."""
    theta, shape, corners = b.value(call, "theta"), call.integers("size"), call.flag("align_corners")
    sizes = shape[2:]
    rank = len(sizes)
    if rank not in (2, 3) or theta.shape != (shape[0], rank, rank + 1) or not 1 <= math.prod(sizes) <= LARGEST:
        raise ModelError(f"matrices {list(theta.shape)} for images {list(shape)}")
    lines: list[Array] = []
    for size in sizes:
        ends = 1.0 if corners else (size - 1) / size
        lines.append(np.linspace(-ends, ends, size, dtype=np.float32) if size > 1 else np.zeros(1, np.float32))
    places = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(sizes, np.float32)], -1)
    rows = b.const(places.reshape(1, -1, rank + 1).astype(np.float32))
    moved = b.emit("matmul", [rows, theta], {"transpose_b": True})
    return b.reshape(moved, (shape[0], *sizes, rank))


HANDLERS: dict[str, Handler] = {
    "aten.grid_sampler": grid_sampler,
    "aten.grid_sampler_2d": grid_sampler,
    "aten.grid_sampler_3d": grid_sampler,
    "aten.affine_grid_generator": affine_grid,
}
