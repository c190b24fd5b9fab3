"""copy: the identity, where a graph output or a variable's old value needs a tensor of its own."""

from __future__ import annotations

from edgert.ops._def import OpDef
from edgert.ops._enums import OpCode
from edgert.ops._move import mover

COPY: OpDef = mover("copy", OpCode.COPY, {}, lambda shape, attrs: shape, lambda x, attrs: x.copy())
