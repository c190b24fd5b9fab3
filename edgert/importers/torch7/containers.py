"""Torch7 handlers: modules that hold others, and those that join or part tables."""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

from edgert.errors import ModelError
from edgert.importers.layers import elementwise
from edgert.importers.layers.movement import concat, split
from edgert.importers.torch7.module import Builder, Handler, Lost, Module, is_lost, tensor_of, tensors_of
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction


def sequential(b: Builder, module: Module, x: Any) -> Any:
    for position, inner in enumerate(module.modules(), start=1):
        x = b.apply(inner, x, position)
    return x


def decorated(b: Builder, module: Module, x: Any) -> Any:
    """A module that holds one other."""
    return sequential(b, module, x)


def concat_table(b: Builder, module: Module, x: Any) -> list[Any]:
    return [b.apply(inner, x, position) for position, inner in enumerate(module.modules(), start=1)]


def parallel_table(b: Builder, module: Module, x: Any) -> list[Any]:
    inner = module.modules()
    given = [x] * len(inner) if isinstance(x, Lost) else x
    if not isinstance(given, list) or len(given) != len(inner):
        raise ModelError(f"its input is no table of {len(inner)} tensors")
    return [b.apply(item, part, at) for at, (item, part) in enumerate(zip(inner, given, strict=True), start=1)]


def joined(b: Builder, module: Module, x: Any) -> Any:
    """Every module on the same input, their results side by side along a dimension."""
    parts = concat_table(b, module, x)
    if is_lost(parts):
        return Lost()
    values = tensors_of(parts)
    if module.kind == "nn.DepthConcat":
        values = _same_sizes(b, values)
    return concat(b, values, module.axis("dimension", len(values[0].shape)))


def _same_sizes(b: Builder, parts: list[Value]) -> list[Value]:
    """Images padded with zeros on all sides to the largest of them."""
    largest = [max(sizes) for sizes in zip(*(part.shape[2:] for part in parts), strict=True)]
    padded = []
    for part in parts:
        spare = [most - size for most, size in zip(largest, part.shape[2:], strict=True)]
        before = (0, 0, *(room // 2 for room in spare))
        after = (0, 0, *(room - room // 2 for room in spare))
        padded.append(b.pad(part, before, after) if any(spare) else part)
    return padded


def join_table(b: Builder, module: Module, x: Any) -> Value:
    parts = tensors_of(x)
    return concat(b, parts, module.axis("dimension", len(parts[0].shape)))


def split_table(b: Builder, module: Module, x: Any) -> list[Value]:
    value = tensor_of(x)
    axis = module.axis("dimension", len(value.shape))
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    return [b.reshape(part, shape) for part in split(b, value, axis, (1,) * value.shape[axis])]


def select_table(b: Builder, module: Module, x: Any) -> Any:
    index = module.integer("index")
    if not isinstance(x, list) or not 1 <= abs(index) <= len(x):
        raise ModelError(f"item {index} of what is no such table")
    return x[index - 1 if index > 0 else index]


def narrow_table(b: Builder, module: Module, x: Any) -> list[Any]:
    begin, length = module.integer("offset"), module.integer("length", 1)
    if not isinstance(x, list) or begin < 1 or begin - 1 + length > len(x):
        raise ModelError(f"{length} items from {begin} on of what is no such table")
    return x[begin - 1 : begin - 1 + length]


def flatten_table(b: Builder, module: Module, x: Any) -> list[Any]:
    if not isinstance(x, list):
        return [x]
    return [leaf for item in x for leaf in flatten_table(b, module, item)]


def identity(b: Builder, module: Module, x: Any) -> Any:
    return x


def folded(op: str, b: Builder, module: Module, x: Any) -> Value:
    return reduce(lambda left, right: b.emit(op, [left, right]), tensors_of(x))


def folded_function(function: BinaryFunction, b: Builder, module: Module, x: Any) -> Value:
    return reduce(lambda left, right: b.emit("binary", [left, right], {"function": function}), tensors_of(x))


def difference(b: Builder, module: Module, x: Any) -> Value:
    first, second = tensors_of(x)
    return b.sub(first, second)


def quotient(b: Builder, module: Module, x: Any) -> Value:
    first, second = tensors_of(x)
    return elementwise.divided(b, first, second)


def product(b: Builder, module: Module, x: Any) -> Value:
    """Of two matrices, or of two batches of them."""
    first, second = tensors_of(x)
    attrs = {"transpose_a": module.flag("transA", False), "transpose_b": module.flag("transB", False)}
    return b.emit("matmul", [first, second], attrs)


HANDLERS: dict[str, Handler] = {
    "nn.CAddTable": partial(folded, "add"),
    "nn.CDivTable": quotient,
    "nn.CMaxTable": partial(folded_function, BinaryFunction.MAXIMUM),
    "nn.CMinTable": partial(folded_function, BinaryFunction.MINIMUM),
    "nn.CMulTable": partial(folded, "mul"),
    "nn.CSubTable": difference,
    "nn.Concat": joined,
    "nn.ConcatTable": concat_table,
    "nn.Contiguous": identity,
    "nn.Copy": identity,
    "nn.DataParallelTable": decorated,
    "nn.DepthConcat": joined,
    "nn.FlattenTable": flatten_table,
    "nn.GradientReversal": identity,
    "nn.Identity": identity,
    "nn.Inception": decorated,
    "nn.JoinTable": join_table,
    "nn.MM": product,
    "nn.NarrowTable": narrow_table,
    "nn.ParallelTable": parallel_table,
    "nn.SelectTable": select_table,
    "nn.Sequential": sequential,
    "nn.SpatialLPPooling": sequential,
    "nn.SplitTable": split_table,
    "nn.TotalVariation": identity,
    "nn.WhiteNoise": identity,
}
