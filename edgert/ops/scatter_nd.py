"""scatter_nd: x in which each tuple of indices names an element, or a run of them, to write or join."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode, ScatterReduction
from edgert.ops._indices import check_tuples, settled
from edgert.ops._scatter import check_updates, join


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, indices, updates = inputs
    assert x is not None
    assert indices is not None
    assert updates is not None
    check_updates(x, updates, attrs["reduction"])
    depth = check_tuples(x, indices, 0)
    wanted = (*indices.shape[:-1], *x.shape[depth:])
    if updates.shape != wanted:
        raise ModelError(f"the shape of the updates does not fit: {list(updates.shape)}, needed {list(wanted)}")
    return [TensorSpec(x.shape, x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """IndexError for an index outside x."""
    x, indices, updates = arrays
    assert x is not None
    assert indices is not None
    assert updates is not None
    y = x.copy()
    where = settled(indices, x.shape[: indices.shape[-1]])
    join(y, tuple(np.moveaxis(where, -1, 0)), updates, attrs["reduction"])
    return [y]


SCATTER_ND = OpDef(
    name="scatter_nd",
    code=OpCode.SCATTER_ND,
    inputs=(3, 3),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"reduction": ScatterReduction.NONE},
)
