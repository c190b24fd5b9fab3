"""Runs a source's operators one after the other: finds each handler, and keeps aliases and refusals apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgert.errors import EdgertError, ModelError, Unsupported
from edgert.importers.torch.builder import (
    Builder,
    Call,
    Content,
    Handler,
    Lost,
    RefusedError,
    Tensor,
    View,
)
from edgert.importers.torch.outside import from_outside
from edgert.importers.torch.views import ALIASES, PARTS, RESHAPES_IN_PLACE, VIEWS
from edgert.ir import Value

GENERAL_ADVICE = "replace it by supported operators, or give edgert the model without that part"
# What to do about operators that have no handler; any other gets the general advice.
ADVICE = {
    "aten.nonzero": "its output's shape depends on the data: cut the model before it",
    "aten.masked_select": "its output's shape depends on the data: cut the model before it",
    "aten.unique": "its output's shape depends on the data: cut the model before it",
    "aten.stft": "compute the spectrum by a convolution with fixed windows, or before the model",
    "aten.fft_rfft": "compute the spectrum by a convolution with fixed windows, or before the model",
    "aten.bernoulli": "it draws random numbers: export the model for inference (module.eval())",
    "aten.rand": "it draws random numbers: make them inputs",
    "aten.randn": "it draws random numbers: make them inputs",
    "aten.rand_like": "it draws random numbers: make them inputs",
    "aten.randn_like": "it draws random numbers: make them inputs",
}
QUANTIZED_ADVICE = "give edgert the float model, or one quantised by PT2E (quantized_decomposed operators)"


class Walker:
    """One pass over the source's operators."""

    def __init__(self, builder: Builder, handlers: Mapping[str, Handler]) -> None:
        self.builder = builder
        self.handlers = handlers

    def run(self, name: str, op: str, overload: str, args: Mapping[str, Any]) -> Any:
        """What the operator returns: Tensors, numbers or lists of them; Lost when it cannot be converted.

        name: of the source's layer. args: by the names of the operator's schema, tensors as Tensor.
        Raises ModelError when its arguments do not fit each other.
        """
        in_place = op.endswith("_") and not op.endswith("__") and op not in self.handlers
        kind = op[:-1] if in_place else op
        handler = from_outside(kind) or self.handlers.get(kind)
        reasons = tuple(reason for lost in _lost(args.values()) for reason in lost.reasons)
        target = _first_tensor(args)
        if handler is None:
            result: Any = Lost((*reasons, _no_handler(name, op)))
        elif reasons:
            result = Lost(reasons)
        else:
            call = Call(name, kind, overload, {key: _contents(value) for key, value in args.items()})
            result = self._convert(handler, call)
        if in_place and target is not None:
            return self._write(target, kind, result, args, handler, name)
        if isinstance(result, Lost) or handler is None:
            return result
        if kind in ALIASES and target is not None and result is target.read():
            return target
        if kind in VIEWS and target is not None and isinstance(result, Value):
            return Tensor(result, target, self._view(kind, handler, name, args))
        if kind in PARTS and target is not None and isinstance(result, list):
            return [
                Tensor(part, target, self._part(kind, handler, name, args, number))
                for number, part in enumerate(result)
            ]
        return _wrapped(result)

    def _convert(self, handler: Handler, call: Call) -> Any:
        self.builder.start(call.name, call.op)
        try:
            return handler(self.builder, call)
        except RefusedError as refusal:
            return Lost((Unsupported(call.name, call.op, refusal.reason, refusal.fix),))
        except ModelError as error:
            raise ModelError(f"{call.op} {call.name!r}: {error}") from error
        except EdgertError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ModelError(f"{call.op} {call.name!r}: its arguments are damaged ({error})") from error

    def _write(
        self, target: Tensor, kind: str, result: Any, args: Mapping[str, Any], handler: Handler | None, name: str
    ) -> Any:
        """An operator in place: its first argument becomes the result, at its own shape and type."""
        if kind in RESHAPES_IN_PLACE and isinstance(result, Value) and handler is not None:
            target.become_view(result, self._view(kind, handler, name, args))
            return target
        held = target.read()
        if isinstance(result, Value) and isinstance(held, Value):
            result = self.builder.cast(result, held.dtype)
            if result.shape != held.shape:
                result = self.builder.emit("broadcast_to", [result], {"shape": held.shape})
        target.write(result)
        return target

    def _again(self, kind: str, handler: Handler, name: str, args: Mapping[str, Any]) -> Callable[[Value], Any]:
        """The operator once more, on another base than the first argument."""
        contents = {key: _contents(value) for key, value in args.items()}
        first = next(key for key, value in args.items() if isinstance(value, Tensor))

        def take(base: Value) -> Any:
            return self._convert(handler, Call(name, kind, "", {**contents, first: base}))

        return take

    def _view(self, kind: str, handler: Handler, name: str, args: Mapping[str, Any]) -> View:
        call = Call(name, kind, "", {key: _contents(value) for key, value in args.items()})
        return View(
            self._again(kind, handler, name, args), lambda base, new: VIEWS[kind](self.builder, call, base, new)
        )

    def _part(self, kind: str, handler: Handler, name: str, args: Mapping[str, Any], number: int) -> View:
        call = Call(name, kind, "", {key: _contents(value) for key, value in args.items()})
        again = self._again(kind, handler, name, args)
        return View(
            lambda base: again(base)[number], lambda base, new: PARTS[kind](self.builder, call, base, new, number)
        )


def flat(items: Any) -> Iterator[Any]:
    """All that stands in nested lists."""
    for item in items:
        if isinstance(item, list | tuple):
            yield from flat(item)
        elif isinstance(item, dict):
            yield from flat(item.values())
        else:
            yield item


def _lost(args: Any) -> list[Lost]:
    contents = (item.read() if isinstance(item, Tensor) else item for item in flat(args))
    return [item for item in contents if isinstance(item, Lost)]


def _contents(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.read()
    if isinstance(value, list | tuple):
        return [_contents(item) for item in value]
    return value


def _first_tensor(args: Mapping[str, Any]) -> Tensor | None:
    first = next(iter(args.values()), None)
    return first if isinstance(first, Tensor) else None


def _wrapped(result: Any) -> Any:
    if isinstance(result, Content | Lost):
        return Tensor(result)
    if isinstance(result, list | tuple):
        return [_wrapped(item) for item in result]
    return result


def _no_handler(name: str, op: str) -> Unsupported:
    advice = QUANTIZED_ADVICE if op.startswith("quantized.") else ADVICE.get(op, GENERAL_ADVICE)
    return Unsupported(name, op, "there is no such operator in edgert", advice)
