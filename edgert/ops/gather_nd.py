"""gather_nd: each tuple of indices picks an element of x, or all that lies behind it (ONNX GatherND)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._indices import check_tuples, settled
from edgert.ops._move import check_shape


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, indices = inputs
    assert x is not None
    assert indices is not None
    batch_dims = attrs["batch_dims"]
    depth = check_tuples(x, indices, batch_dims)
    return [TensorSpec(check_shape([*indices.shape[:-1], *x.shape[batch_dims + depth :]]), x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """IndexError for an index outside x."""
    x, indices = arrays
    assert x is not None
    assert indices is not None
    batch, depth = attrs["batch_dims"], indices.shape[-1]
    where = settled(indices, x.shape[batch : batch + depth])
    lead, rest = indices.shape[:-1], x.shape[batch + depth :]
    positions = math.prod(x.shape[:batch])
    flat = x.reshape((positions, *x.shape[batch:]))
    tuples = where.reshape(positions, math.prod(indices.shape[batch:-1]), depth)
    first = np.arange(positions)[:, np.newaxis]
    picked = flat[(np.broadcast_to(first, tuples.shape[:2]), *np.moveaxis(tuples, -1, 0))]
    return [picked.reshape((*lead, *rest))]


GATHER_ND = OpDef(
    name="gather_nd",
    code=OpCode.GATHER_ND,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={"batch_dims": 0},
)
