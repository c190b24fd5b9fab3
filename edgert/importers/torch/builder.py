"""What the PyTorch handlers work with: a call of an operator made readable, tensors that alias, and the builder.

A handler is a function (builder, call) -> what the operator returns: Values, Python numbers, or a list of them. Three
kinds of thing stand behind a tensor of the source: a Value (a constant one, too), a quantised constant (integers with
scale and zero point, kept so that weights can be rearranged before they are dequantised), or nothing, where an
operator before it could not be converted (`Lost`).

PyTorch's tensors alias: a view shares elements with its base, and operators such as `add_` write into them. `Tensor`
keeps track of that, so that the graph need not: writing to a view writes to its base, and reading a view of a base
that was written since takes the view again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError, Unsupported
from edgert.importers.builder import Array, GraphBuilder, Operand, QuantizedConstant, RefusedError
from edgert.importers.torch.types import dtype_of, promoted, with_number
from edgert.ir import Node, Value

Content = Value | QuantizedConstant
LARGEST_FOLD = 1 << 26  # bytes of constants that one operator may make of others


class AssumedError(Exception):
    """An input that a source gives no type, and that was taken for float32, holds indices."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Lost:
    """In the place of what an operator that could not be converted would have made: why."""

    def __init__(self, reasons: tuple[Unsupported, ...]) -> None:
        self.reasons = reasons


@dataclass(frozen=True)
class View:
    """How a tensor shows its base: `take` makes the view from the base, `put` the base with the view replaced."""

    take: Callable[[Value], Value]
    put: Callable[[Value, Value], Value]


class Tensor:
    """A tensor of the source. Names of one tensor share one object; a view has a base."""

    def __init__(self, content: Content | Lost, base: Tensor | None = None, view: View | None = None) -> None:
        self._content = content
        self._base, self._view = base, view
        self._version = 0  # counts what was written
        self._seen = base.version if base is not None else 0

    @property
    def version(self) -> int:
        return self._version + (self._base.version if self._base is not None else 0)

    def read(self) -> Content | Lost:
        """What it holds now."""
        if self._base is not None and self._view is not None and self._seen != self._base.version:
            held = self._base.read()
            self._content = self._view.take(held) if isinstance(held, Value) else held
            self._seen = self._base.version
        return self._content

    def become_view(self, content: Content, view: View) -> None:
        """Turns into a view of what it was (`unsqueeze_`)."""
        former = Tensor(self._content, self._base, self._view)
        former._version, former._seen = self._version, self._seen
        self._content, self._base, self._view = content, former, view
        self._version, self._seen = 0, former.version

    def write(self, content: Content | Lost) -> None:
        """Replaces what it holds, and with it that part of what its base holds."""
        self._content = content
        self._version += 1
        if self._base is None:
            return
        held = self._base.read()
        if self._view is not None and isinstance(held, Value) and isinstance(content, Value):
            content = self._view.put(held, content)
        self._base.write(content)
        self._seen = self._base.version


@dataclass(frozen=True)
class Call:
    """One call of an operator, its arguments by the names of the operator's schema, tensors as what they hold."""

    name: str  # of the source's layer
    op: str  # "aten.conv2d", without overload and dialect
    overload: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        return self.args.get(name) is not None

    def any_of(self, *names: str) -> str:
        """The first of these arguments that is given; the first name if none is."""
        return next((name for name in names if self.has(name)), names[0])

    def tensor(self, name: str) -> bool:
        """Whether the argument is a tensor (not a number, not absent)."""
        return isinstance(self.args.get(name), Value | QuantizedConstant)

    def integer(self, name: str, default: int = 0) -> int:
        value = self.args.get(name)
        return default if value is None else int(_settled(value, name))

    def number(self, name: str, default: float = 0.0) -> float:
        value = self.args.get(name)
        return default if value is None else float(_settled(value, name))

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.args.get(name)
        return default if value is None else bool(_settled(value, name))

    def text(self, name: str, default: str = "") -> str:
        value = self.args.get(name)
        return default if value is None else str(value)

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """A list of integers; a single one counts as a list of one."""
        value = self.args.get(name)
        if value is None:
            return tuple(default)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return tuple(int(_settled(item, name)) for item in value)
        return (int(_settled(value, name)),)

    def spread(self, name: str, rank: int, default: int) -> tuple[int, ...]:
        """One integer for each of `rank` dimensions; a single one serves them all."""
        found = self.integers(name) or (default,)
        if len(found) == 1:
            found *= rank
        if len(found) != rank:
            raise ModelError(f"{name} is {list(found)}, needed {rank} numbers")
        return found

    def dtype(self, name: str = "dtype") -> DType | None:
        """An element type; None when it is not given."""
        value = self.args.get(name)
        return None if value is None else dtype_of(int(value))

    def dtype_or(self, otherwise: DType) -> DType:
        """The element type that `dtype` states, or another where it is not given."""
        stated = self.dtype()
        return otherwise if stated is None else stated


