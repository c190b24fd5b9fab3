"""Plain 8-bit integers and booleans, for operators that the runtime has for wider types.

ONNX computes on uint8 and int8 without any scale modulo 2^8, and takes the largest of booleans. Here such inputs are
widened to int32, the operator runs, and its result is narrowed again: cast works modulo 2^n, so that the numbers are
the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgert.dtypes import DType
from edgert.importers.onnx.builder import Builder, Handler, Outputs, QuantizedConstant, SourceNode
from edgert.ir import Value

# Operators whose result has the type of their inputs.
SAME_TYPE = {
    "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max", "Sum", "Abs", "Neg", "Sign", "Clip", "Relu", "BitShift",
    "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd",
    "CumSum", "CumProd",
}  # fmt: skip
# Operators that are exact in float32 for 8-bit numbers.
AS_FLOAT = {"MaxPool", "GlobalMaxPool", "Hardmax"}
NARROW = (DType.UINT8, DType.INT8, DType.INT16)


def widened(b: Builder, node: SourceNode, handler: Handler) -> Outputs:
    """The handler's outputs, of widened inputs where the operator wants that."""
    if node.op not in SAME_TYPE and node.op not in AS_FLOAT:
        return handler(b, node)
    source = _type(b, node.inputs[0]) if node.inputs else None
    if source is None or source not in ((*NARROW, DType.BOOL) if node.op in SAME_TYPE else (DType.UINT8, DType.INT8)):
        return handler(b, node)
    wide = DType.INT32 if node.op in SAME_TYPE else DType.FLOAT32
    names = tuple(_widen(b, name, source, wide) for name in node.inputs)
    result = handler(b, replace(node, inputs=names))
    if isinstance(result, Value | QuantizedConstant):
        return _narrow(b, result, source, wide)
    return [_narrow(b, item, source, wide) for item in result]


def _type(b: Builder, name: str) -> DType | None:
    if name in b.values:
        value = b.values[name]
        return value.dtype if value.quant is None and value not in b.unsigned else None
    return DType.of(b.constants[name].dtype) if name in b.constants else None


def _widen(b: Builder, name: str, source: DType, wide: DType) -> str:
    if not name or _type(b, name) != source:
        return name
    new = b.unique(f"{name}/wide")
    if name in b.constants:
        b.constants[new] = b.constants[name].astype(np.dtype(wide.numpy_name))
    else:
        b.values[new] = b.emit("cast", [b.values[name]], dtype=wide)
    return new


def _narrow(b: Builder, x: Value | QuantizedConstant, source: DType, wide: DType) -> Value:
    assert isinstance(x, Value)
    return b.emit("cast", [x], dtype=source) if x.dtype == wide else x
