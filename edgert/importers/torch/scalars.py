"""Arithmetic on Python numbers that stands in programs: sizes, mostly. All of it is computed at conversion."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from edgert.errors import ModelError

MOST_ITEMS = 1 << 20  # of a list that arithmetic may make

# Names as exported programs have them ("_operator.add", "math.ceil", "torch.sym_max"), without the module.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "neg": operator.neg,
    "pos": operator.pos,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and_": operator.and_,
    "or_": operator.or_,
    "not_": operator.not_,
    "abs": abs,
    "getitem": operator.getitem,
    "ceil": math.ceil,
    "floor": math.floor,
    "trunc": math.trunc,
    "sqrt": math.sqrt,
    "round": round,
    "pow": lambda base, exponent: _power(base, exponent),
    "sym_max": max,
    "sym_min": min,
    "sym_int": int,
    "sym_float": float,
    "sym_not": operator.not_,
    "sym_sum": sum,
    "_sym_sqrt": math.sqrt,
    "sym_ite": lambda condition, first, second: first if condition else second,
}


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > 1024:
        raise ModelError(f"{base} to the power of {exponent}")
    return float(base**exponent) if isinstance(base, float) or isinstance(exponent, float) else base**exponent


def computed(name: str, arguments: list[Any]) -> Any:
    """The function's result; ModelError when its arguments do not fit."""
    try:
        return bounded(FUNCTIONS[name](*arguments))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{name}: {error}") from error


def bounded(result: Any) -> Any:
    """The result; ValueError for integers and lists longer than any model has, which would grow without end."""
    if isinstance(result, int) and result.bit_length() > 64:
        raise ValueError("an integer of more than 64 bits")
    if isinstance(result, list | str | tuple) and len(result) > MOST_ITEMS:
        raise ValueError(f"a list of {len(result)} items")
    return result
