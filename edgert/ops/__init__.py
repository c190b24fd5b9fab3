"""Every operator, in the order of its code. Adding one: a file here, a line in ALL_OPS (see README, "Adding an operator")."""

from __future__ import annotations

from edgert.ops._def import OpDef, QuantRule, TensorSpec
from edgert.ops.add import ADD
from edgert.ops.average_pool2d import AVERAGE_POOL2D
from edgert.ops.broadcast_to import BROADCAST_TO
from edgert.ops.concat import CONCAT
from edgert.ops.conv2d import CONV2D
from edgert.ops.depth_to_space import DEPTH_TO_SPACE
from edgert.ops.depthwise_conv2d import DEPTHWISE_CONV2D
from edgert.ops.fully_connected import FULLY_CONNECTED
from edgert.ops.gather import GATHER
from edgert.ops.matmul import MATMUL
from edgert.ops.max_pool2d import MAX_POOL2D
from edgert.ops.mul import MUL
from edgert.ops.pad import PAD
from edgert.ops.reduce import REDUCE
from edgert.ops.reshape import RESHAPE
from edgert.ops.resize import RESIZE
from edgert.ops.slice import SLICE
from edgert.ops.space_to_depth import SPACE_TO_DEPTH
from edgert.ops.sub import SUB
from edgert.ops.transpose import TRANSPOSE

ALL_OPS: tuple[OpDef, ...] = (
    CONV2D,
    DEPTHWISE_CONV2D,
    FULLY_CONNECTED,
    MATMUL,
    ADD,
    SUB,
    MUL,
    MAX_POOL2D,
    AVERAGE_POOL2D,
    REDUCE,
    RESHAPE,
    TRANSPOSE,
    CONCAT,
    SLICE,
    PAD,
    GATHER,
    BROADCAST_TO,
    RESIZE,
    DEPTH_TO_SPACE,
    SPACE_TO_DEPTH,
)

OPS_BY_NAME: dict[str, OpDef] = {op.name: op for op in ALL_OPS}

__all__ = ["ALL_OPS", "OPS_BY_NAME", "OpDef", "QuantRule", "TensorSpec"]
