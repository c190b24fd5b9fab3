"""gather_elements: y[i, j] = x[indices[i, j], j] along axis 0, and so on (ONNX GatherElements, PyTorch gather)."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.dtypes import QuantParams
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._indices import check_elements, coordinates
from edgert.ops._move import check_shape, normal_axis


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, indices = inputs
    assert x is not None
    assert indices is not None
    check_elements(x, indices, normal_axis(attrs["axis"], len(x.shape)))
    return [TensorSpec(check_shape(indices.shape), x.dtype)]


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
    axis = normal_axis(attrs["axis"], x.ndim)
    return [x[coordinates(indices, axis, x.shape[axis])]]


GATHER_ELEMENTS = OpDef(
    name="gather_elements",
    code=OpCode.GATHER_ELEMENTS,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={"axis": 0},
)