def _settled(value: Any, name: str) -> Any:
    """A number, also one that a constant tensor of one element holds."""
    if isinstance(value, Value):
        if value.constant and value.data is not None and value.data.size == 1:
            return value.data.reshape(-1)[0].item()
        raise RefusedError(
            f"its {name} depends on the data", "use a fixed number there, or give edgert the model without that part"
        )
    if not isinstance(value, bool | int | float | np.number):
        raise ModelError(f"{name} is {type(value).__name__}, needed a number")
    return value


class Builder(GraphBuilder):
    """The graph under construction. Quantised constants are kept as such until an operator needs real numbers."""

    def __init__(self, name: str, reserved: set[str] | None = None) -> None:
        super().__init__(name, reserved)
        self.assumed: set[Value] = set()  # inputs of which nobody said that they are float32
        self._node_names: dict[str, int] = {}

    def start(self, name: str, op: str) -> None:
        """Begins a layer: a second one of that name gets a number."""
        count = self._node_names.get(name, 0)
        self._node_names[name] = count + 1
        self.begin(f"{name}_{count}" if count else name, op, name)

    def _folded(self, node: Node) -> list[Value] | None:
        """As in GraphBuilder, but nothing larger than any weights: a file may double a constant over and over."""
        made = sum(math.prod(value.shape) * value.dtype.itemsize for value in node.outputs)
        return None if made > LARGEST_FOLD else super()._folded(node)

    def dequantized(self, constant: QuantizedConstant) -> Value:
        """As in GraphBuilder, and never computed on the spot: passes fold it into int8 layers."""
        return self.emit_unfolded("dequantize", [self.const(constant.data, quant=constant.quant)], {})

    # What a call reads

    def value(self, call: Call, name: str) -> Value:
        """A tensor argument; a number becomes a constant of one element."""
        content = call.args.get(name)
        if isinstance(content, QuantizedConstant):
            return self.dequantized(content)
        if isinstance(content, Value):
            return content
        if isinstance(content, bool | int | float):
            return self.number(content)
        raise ModelError(f"its argument {name!r} is {'missing' if content is None else type(content).__name__}")

    def indices(self, call: Call, name: str) -> Value:
        """A tensor argument that holds indices."""
        value = self.value(call, name)
        if value in self.assumed:
            raise AssumedError(value.name)
        return value

    def optional(self, call: Call, name: str) -> Value | None:
        return self.value(call, name) if call.has(name) else None

    def values(self, call: Call, name: str) -> list[Value]:
        """A list of tensors."""
        items = call.args.get(name)
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise ModelError(f"its argument {name!r} is no list of tensors")
        return [self.value(Call(call.name, call.op, "", {name: item}), name) for item in items]

    def weights(self, call: Call, name: str = "weight") -> QuantizedConstant | Array | Value:
        """Weights as layers take them: quantised, constant or computed."""
        content = call.args.get(name)
        if isinstance(content, QuantizedConstant):
            return content
        value = self.value(call, name)
        return value.data if value.constant and value.data is not None else value

    def array(self, call: Call, name: str) -> Array:
        """A constant argument; RefusedError when only the run knows it."""
        content = call.args.get(name)
        if isinstance(content, QuantizedConstant):
            return content.dequantized()
        value = self.value(call, name)
        if not value.constant or value.data is None:
            raise RefusedError(f"its {name} depends on the data", "use a fixed tensor (a parameter or buffer) there")
        return value.data

    def number(self, number: float, dtype: DType | None = None) -> Value:
        """A constant of no dimensions; of its own type by default."""
        own = np.bool_ if isinstance(number, bool) else np.int64 if isinstance(number, int) else np.float32
        kind = np.dtype(dtype.numpy_name) if dtype is not None else np.dtype(own)
        if kind.kind == "i":
            limits = np.iinfo(kind.name)
            number = min(max(int(number), int(limits.min)), int(limits.max))
        return self.const(np.asarray(number, kind))

    # Types

    def cast(self, x: Value, dtype: DType) -> Value:
        return x if x.dtype == dtype else self.emit("cast", [x], dtype=dtype)

    def floating(self, x: Value) -> Value:
        """x as float32 if it holds integers or booleans."""
        return self.cast(x, DType.FLOAT32)

    def pair(self, call: Call, left: str = "self", right: str = "other") -> tuple[Value, Value]:
        """Two operands in the type in which they meet; numbers take the tensor's, where they can."""
        names = (left, right)
        numbers = [name for name in names if not call.tensor(name)]
        if len(numbers) == 2:
            return self.value(call, left), self.value(call, right)
        if not numbers:
            a, b = self.value(call, left), self.value(call, right)
            scalars = [len(value.shape) == 0 for value in (a, b)]
            if scalars[0] != scalars[1]:  # a tensor without dimensions is as humble as a number
                full, single = (b, a) if scalars[0] else (a, b)
                kind = full.dtype if _kind(full.dtype) >= _kind(single.dtype) else promoted(a.dtype, b.dtype)
            else:
                kind = promoted(a.dtype, b.dtype)
            return self.cast(a, kind), self.cast(b, kind)
        tensor = left if numbers[0] == right else right
        x = self.value(call, tensor)
        number = _settled(call.args[numbers[0]], numbers[0])
        kind = with_number(x.dtype, number)
        operands = {tensor: self.cast(x, kind), numbers[0]: self.number(number, kind)}
        return operands[left], operands[right]

    def assign(self, variable: Value, value: Value) -> None:
        """Writes a variable that lives between invokes."""
        if value.shape != variable.shape or value.dtype != variable.dtype:
            raise ModelError(f"{variable.name!r} is {variable} and is written as {value}")
        self.graph.nodes.append(Node("assign", [variable, value], [], {}, variable.name, "assign"))


