"""What Caffe's handlers work with: a layer with its inputs as Values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder
from edgert.ir import Value


@dataclass(frozen=True)
class SourceLayer:
    """A layer at hand. A handler gives the Values of its tops."""

    name: str
    type: str
    inputs: tuple[Value, ...]
    outputs: int
    blobs: tuple[Array, ...]
    proto: Any

    def param(self, name: str) -> Any:
        """The parameter message of that name; its defaults when the layer has none.

        A generation of the format that lacks the parameter raises ModelError.
        """
        if not hasattr(self.proto, name):
            raise ModelError(f"{name} is of a later format than the layer")
        return getattr(self.proto, name)

    def input(self, index: int = 0) -> Value:
        if index >= len(self.inputs):
            raise ModelError(f"it has {len(self.inputs)} inputs, needed {index + 1}")
        return self.inputs[index]

    def blob(self, index: int, shape: Sequence[int] | None = None) -> Array:
        """Weights, in the shape that they have here (files pad old ones with dimensions of 1)."""
        if index >= len(self.blobs):
            raise ModelError(f"it has {len(self.blobs)} blobs of weights in the .caffemodel, needed {index + 1}")
        blob = self.blobs[index]
        if shape is None:
            return blob
        if blob.size != math.prod(shape):
            raise ModelError(f"blob {index} has the shape {list(blob.shape)}, needed {list(shape)}")
        return blob.reshape(shape)


def axis_of(axis: int, rank: int, ends: bool = False) -> int:
    """An axis that may count from the end; ends: one past the last is allowed."""
    last = rank if ends else rank - 1
    if not -rank <= axis <= last:
        raise ModelError(f"axis {axis} of an input of {rank} dimensions")
    return axis + rank if axis < 0 else axis


Outputs = Value | Sequence[Value]
Handler = Callable[[GraphBuilder, SourceLayer], Outputs]
