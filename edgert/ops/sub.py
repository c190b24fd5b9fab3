"""sub: elementwise difference, broadcast as in NumPy."""

from __future__ import annotations

from edgert.ops import _addition
from edgert.ops._def import OpDef, QuantRule
from edgert.ops._enums import Activation, OpCode

SUB = OpDef(
    name="sub",
    code=OpCode.SUB,
    inputs=(2, 2),
    infer=_addition.infer,
    reference=_addition.reference(-1),
    quant=QuantRule.FREE,
    attrs={"activation": Activation.NONE},
)
