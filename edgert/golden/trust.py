"""How far an output may be trusted to be the same on another machine: from the operators that it comes through.

Integers are the same everywhere, and so are floats that were only moved about, or made of integers by one rounding.
Where float arithmetic takes part, instruction sets add in other orders, and C libraries have other exponentials. What
is decided by such floats, a rounding to integers or the place of a maximum, can differ by a whole step.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from edgert.dtypes import DType
from edgert.runtime import _native

_FLOATS = (DType.FLOAT32, DType.FLOAT16)

# Operators that compute no float that was not there before, but by one IEEE operation that every machine rounds alike.
_EXACT = frozenset(
    {
        "arg_max", "assign", "broadcast_to", "cast", "compare", "concat", "copy", "depth_to_space", "dequantize",
        "gather", "gather_elements", "gather_nd", "max_pool2d", "pad", "quantize", "reshape", "select", "slice",
        "space_to_depth", "top_k", "transpose",
    }
)  # fmt: skip
_DECIDING = frozenset({"detection_postprocess", "non_max_suppression"})  # what they give hangs on comparisons


class Trust(enum.IntEnum):
    """In rising order of what may differ."""

    EXACT = 0
    CLOSE = 1  # float arithmetic alone
    LOOSE = 2  # something was rounded or decided by inexact floats on the way


def output_trust(model: _native.Model, session: _native.Session) -> tuple[Trust, ...]:
    """Of every output. Custom operators are anybody's: LOOSE."""
    facts = [session.tensor(i) for i in range(model.tensor_count)]
    dtypes, kinds = [DType(fact[1]) for fact in facts], [fact[2] for fact in facts]
    trust = [Trust.EXACT] * model.tensor_count  # inputs and constants are exact, variables until something else is seen
    ops = [model.op(i) for i in range(model.op_count)]
    changed = True
    while changed:  # what an operator leaves in a variable, earlier ones read in the next step
        changed = False
        for kind, _name, inputs, outputs in ops:
            read = [i for i in inputs if i >= 0]
            found = _result(kind, [trust[i] for i in read], (dtypes[i] for i in (*read, *outputs)))
            variables = [i for i in read if kinds[i] == _VARIABLE]  # recurrent operators write them
            for i in (*outputs, *variables):
                of_this = Trust.LOOSE if found != Trust.EXACT and dtypes[i] not in _FLOATS else found
                if of_this > trust[i]:
                    trust[i] = of_this
                    changed = True
    return tuple(trust[i] for i in model.outputs)


_VARIABLE = 2


def _result(kind: str, inputs: list[Trust], dtypes: Iterable[DType]) -> Trust:
    worst = max(inputs, default=Trust.EXACT)
    if kind == "custom":
        return Trust.LOOSE
    if kind in _EXACT or not any(dtype in _FLOATS for dtype in dtypes):
        return worst
    return Trust.LOOSE if kind in _DECIDING else max(worst, Trust.CLOSE)
