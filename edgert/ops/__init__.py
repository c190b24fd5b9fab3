"""Every operator, in the order of its code. Adding one: a file here, a line in ALL_OPS (see README, "Adding an operator")."""

from __future__ import annotations

from edgert.ops._def import OpDef, QuantRule, TensorSpec

ALL_OPS: tuple[OpDef, ...] = ()

OPS_BY_NAME: dict[str, OpDef] = {op.name: op for op in ALL_OPS}

__all__ = ["ALL_OPS", "OPS_BY_NAME", "OpDef", "QuantRule", "TensorSpec"]
