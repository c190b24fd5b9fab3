"""Custom operators as a session takes them: a Python function for each, or an entry of a shared library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from edgert.custom import CustomOp, custom_ops, decode_options
from edgert.dtypes import DType
from edgert.errors import InputError, InvokeError
from edgert.runtime import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

# (memory, dtype code, shape) of a tensor
Raw = tuple[memoryview, int, tuple[int, ...]]
Bound = tuple[str, Callable[[str, Sequence[Raw], Sequence[Raw]], None] | int]


def bound_ops() -> list[Bound]:
    """What this process knows of custom operators."""
    return [(op.name, partial(_run, op) if op.library is None else _in_library(op)) for op in custom_ops()]


def _run(op: CustomOp, options: str, inputs: Sequence[Raw], outputs: Sequence[Raw]) -> None:
    """Runs the reference on the tensors' memory. Raises InvokeError when it does not make what it said."""
    import numpy as np

    def array(raw: Raw) -> NDArray[Any]:
        memory, code, shape = raw
        return np.frombuffer(memory, DType(code).numpy_name).reshape(shape)

    made = [np.asarray(item) for item in op.reference([array(raw) for raw in inputs], decode_options(options))]
    if len(made) != len(outputs):
        raise InvokeError(f"{op.name} made {len(made)} outputs, needed {len(outputs)}")
    for result, raw in zip(made, outputs, strict=True):
        target = array(raw)
        if result.shape != target.shape or result.dtype != target.dtype:
            raise InvokeError(
                f"{op.name} made {result.dtype}{list(result.shape)}, needed {target.dtype}{list(target.shape)}"
            )
        target[...] = result


def _in_library(op: CustomOp) -> int:
    """The address of the operator's ert_custom_op. The library stays loaded."""
    import ctypes  # here, for every model's start would pay for it

    try:
        entry = ctypes.CDLL(str(op.library))[_native.CUSTOM_LIBRARY_SYMBOL]
    except (OSError, AttributeError) as error:
        raise InputError(f"{op.library} is no library of custom operators: {error}") from error
    entry.restype = ctypes.c_void_p
    count = ctypes.c_uint32()
    first = entry(ctypes.byref(count))
    found = _native.custom_library(first or 0, count.value)
    if op.name not in found:
        raise InputError(f"{op.library} has no operator {op.name!r}; it has {', '.join(sorted(found)) or 'none'}")
    return found[op.name]
