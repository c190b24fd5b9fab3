"""PyTorch operators that the program has brought (edgert.custom): "mylib.magic", whatever their overload."""

from __future__ import annotations

from edgert.custom import custom_op_of_source
from edgert.importers.torch.builder import Builder, Call, Handler
from edgert.ir import Value


def from_outside(kind: str) -> Handler | None:
    """The handler of an operator: tensors among its arguments are inputs, in their order; the others are attributes."""
    op = custom_op_of_source(kind)
    if op is None:
        return None

    def handler(b: Builder, call: Call) -> Value | list[Value]:
        inputs = [b.value(call, name) for name in call.args if call.tensor(name)]
        attrs = {name: value for name, value in call.args.items() if value is not None and not call.tensor(name)}
        made = b.custom(op, inputs, attrs)
        return made[0] if len(made) == 1 else made

    return handler
