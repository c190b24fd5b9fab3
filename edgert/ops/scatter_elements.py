"""scatter_elements: x with y[indices[i, j], j] written or joined by updates[i, j] along axis 0, and so on."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode, ScatterReduction
from edgert.ops._indices import check_elements, coordinates
from edgert.ops._move import normal_axis
from edgert.ops._scatter import check_updates, join


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, indices, updates = inputs
    assert x is not None
    assert indices is not None
    assert updates is not None
    check_updates(x, updates, attrs["reduction"])
    check_elements(x, indices, normal_axis(attrs["axis"], len(x.shape)))
    if indices.shape != updates.shape:
        raise ModelError(f"indices {list(indices.shape)} and updates {list(updates.shape)} differ in shape")
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
    axis = normal_axis(attrs["axis"], x.ndim)
    y = x.copy()
    join(y, coordinates(indices, axis, x.shape[axis]), updates, attrs["reduction"])
    return [y]


SCATTER_ELEMENTS = OpDef(
    name="scatter_elements",
    code=OpCode.SCATTER_ELEMENTS,
    inputs=(3, 3),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"axis": 0, "reduction": ScatterReduction.NONE},
)
