"""Functions of the user's own, named "module:function": samples, metrics, decoders of a detector's outputs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from edgert.errors import InputError


def load_function(source: str) -> Callable[..., Any]:
    """The function that "module:function" names; the module is looked up in the working folder first.

    Raises InputError when the module cannot be imported, whatever it raises, or has no such function.
    """
    module_name, _, function_name = source.partition(":")
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises is not a fault of edgert's
        raise InputError(f"{source}: the module {module_name!r} cannot be imported: {failure(error)}") from error
    finally:
        sys.path.remove("")
    function: Any = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(f"{source}: the module {module_name!r} has no function {function_name!r}")
    result: Callable[..., Any] = function
    return result


def failure(error: BaseException) -> str:
    """What was raised, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