def _kind(dtype: DType) -> int:
    return 0 if dtype == DType.BOOL else 2 if dtype in (DType.FLOAT32, DType.FLOAT16) else 1


def normal_axis(axis: int, rank: int) -> int:
    """The axis counted from the front; ModelError when there is none such."""
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise ModelError(f"axis {axis} of a tensor of {rank} dimensions")
    return axis % max(rank, 1)


def normal_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front; all of them when there are none."""
    return tuple(sorted({normal_axis(axis, rank) for axis in axes})) if axes else tuple(range(rank))


def full_shape(shape: Sequence[int], elements: int) -> tuple[int, ...]:
    """A shape with its -1 inferred."""
    sizes = [int(size) for size in shape]
    if sizes.count(-1) == 1:
        rest = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = elements // rest if rest else 0
    if math.prod(sizes) != elements or min(sizes, default=0) < 0:
        raise ModelError(f"{elements} elements do not fit into the shape {list(shape)}")
    return tuple(sizes)


Handler = Callable[[Builder, Call], Any]

__all__ = [
    "Array", "Builder", "Call", "Content", "Handler", "Lost", "Operand", "QuantParams", "QuantizedConstant",
    "RefusedError", "Tensor", "View", "full_shape", "normal_axes", "normal_axis",
]  # fmt: skip
