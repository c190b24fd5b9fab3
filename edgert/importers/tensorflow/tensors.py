"""Element types and tensors of TensorFlow's files, as NumPy has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import RefusedError

Array = NDArray[Any]

STRING, BFLOAT16, RESOURCE, VARIANT = 7, 14, 20, 21
# Numbers of tensorflow.DataType -> name. int4 and the float8 kinds have no tensors here.
TYPE_NAMES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 9: "int64",
    10: "bool", 11: "qint8", 12: "quint8", 13: "qint32", 14: "bfloat16", 15: "qint16", 16: "quint16", 17: "uint16",
    18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
}  # fmt: skip
# What a type becomes here: floats of every width are float32, integers that the runtime lacks are wider.
KEPT = {
    "float32": "float32", "float64": "float32", "float16": "float32", "bfloat16": "float32", "int8": "int8",
    "uint8": "uint8", "int16": "int16", "int32": "int32", "int64": "int64", "bool": "bool", "uint16": "int32",
    "uint32": "int64", "uint64": "int64",
}  # fmt: skip
# The field of a TensorProto that holds numbers one by one.
_FIELDS = {
    "float32": "float_val", "float64": "double_val", "float16": "half_val", "bfloat16": "half_val", "bool": "bool_val",
    "int64": "int64_val", "uint32": "uint32_val", "uint64": "uint64_val",
}  # fmt: skip

# Bytes that constants of one repeated number may take, all of a graph together: a few bytes of a file could ask for any
# size.
REPEATED_LIMIT = 128 << 20


def type_name(number: int) -> str:
    """Name of a tensorflow.DataType; reference types (of variables, 100 higher) as what they refer to."""
    return TYPE_NAMES.get(number - 100 if number > 100 else number, f"type {number}")


def dtype_of(number: int) -> DType:
    """What a tensor of the type has here; RefusedError for text and the like."""
    name = type_name(number)
    if name not in KEPT:
        raise RefusedError(f"it is of type {name}", "cut the model where its tensors are numbers: inputs=[...]")
    return DType.of(KEPT[name])


def stated_shape(proto: Any) -> tuple[int, ...] | None:
    """Sizes of a TensorShapeProto, -1 where one is open; None when not even the rank is known."""
    return None if proto.unknown_rank else tuple(max(int(dim.size), -1) for dim in proto.dim)


def plain(array: Array) -> Array:
    """The array in a type that the runtime has."""
    name = array.dtype.name
    if name not in KEPT:
        raise RefusedError(f"it is of type {name}", "use float32, int32, int64, uint8, int8 or bool")
    return array.astype(KEPT[name], copy=False)


class TensorReader:
    """Turns TensorProtos into arrays; what repeated numbers may take is counted over all of them."""

    def __init__(self) -> None:
        self._left = REPEATED_LIMIT

    def array(self, proto: Any) -> Array:
        """The elements, in a type that the runtime has; ModelError when they do not fit the shape."""
        shape = tuple(int(dim.size) for dim in proto.tensor_shape.dim)
        if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
            raise ModelError(f"a constant has the shape {list(shape)}")
        name = type_name(proto.dtype)
        if name not in KEPT:
            raise RefusedError(f"a constant is of type {name}", "cut the model after it: inputs=[...]")
        stored = np.dtype("uint16" if name == "bfloat16" else name)
        count = math.prod(shape)
        if proto.tensor_content:
            if len(proto.tensor_content) != count * stored.itemsize:
                found = len(proto.tensor_content)
                raise ModelError(f"a constant of the shape {list(shape)} has {found} bytes of {name}")
            flat: Array = np.frombuffer(proto.tensor_content, stored.newbyteorder("<")).astype(stored)
        else:
            flat = self._listed(getattr(proto, _FIELDS.get(name, "int_val")), name, stored, count)
        if name == "bfloat16":  # the upper half of a float32
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return plain(flat).reshape(shape)

    def _listed(self, values: Sequence[Any], name: str, stored: np.dtype[Any], count: int) -> Array:
        """Numbers listed one by one; the last one stands for all that follow, and none at all for zeros."""
        if len(values) > count:
            raise ModelError(f"a constant of {count} elements lists {len(values)}")
        if len(values) < count:
            self._left -= count * max(stored.itemsize, 4)
            if self._left < 0:
                raise ModelError(
                    f"a constant of {count} elements lists {len(values)}: repeated numbers may take "
                    f"{REPEATED_LIMIT >> 20} MiB in all"
                )
        wide = "uint16" if name in ("float16", "bfloat16") else None
        given = np.asarray(list(values), np.int64).astype(np.uint16) if wide else np.asarray(list(values))
        given = given.view(np.float16) if name == "float16" else given.astype(stored)
        if not len(values):
            return np.zeros(count, stored)
        return np.concatenate([given, np.full(count - len(values), given[-1], given.dtype)])
