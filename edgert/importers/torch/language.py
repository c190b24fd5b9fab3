"""What TorchScript computes besides tensors: numbers, lists, dictionaries, texts, and questions about tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgert.importers.torch.builder import Builder, Lost, QuantizedConstant, RefusedError, Tensor
from edgert.importers.torch.scalars import MOST_ITEMS, bounded
from edgert.importers.torch.types import code_of, is_float
from edgert.ir import Value


class Unknown(Exception):  # noqa: N818 - says "not mine", and is no error
    """These arguments are not for this function: the operator works on tensors."""


class Raised(Exception):  # noqa: N818 - the model's own exception
    """The model raises an exception: it does not take these inputs."""


Evaluate = Callable[[Builder, list[Any]], Any]


def _plain(args: Sequence[Any]) -> bool:
    return not any(isinstance(item, Tensor) for item in args)


def _numbers(function: Callable[..., Any]) -> Evaluate:
    """A function of numbers, texts or lists; tensors among the arguments are not for it."""

    def run(b: Builder, args: list[Any]) -> Any:
        if not _plain(args):
            raise Unknown
        return bounded(function(*args))

    return run


def _repeated(left: Any, right: Any) -> Any:
    for items, count in ((left, right), (right, left)):
        if isinstance(items, list | str) and isinstance(count, int) and len(items) * count > MOST_ITEMS:
            raise ValueError(f"a list of {len(items) * count} items")
    return left * right


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 1024:
        raise ValueError(f"{base} to the power of {exponent}")
    return base**exponent


def _shifted(left: int, right: int) -> int:
    if not 0 <= right < 64:
        raise ValueError(f"it shifts by {right} bits")
    return left << right


def _of_list(function: Callable[..., Any]) -> Evaluate:
    """A function whose first argument is a list, a dictionary or a text, whatever the others are."""

    def run(b: Builder, args: list[Any]) -> Any:
        if not args or not isinstance(args[0], list | tuple | dict | str):
            raise Unknown
        return function(*args)

    return run


def _range(*bounds: int) -> list[int]:
    steps = range(*bounds)
    if len(steps) > MOST_ITEMS:
        raise ValueError(f"a list of {len(steps)} items")
    return list(steps)


def _append(items: list[Any], item: Any) -> list[Any]:
    if len(items) >= MOST_ITEMS:
        raise ValueError(f"a list of more than {MOST_ITEMS} items")
    items.append(item)
    return items


def _set_item(items: Any, key: Any, value: Any) -> Any:
    items[key] = value
    return items


def _delete(items: Any, key: Any) -> None:
    del items[key]


def _slice(items: Any, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    return items[slice(start, end, step)]


def _same(left: Any, right: Any) -> bool:
    return left is right or (left is None and right is None)


def _read(value: Any) -> Any:
    return value.read() if isinstance(value, Tensor) else value


def _shape(value: Any) -> tuple[int, ...]:
    held = _read(value)
    if isinstance(held, QuantizedConstant):
        return held.data.shape
    if not isinstance(held, Value):
        raise Unknown
    return held.shape


def _about(function: Callable[[Value], Any]) -> Evaluate:
    """A question about a tensor that its shape or type answers."""

    def run(b: Builder, args: list[Any]) -> Any:
        held = _read(args[0])
        if isinstance(held, Lost):
            return held
        if isinstance(held, QuantizedConstant):
            held = b.const(held.dequantized())
        if not isinstance(held, Value):
            raise Unknown
        return function(held)

    return run


def _number_of(kind: Callable[[Any], Any]) -> Evaluate:
    """int(), float() and bool() of numbers, texts, and constant tensors of one element."""

    def run(b: Builder, args: list[Any]) -> Any:
        held = _read(args[0])
        if isinstance(held, Lost):
            return held
        if isinstance(held, Value):
            if not held.constant or held.data is None or held.data.size != 1:
                raise RefusedError(
                    "it takes a number out of a tensor that depends on the data",
                    "let the model compute with the tensor",
                )
            held = held.data.reshape(-1)[0].item()
        return kind(held)

    return run


def _to_tensor(b: Builder, args: list[Any]) -> Any:
    """NumToTensor: a number as a tensor without dimensions."""
    if isinstance(args[0], Tensor):
        return args[0]
    return Tensor(b.number(args[0]))


def _raise(b: Builder, args: list[Any]) -> Any:
    raise Raised(str(args[0]) if args and args[0] else "an exception")


def _format(template: str, *items: Any) -> str:
    """Texts are for messages alone; how tensors look in them does not matter."""
    parts = template.split("{}")
    texts = [str(item) for item in items] + [""] * len(parts)
    return "".join(text for pair in zip(parts, texts, strict=False) for text in pair)


def _element(items: Any, key: Any) -> Any:
    return items[key]


def _shape_list(b: Builder, args: list[Any]) -> Any:
    held = _read(args[0])
    if isinstance(held, Lost):
        return held
    shape = list(_shape(args[0]))
    return shape[args[1]] if len(args) > 1 else shape


def _dtype(value: Value) -> int:
    return code_of(value.dtype)


def _wrap_list(b: Builder, args: list[Any]) -> Any:
    return list(args)


def _dictionary(b: Builder, args: list[Any]) -> dict[Any, Any]:
    return dict(zip(args[::2], args[1::2], strict=True))


def _implied(b: Builder, args: list[Any]) -> Any:
    return args[0]


def _nothing(b: Builder, args: list[Any]) -> None:
    return None


def _division(left: Any, right: Any, *rounding: Any) -> Any:
    return left / right


def _sums(left: Any, right: Any, *alpha: Any) -> Any:
    return left + right


def _sum_or_list(b: Builder, args: list[Any]) -> Any:
    """Numbers and texts add up; lists are joined, whatever is in them."""
    if isinstance(args[0], list) and isinstance(args[1], list):
        return bounded([*args[0], *args[1]])
    return _numbers(_sums)(b, args)


def _equality(wanted: bool) -> Evaluate:
    def run(b: Builder, args: list[Any]) -> Any:
        if not _plain(args):
            raise Unknown
        return (args[0] == args[1]) == wanted

    return run


def _least(function: Callable[..., Any]) -> Evaluate:
    """min and max of two numbers, or of a list of them."""

    def run(b: Builder, args: list[Any]) -> Any:
        if not _plain(args) or any(isinstance(item, Tensor) for item in (args[0] if isinstance(args[0], list) else ())):
            raise Unknown
        if len(args) == 2 and isinstance(args[0], list):
            return [function(pair) for pair in zip(*args, strict=True)]
        return function(*args)

    return run


LANGUAGE: dict[str, Evaluate] = {
    # numbers
    "add": _sum_or_list,
    "sub": _numbers(lambda left, right, alpha=1: left - right),
    "mul": _numbers(_repeated),
    "div": _numbers(_division),
    "floordiv": _numbers(operator.floordiv),
    "floor_divide": _numbers(operator.floordiv),
    "remainder": _numbers(operator.mod),
    "mod": _numbers(operator.mod),
    "neg": _numbers(operator.neg),
    "pow": _numbers(_power),
    "abs": _numbers(abs),
    "ceil": _numbers(math.ceil),
    "floor": _numbers(math.floor),
    "round": _numbers(lambda number, digits=None: round(number) if digits is None else round(number, digits)),
    "sqrt": _numbers(math.sqrt),
    "log": _numbers(math.log),
    "exp": _numbers(math.exp),
    "sin": _numbers(math.sin),
    "cos": _numbers(math.cos),
    "eq": _equality(True),
    "ne": _equality(False),
    "lt": _numbers(operator.lt),
    "le": _numbers(operator.le),
    "gt": _numbers(operator.gt),
    "ge": _numbers(operator.ge),
    "__and__": _numbers(operator.and_),
    "__or__": _numbers(operator.or_),
    "__xor__": _numbers(operator.xor),
    "__not__": _numbers(operator.not_),
    "__lshift__": _numbers(_shifted),
    "__rshift__": _numbers(operator.rshift),
    "min": _least(min),
    "max": _least(max),
    "Int": _number_of(int),
    "Float": _number_of(float),
    "Bool": _number_of(bool),
    "IntImplicit": _number_of(int),
    "FloatImplicit": _number_of(float),
    "ScalarImplicit": _number_of(lambda number: number),
    "ImplicitTensorToNum": _number_of(lambda number: number),
    "item": _number_of(lambda number: number),
    "NumToTensor": _to_tensor,
    "__is__": lambda b, args: _same(*args),
    "__isnot__": lambda b, args: not _same(*args),
    # lists, tuples, dictionaries and texts
    "ListConstruct": _wrap_list,
    "TupleConstruct": lambda b, args: tuple(args),
    "DictConstruct": _dictionary,
    "ListUnpack": lambda b, args: list(args[0]) if len(args[0]) != 1 else args[0][0],
    "TupleUnpack": lambda b, args: list(args[0]) if len(args[0]) != 1 else args[0][0],
    "TupleIndex": lambda b, args: args[0][args[1]],
    "__getitem__": _of_list(_element),
    "_set_item": _of_list(_set_item),
    "append": _of_list(_append),
    "extend": _of_list(lambda items, more: items.extend(more)),
    "insert": _of_list(lambda items, place, item: items.insert(place, item)),
    "pop": _of_list(lambda items, *place: items.pop(*place)),
    "Delete": _of_list(_delete),
    "clear": _of_list(lambda items: items.clear()),
    "reverse": _of_list(lambda items: items.reverse()),
    "copy": _of_list(lambda items: items.copy()),
    "list": _of_list(lambda items: list(items)),
    "len": _of_list(len),
    "slice": _of_list(_slice),
    "__contains__": _of_list(lambda items, item: item in items),
    "index": _of_list(lambda items, item, *bounds: items.index(item) if _plain([item]) else _unknown()),
    "count": _of_list(lambda items, item: items.count(item)),
    "keys": _of_list(lambda items: list(items.keys())),
    "values": _of_list(lambda items: list(items.values())),
    "items": _of_list(lambda items: list(items.items())),
    "all": _of_list(lambda items: all(items) if _plain(items) else _unknown()),
    "any": _of_list(lambda items: any(items) if _plain(items) else _unknown()),
    "sum": _of_list(lambda items: sum(items) if _plain(items) else _unknown()),
    "sorted": _of_list(lambda items: sorted(items) if _plain(items) else _unknown()),
    "get": _of_list(lambda items, key, otherwise=None: items.get(key, otherwise)),
    "range": _numbers(_range),
    "rangelist": _numbers(_range),
    "format": _of_list(_format),
    "percentFormat": _of_list(lambda template, *items: template),
    "str": lambda b, args: str(args[0]) if _plain(args) else "tensor",
    # questions about tensors
    "size": _shape_list,
    "shape": _shape_list,
    "dim": _about(lambda value: len(value.shape)),
    "ndim": _about(lambda value: len(value.shape)),
    "numel": _about(lambda value: int(np.prod(value.shape, dtype=np.int64))),
    "dtype": _about(_dtype),
    "is_floating_point": _about(lambda value: is_float(value.dtype)),
    "is_complex": _about(lambda value: False),
    "is_quantized": _about(lambda value: False),
    "is_sparse": _about(lambda value: False),
    "is_cuda": _about(lambda value: False),
    "is_nested": _about(lambda value: False),
    "is_contiguous": _about(lambda value: True),
    "requires_grad": _about(lambda value: False),
    "device": _nothing,
    "layout": _nothing,
    # casts of types, messages, exceptions
    "unchecked_cast": _implied,
    "unchecked_unwrap_optional": _implied,
    "_unwrap_optional": _implied,
    "annotate": _implied,
    "Uninitialized": _nothing,
    "warn": _nothing,
    "Print": _nothing,
    "RaiseException": _raise,
    "is_grad_enabled": lambda b, args: False,
    "is_autocast_enabled": lambda b, args: False,
    "is_autocast_cpu_enabled": lambda b, args: False,
    "is_autocast_cache_enabled": lambda b, args: False,
    "is_scripting": lambda b, args: True,
    "get_device": lambda b, args: -1,
}


def _unknown() -> Any:
    raise Unknown
