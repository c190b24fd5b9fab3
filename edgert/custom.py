"""Operators from outside: what edgert lacks, a program can bring.

    def infer(inputs, attrs):                  # shapes and dtypes, when a model is converted
        return [inputs[0]]

    def reference(arrays, attrs):              # NumPy, when it runs
        return [arrays[0] * attrs["alpha"]]

    edgert.add_custom_op(edgert.CustomOp("com.example.Magic", infer, reference))
    edgert.convert("model.onnx")               # nodes of the domain com.example, operator Magic

An operator is brought to the program that converts and to each that runs the model. Models name it and store the
source's attributes with it. On a device without Python, or where NumPy is too slow, a shared library brings it in C:
ext/include/edgert.h, ert_custom_op. On the command line, `--custom MODULE` names a module that adds operators; so does
the environment's ERT_CUSTOM (several: apart by commas) for every program that uses edgert.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgert.dtypes import DType
from edgert.errors import InputError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorType:
    """Shape and element type of a tensor."""

    shape: tuple[int, ...]
    dtype: DType


Attrs = Mapping[str, Any]


@dataclass(frozen=True)
class CustomOp:
    """An operator of one's own.

    name: under which a package names it. infer: (types of the inputs, the source's attributes) -> types of the outputs;
    it raises ModelError for what it cannot take. reference: (arrays, attributes) -> arrays, of just those types.
    sources: what source models call it ("com.example.Magic" in ONNX, "CUSTOM Magic" in TFLite); by default the name.
    library: a shared library that has it in C (see ert_custom_library in edgert.h), which then runs it.
    """

    name: str
    infer: Callable[[Sequence[TensorType], Attrs], Sequence[TensorType]]
    reference: Callable[[Sequence[NDArray[Any]], Attrs], Sequence[NDArray[Any]]]
    sources: tuple[str, ...] = ()
    library: str | Path | None = None


ENVIRONMENT = "ERT_CUSTOM"
_OPS: dict[str, CustomOp] = {}
_imported: set[str] = set()


def _known() -> dict[str, CustomOp]:
    """All operators, those of the environment's modules included. Raises InputError for a module that is not there."""
    names = [name for name in os.environ.get(ENVIRONMENT, "").split(",") if name and name not in _imported]
    if names and "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # behind what is installed, which a file here must not hide
    for name in names:
        _imported.add(name)
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(f"{name}: {error}; needed a module that adds operators, named without .py") from error
    return _OPS


def add_custom_op(op: CustomOp) -> None:
    """Makes an operator known to this process: to convert, and to every model that is loaded from now on.

    Raises InputError when another one has its name.
    """
    if not op.name:
        raise InputError("a custom operator needs a name")
    if _OPS.get(op.name, op) != op:
        raise InputError(f"there is a custom operator {op.name!r} already; remove_custom_op takes it away")
    _OPS[op.name] = op


def remove_custom_op(name: str) -> None:
    """Forgets an operator. Raises InputError when there is none of this name."""
    if name not in _OPS:
        raise InputError(f"there is no custom operator {name!r}")
    del _OPS[name]


def custom_ops() -> tuple[CustomOp, ...]:
    """Those that are known, in the order in which they were added."""
    return tuple(_known().values())


def custom_op(name: str) -> CustomOp:
    """The one of a package's name. Raises ModelError when nobody has added it."""
    known = _known()
    if name not in known:
        raise ModelError(f"the model needs the custom operator {name!r}: bring it with edgert.add_custom_op")
    return known[name]


def custom_op_of_source(kind: str) -> CustomOp | None:
    """The one that stands for an operator of a source model, by what the source calls it."""
    return next((op for op in _known().values() if kind in (op.sources or (op.name,))), None)


def encode_options(attrs: Attrs) -> str:
    """Attributes as a package stores them: JSON with sorted keys. Bytes become text.

    Raises ModelError for what JSON cannot say.
    """
    try:
        return json.dumps(attrs, sort_keys=True, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise ModelError(f"its attributes cannot be stored: {error}") from error


def decode_options(options: str) -> dict[str, Any]:
    """The inverse; tuples and arrays come back as lists."""
    try:
        attrs = json.loads(options or "{}")
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its options are damaged: {error}") from error
    if not isinstance(attrs, dict):
        raise ModelError("its options are damaged: they are no JSON object")
    return attrs


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    for convert in ("tolist", "item"):  # NumPy's arrays and scalars
        if hasattr(value, convert):
            return getattr(value, convert)()
    raise TypeError(f"a {type(value).__name__} is among them")
