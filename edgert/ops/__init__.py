"""Every operator, in the order of its code. Adding one: a file here, a line in ALL_OPS (see README, "Adding an operator")."""

from __future__ import annotations

from edgert.ops._def import OpDef, QuantRule, TensorSpec
from edgert.ops.add import ADD
from edgert.ops.conv2d import CONV2D
from edgert.ops.depthwise_conv2d import DEPTHWISE_CONV2D
from edgert.ops.fully_connected import FULLY_CONNECTED
from edgert.ops.matmul import MATMUL
from edgert.ops.mul import MUL
from edgert.ops.reduce import REDUCE
from edgert.ops.sub import SUB

ALL_OPS: tuple[OpDef, ...] = (
    CONV2D,
    DEPTHWISE_CONV2D,
    FULLY_CONNECTED,
    MATMUL,
    ADD,
    SUB,
    MUL,
    REDUCE,
)

OPS_BY_NAME: dict[str, OpDef] = {op.name: op for op in ALL_OPS}

__all__ = ["ALL_OPS", "OPS_BY_NAME", "OpDef", "QuantRule", "TensorSpec"]
