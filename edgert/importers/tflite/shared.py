"""The layers that frameworks share, for TFLite's handlers: a GraphBuilder that emits through a Builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.importers.builder import Array, GraphBuilder, Operand
from edgert.importers.tflite.builder import Builder
from edgert.ir import Value


class Layers(GraphBuilder):
    """What edgert.importers.layers builds with: nodes and names are the Builder's."""

    def __init__(self, b: Builder) -> None:
        super().__init__(b.graph.name)
        self.graph, self._b = b.graph, b

    def const(self, array: Array | float, name: str | None = None, quant: QuantParams | None = None) -> Value:
        data = np.asarray(array, np.float32) if isinstance(array, float) else np.asarray(array)
        return self._b.const(np.ascontiguousarray(data).reshape(data.shape), quant, name or "constant")

    def emit(
        self,
        op: str,
        inputs: Sequence[Operand | None],
        attrs: Mapping[str, Any] | None = None,
        quant: QuantParams | None = None,
        dtype: DType | None = None,
    ) -> Value:
        values = [None if item is None else self.operand(item) for item in inputs]
        return self._b.emit(op, values, attrs, quant, dtype)
