"""What operators that pick or place elements by index share: negative indices count from the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array


def check_index_type(indices: Value) -> None:
    if indices.dtype not in (DType.INT32, DType.INT64):
        raise ModelError(f"indices are {indices.dtype.name}, needed INT32 or INT64")


def check_constant(indices: Value, sizes: Sequence[int]) -> None:
    """Constant indices must lie within these sizes: one, or one for each entry of their last dimension."""
    if not indices.constant or indices.data is None or not indices.data.size:
        return
    limits = np.asarray(sizes, np.int64)
    if (indices.data < -limits).any() or (indices.data >= limits).any():
        low, high = int(indices.data.min()), int(indices.data.max())
        raise ModelError(f"indices run from {low} to {high}, for dimensions of {list(sizes)}")


def settled(indices: Array, sizes: Sequence[int]) -> Array:
    """Indices counted from the start; IndexError for one outside."""
    limits = np.asarray(sizes, np.int64)
    wide = indices.astype(np.int64)
    if (wide < -limits).any() or (wide >= limits).any():
        raise IndexError(f"an index is outside dimensions of {list(sizes)}")
    return np.where(wide < 0, wide + limits, wide)


def check_tuples(x: Value, indices: Value, batch_dims: int) -> int:
    """Length of the tuples in the indices' last dimension; ModelError when they cannot index x."""
    check_index_type(indices)
    lead = len(indices.shape) - 1
    if lead < 0:
        raise ModelError("the indices are a scalar, needed at least one dimension")
    if not 0 <= batch_dims <= min(lead, len(x.shape)):
        raise ModelError(f"batch_dims is {batch_dims} for indices {list(indices.shape)} into {list(x.shape)}")
    if indices.shape[:batch_dims] != x.shape[:batch_dims]:
        raise ModelError(f"indices {list(indices.shape)} and input {list(x.shape)} differ in their batch dimensions")
    depth = indices.shape[-1]
    if not 1 <= depth <= len(x.shape) - batch_dims:
        raise ModelError(f"tuples have {depth} indices, needed 1 to {len(x.shape) - batch_dims}")
    check_constant(indices, x.shape[batch_dims : batch_dims + depth])
    return depth


def check_elements(x: Value, indices: Value, axis: int) -> None:
    """Indices that replace the coordinate on one (normal) axis of their own position."""
    check_index_type(indices)
    fits = len(indices.shape) == len(x.shape) and all(
        i == axis or size <= whole for i, (size, whole) in enumerate(zip(indices.shape, x.shape, strict=True))
    )
    if not fits:
        raise ModelError(f"indices {list(indices.shape)} do not fit {list(x.shape)} along axis {axis}")
    check_constant(indices, [x.shape[axis]])


def coordinates(indices: Array, axis: int, size: int) -> tuple[Array, ...]:
    """Where each element of indices points, one array a dimension."""
    grid: list[Array] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = settled(indices, [size])
    return tuple(grid)
