"""OpDef: all that Python knows of an operator."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Node, Value

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Shape = tuple[int, ...]


class QuantRule(enum.Enum):
    """How the quantiser treats an operator in a float graph (edgert/quant/graph/rewrite.py)."""

    WEIGHTED = "weighted"  # constant weights per channel, int32 bias, its own output range
    FREE = "free"  # int8 in, int8 out, its own output range
    SAME = "same"  # moves values about: the output keeps the first input's scale and zero point
    SHARED = "shared"  # all inputs and the output share one range (concat)
    TABLE = "table"  # elementwise on one input: becomes a 256-byte table
    FIXED = "fixed"  # the output's scale and zero point are the operator's own (softmax)
    FLOAT = "float"  # stays float32 between dequantize and quantize
    FOLLOW = "follow"  # int8 in, result of another type that is no quantised number (arg_max)


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of an output, as infer gives them."""

    shape: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True)
class OpDef:
    """One operator.

    name: of the operator in the IR, of its file, of its C functions ("conv2d").
    code: its OpCode in schemas/ert.fbs.
    attrs: name -> default, exactly the fields of its table in ert.fbs; int, float, bool or tuple of int, and
        IntEnum members for enums. A default of ... means that the attribute must be given.
    inputs: least and largest number of inputs; an optional one may be None.
    infer: (inputs, attrs) -> specs of the outputs; raises ModelError when they do not fit.
    reference: (inputs as arrays, attrs, input quants, output quants) -> outputs as arrays. The living definition:
        float32 in the plain way, int8 bit-exact. None for absent inputs.
    quant: what the quantiser does with it.
    out_dtypes: dtypes that the output may have where the node and not its inputs decides (cast, quantize, arg_max);
        infer and reference then find the output's dtype as attrs["dtype"], and infer gives the first one without it.
    macs: (shapes of the inputs, shapes of the outputs) -> multiply-adds, those with padding included as is usual; None
        for an operator whose work is not multiply-adds. Shapes alone, so that it serves packed models too.
    """

    name: str
    code: int
    inputs: tuple[int, int]
    infer: Callable[[Sequence[Value | None], Attrs], list[TensorSpec]]
    reference: Callable[
        [Sequence[Array | None], Attrs, Sequence[QuantParams | None], Sequence[QuantParams | None]], list[Array]
    ]
    quant: QuantRule
    attrs: Attrs = field(default_factory=dict)
    out_dtypes: tuple[DType, ...] = ()
    macs: Callable[[Sequence[Shape], Sequence[Shape]], int] | None = None

    def complete(self, attrs: Attrs) -> dict[str, Any]:
        """attrs with the defaults filled in; ModelError for an unknown or a missing one."""
        unknown = sorted(set(attrs) - set(self.attrs))
        if unknown:
            raise ModelError(f"{self.name} has no attribute {unknown[0]!r} (it has: {', '.join(self.attrs) or 'none'})")
        full = {**self.attrs, **attrs}
        missing = [name for name, value in full.items() if value is ...]
        if missing:
            raise ModelError(f"{self.name} needs the attribute {missing[0]!r}")
        return full

    def _node_attrs(self, node: Node) -> dict[str, Any]:
        attrs = self.complete(node.attrs)
        return {**attrs, "dtype": node.outputs[0].dtype} if self.out_dtypes and node.outputs else attrs

    def check(self, node: Node) -> None:
        """Checks a node against this definition: inputs, attributes, and the shapes and dtypes of its outputs."""
        where = f"node {node.name!r} ({self.name})"
        least, most = self.inputs
        given = len(node.inputs)
        if not least <= given <= most or any(value is None for value in node.inputs[:least]):
            raise ModelError(f"{where}: {given} inputs, needed {least if least == most else f'{least} to {most}'}")
        specs = self.infer(node.inputs, self._node_attrs(node))
        if len(specs) != len(node.outputs):
            raise ModelError(f"{where}: {len(node.outputs)} outputs, needed {len(specs)}")
        for value, spec in zip(node.outputs, specs, strict=True):
            if self.out_dtypes and value.dtype not in self.out_dtypes:
                allowed = ", ".join(dtype.name.lower() for dtype in self.out_dtypes)
                raise ModelError(
                    f"{where}: output {value.name!r} is {value.dtype.name.lower()}, needed one of {allowed}"
                )
            if value.shape != spec.shape or value.dtype != spec.dtype:
                raise ModelError(
                    f"{where}: output {value.name!r} is {value.dtype.name}{list(value.shape)}, "
                    f"its inputs give {spec.dtype.name}{list(spec.shape)}"
                )

    def run(self, node: Node, arrays: Sequence[Array | None]) -> list[Array]:
        """The reference on a node's quantisation parameters."""
        return self.reference(
            arrays,
            self._node_attrs(node),
            [value.quant if value is not None else None for value in node.inputs],
            [value.quant for value in node.outputs],
        )
