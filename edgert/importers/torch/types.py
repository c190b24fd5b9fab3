"""Element types: PyTorch's numbers of them, what they become here, and how operands of different types meet."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.importers.builder import Array, RefusedError

# c10::ScalarType -> (PyTorch's name, what it becomes). Wide and narrow floats are float32 here.
SCALAR_TYPES: dict[int, tuple[str, DType | None]] = {
    0: ("uint8", DType.UINT8),
    1: ("int8", DType.INT8),
    2: ("int16", DType.INT16),
    3: ("int32", DType.INT32),
    4: ("int64", DType.INT64),
    5: ("float16", DType.FLOAT32),
    6: ("float32", DType.FLOAT32),
    7: ("float64", DType.FLOAT32),
    8: ("complex32", None),
    9: ("complex64", None),
    10: ("complex128", None),
    11: ("bool", DType.BOOL),
    15: ("bfloat16", DType.FLOAT32),
}
FLOAT32, INT64, BOOL = 6, 4, 11
# The same types in the JSON of exported programs (torch/_export/serde/schema.py).
FROM_SCHEMA = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 12: 11, 13: 15}
# Types that a tensor in a file may have: bytes of an element, and the NumPy type to read them as (bfloat16 apart).
STORED = {
    0: np.uint8, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.int64, 5: np.float16, 6: np.float32, 7: np.float64,
    11: np.bool_, 15: np.uint16,
}  # fmt: skip

FLOAT_FIX = "convert the module to float32 before export (module.float())"
_ORDER = {DType.BOOL: 0, DType.UINT8: 1, DType.INT8: 1, DType.INT16: 2, DType.INT32: 3, DType.INT64: 4}
_FLOATS = (DType.FLOAT32, DType.FLOAT16)


def type_name(code: int) -> str:
    return SCALAR_TYPES.get(code, (f"type {code}", None))[0]


def dtype_of(code: int) -> DType:
    """What a c10::ScalarType becomes; RefusedError for complex and packed types."""
    dtype = SCALAR_TYPES.get(code, ("", None))[1]
    if dtype is None:
        raise RefusedError(f"it computes with {type_name(code)} numbers", FLOAT_FIX)
    return dtype


def code_of(dtype: DType) -> int:
    """The c10::ScalarType of an element type."""
    return next(code for code, (name, _) in SCALAR_TYPES.items() if name == dtype.numpy_name)


def plain(array: Array) -> Array:
    """Floats of other widths as float32; all else as it is."""
    return array.astype(np.float32) if array.dtype.kind == "f" and array.dtype != np.float32 else array


def widen_bfloat16(bits: Array) -> Array:
    """float32 numbers from the 16 upper bits of each."""
    return np.asarray((bits.astype(np.uint32) << 16).view(np.float32))


def is_float(dtype: DType) -> bool:
    return dtype in _FLOATS


def promoted(a: DType, b: DType) -> DType:
    """The type in which two tensors meet (torch.promote_types): floats win, then the wider integer."""
    if a == b:
        return a
    if is_float(a) or is_float(b):
        return DType.FLOAT32
    if {a, b} == {DType.UINT8, DType.INT8}:
        return DType.INT16
    return max(a, b, key=lambda item: _ORDER[item])


def with_number(dtype: DType, number: float) -> DType:
    """The type in which a tensor meets a Python number: only a number of a higher kind changes the tensor's."""
    if isinstance(number, bool) or is_float(dtype):
        return dtype
    if isinstance(number, int):
        return DType.INT64 if dtype == DType.BOOL else dtype
    return DType.FLOAT32
