"""What a model's layers keep in the file: weights as they are stored, which may differ from what kernels compute with.

A constant that is stored small (int4, float16, int8 under a float operator) is expanded when a session is prepared, by
operators whose inputs are all constants. They are no layers: what they read belongs to the operator that they serve.
"""

from __future__ import annotations

import math

from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo, tensor_info


class Stored:
    """The constants behind every operator of a model."""

    def __init__(self, model: Model) -> None:
        session, native = model.session, model.session.model
        self._infos = [tensor_info(session, index) for index in range(native.tensor_count)]
        self._ops = [native.op(op) for op in range(native.op_count)]
        # What a tensor is made of, for constants and what is expanded from them.
        self._sources: dict[int, tuple[int, ...]] = {
            info.index: (info.index,) for info in self._infos if info.kind == "constant"
        }
        self._packed: set[int] = set()  # tensors that unpack_int4 wrote
        self.expanded: set[int] = set()  # operators that run when a session is prepared
        for op, (kind, _, inputs, outputs) in enumerate(self._ops):
            if session.expansion(op) is not None:
                given = [index for index in inputs if index >= 0]
                self.expanded.add(op)
                sources = tuple(source for index in given for source in self._sources[index])
                self._sources.update(dict.fromkeys(outputs, sources))
                if kind == "unpack_int4" or any(index in self._packed for index in given):
                    self._packed.update(outputs)

    def made_of_constants(self, tensor: int) -> bool:
        return tensor in self._sources

    def bytes_by_op(self) -> dict[int, int]:
        """Bytes of the constants of every operator but the expanding ones; shared ones count for their first reader."""
        counted: set[int] = set()
        found: dict[int, int] = {}
        for op, (_, _, inputs, _) in enumerate(self._ops):
            if op not in self.expanded:
                own = {source for index in inputs for source in self._sources.get(index, ())} - counted
                counted |= own
                found[op] = sum(_bytes(self._infos[index]) for index in own)
        return found

    def weights(self, op: int) -> str:
        """How an operator's largest constant is stored: "int8", "int4", "int4-block", "float16" ...; "" for none."""
        behind = [index for index in self._ops[op][2] if index in self._sources]
        if not behind:
            return ""
        largest = max(behind, key=lambda index: math.prod(self._infos[index].shape))
        sources = self._sources[largest]
        if largest in self._packed:
            return "int4-block" if len(sources) > 1 else "int4"
        return self._infos[sources[0]].dtype.numpy_name


def _bytes(info: TensorInfo) -> int:
    return math.prod(info.shape) * info.dtype.itemsize
