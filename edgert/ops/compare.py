"""compare: two operands, broadcast as in NumPy, to bool."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._broadcast import infer_binary
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import CompareFunction, OpCode

_FUNCTIONS: dict[CompareFunction, Callable[[Array, Array], Array]] = {
    CompareFunction.EQUAL: np.equal,
    CompareFunction.NOT_EQUAL: np.not_equal,
    CompareFunction.LESS: np.less,
    CompareFunction.LESS_EQUAL: np.less_equal,
    CompareFunction.GREATER: np.greater,
    CompareFunction.GREATER_EQUAL: np.greater_equal,
}
_NUMBERS = (DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    a, b = inputs
    assert a is not None
    assert b is not None
    equality = attrs["function"] in (CompareFunction.EQUAL, CompareFunction.NOT_EQUAL)
    spec = infer_binary(inputs, (*_NUMBERS, DType.BOOL) if equality else _NUMBERS)
    if a.quant != b.quant:
        raise ModelError("the inputs differ in quantisation, needed the same")
    return [TensorSpec(spec.shape, DType.BOOL)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    a, b = arrays
    assert a is not None
    assert b is not None
    return [np.asarray(_FUNCTIONS[CompareFunction(attrs["function"])](a, b))]


COMPARE = OpDef(
    name="compare",
    code=OpCode.COMPARE,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"function": ...},
)
