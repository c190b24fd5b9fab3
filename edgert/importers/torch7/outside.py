"""Torch7 modules that the program has brought (edgert.custom).

Inputs: the activity's tensors, then the module's own, in the order of their names (bias, weight). Attributes: fields
that are numbers, texts or truth values.
"""

from __future__ import annotations

from typing import Any

from edgert.custom import custom_op_of_source
from edgert.importers.torch7.module import Builder, Handler, Module
from edgert.importers.torch7.read import Tensor
from edgert.ir import Value

RESULTS = {"output", "gradInput", "gradWeight", "gradBias"}  # of training


def from_outside(kind: str) -> Handler | None:
    """The handler of a module."""
    op = custom_op_of_source(kind)
    if op is None:
        return None

    def handler(b: Builder, module: Module, x: Any) -> Value | list[Value]:
        fields = {name: value for name, value in sorted(module.fields.items()) if name not in RESULTS}
        own = [b.const(module.array(name)) for name, value in fields.items() if isinstance(value, Tensor)]
        attrs = {name: value for name, value in fields.items() if isinstance(value, bool | int | float | str)}
        made = b.custom(op, [*(x if isinstance(x, list) else [x]), *own], attrs)
        return made[0] if len(made) == 1 else made

    return handler
