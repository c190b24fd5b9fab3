"""Arguments of operations: what is given in a call, by position or by name, and what the configuration holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, leaves
from edgert.ir import Value

# What Keras and TensorFlow call the first two parameters.
X = ("x", "x1", "a", "input", "inputs", "tensor", "features", "input_tensor", "logits", "value", "image", "images")
Y = ("y", "x2", "b")


class Missing:
    """An argument that is not given."""


MISSING = Missing()


def argument(call: Call, position: int, *names: str) -> Any:
    """The argument at a position, or by one of its names; MISSING where it is not given."""
    for name in names:
        if name in call.kwargs:
            return call.kwargs[name]
    if 0 <= position < len(call.args):
        return call.args[position]
    for name in names:
        if name in call.layer.config and name != "name":
            return call.layer.config[name]
    return MISSING


def given(call: Call, position: int, default: Any, *names: str) -> Any:
    """As argument, with a default for what is not given, or None."""
    found = argument(call, position, *names)
    return default if found is MISSING or found is None else found


def constant(found: Any, like: Value | None = None) -> np.ndarray[Any, Any]:
    """Numbers as an array; of the type of the tensor that they meet."""
    try:
        data = np.asarray(found)
    except ValueError:
        raise ModelError(f"{found!r} is no array of numbers") from None
    if data.dtype.kind not in "biuf":
        raise ModelError(f"{found!r} is no array of numbers")
    if like is not None:
        return data.astype(like.dtype.numpy_name)
    return (
        data.astype(np.float32)
        if data.dtype.kind == "f"
        else data.astype(np.int32 if data.dtype.kind in "iu" else bool)
    )


def operands(b: GraphBuilder, call: Call, *named: Sequence[str]) -> list[Value]:
    """Operands that may be tensors or numbers, brought to one type."""
    found = [argument(call, position, *names) for position, names in enumerate(named)]
    if any(item is MISSING for item in found):
        raise ModelError(
            f"it is called with {sum(item is not MISSING for item in found)} operands, needed {len(found)}"
        )
    values = [item for item in found if isinstance(item, Value)]
    kinds = {value.dtype for value in values}
    if not values:
        raise ModelError("it is called without a tensor")
    floats = DType.FLOAT32 in kinds or any(isinstance(item, float) for item in found)
    like = DType.FLOAT32 if floats else max(kinds)
    made = []
    for item in found:
        if isinstance(item, Value):
            made.append(item if item.dtype == like else b.emit("cast", [item], dtype=like))
        else:
            made.append(b.const(np.asarray(constant(item), like.numpy_name)))
    return made


def tensors(call: Call) -> list[Value]:
    """All tensors, one after another or in a list."""
    return list(leaves([call.args, call.kwargs], Value))


def integer(found: Any, what: str) -> int:
    if isinstance(found, bool) or not isinstance(found, int):
        raise ModelError(f"{what} is {found!r}, needed an integer")
    return found


def axes_of(found: Any, rank: int) -> list[int]:
    """Axes counted from the front; all of them for None."""
    if found is None or found is MISSING:
        return list(range(rank))
    items = found if isinstance(found, (list, tuple)) else [found]
    axes = [integer(item, "axis") for item in items]
    if any(not -rank <= axis < rank for axis in axes):
        raise ModelError(f"axis is {found!r}, and its input has {rank} dimensions")
    return [axis % rank for axis in axes]


def shape_of(found: Any, what: str = "shape") -> list[int]:
    """A list of sizes, with -1 for an open one."""
    if next(leaves(found, Value), None) is not None:
        raise RefusedError(f"its {what} is computed", "state it in numbers")
    items = found if isinstance(found, (list, tuple)) else [found]
    return [-1 if item is None else integer(item, what) for item in items]


def dtype_of(found: Any) -> DType:
    name = found.get("config", {}).get("name") if isinstance(found, Mapping) else found
    name = str(name).rpartition(".")[2]
    if name in ("float64", "float16", "bfloat16"):
        name = "float32"
    try:
        return DType.of(name)
    except KeyError:
        raise RefusedError(f"the type {name!r}", "use float32, int32, int64, int8, uint8 or bool") from None


def first(call: Call) -> Value:
    """The tensor that it works on."""
    found = argument(call, 0, *X)
    if isinstance(found, Value):
        return found
    values = tensors(call)
    if not values:
        raise ModelError("it is called without a tensor")
    return values[0]
