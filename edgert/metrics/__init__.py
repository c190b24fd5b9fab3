"""What is measured of a model: accuracy, agreement with the float model, distance from it.

    top1 = metric("top1")
    print(top1.measure(outputs, labels))     # 92.10 % (95 % confidence 90.26 to 93.62, 1000 samples)
    evidence = [top1.evidence(one, label) for one, label in zip(outputs, labels)]
    print(top1.drop(float_evidence, evidence).value)   # points lost, with a paired interval

`METRICS` is the table of all that metric() knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgert.errors import InputError
from edgert.metrics._def import UNLABELLED, Drop, Evidence, Measurement, Metric, Outputs, Sampler, number_text
from edgert.metrics.agreement import Agreement, Decisions
from edgert.metrics.auc import Auc
from edgert.metrics.boxes import Boxes
from edgert.metrics.bundle import Bundle
from edgert.metrics.classify import TopK
from edgert.metrics.custom import Custom
from edgert.metrics.detect import MeanAveragePrecision
from edgert.metrics.distance import Mse, Sqnr
from edgert.metrics.segment import MeanIou

__all__ = [
    "METRICS", "UNLABELLED", "Boxes", "Bundle", "Drop", "Evidence", "Kind", "Measurement", "Metric", "Outputs",
    "Sampler", "metric", "number_text",
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A metric that metric() knows. argument: what stands behind the name and a colon, such as "K"; "[X]" may be left
    out. targets: what it is measured against, for people."""

    name: str
    argument: str
    unit: str
    targets: str
    text: str
    make: Callable[[str], Metric]

    @property
    def syntax(self) -> str:
        inner = self.argument.strip("[]")
        if not inner:
            return self.name
        return f"{self.name}[:{inner}]" if self.argument.startswith("[") else f"{self.name}:{inner}"


def _whole(text: str, low: int = 1) -> int:
    if not text.isdecimal() or int(text) < low:
        raise ValueError(f"needed a whole number from {low} on")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("needed a finite number")
    return number


def _decoder(text: str) -> str | None:
    if text and not all(text.partition(":")):
        raise ValueError("needed a function that decodes the outputs, as module:function")
    return text or None


METRICS: tuple[Kind, ...] = (
    Kind("top1", "", "%", "class", "accuracy: the highest score is the class's", lambda _: TopK(1)),
    Kind("top5", "", "%", "class", "the class is among the five highest scores", lambda _: TopK(5)),
    Kind("topk", "K", "%", "class", "the class is among the K highest scores", lambda text: TopK(_whole(text))),
    Kind("agreement", "", "%", "float model", "the highest score is where float has it", lambda _: Agreement()),
    Kind(
        "decisions", "THRESHOLD", "%", "float model, or numbers", "on the same side of a threshold as the target",
        lambda text: Decisions(_number(text)),
    ),
    Kind("auc", "", "%", "class", "area under the ROC curve, of each class against the rest", lambda _: Auc()),
    Kind(
        "map", "[MODULE:FUNCTION]", "%", "boxes", "COCO's mean average precision, IoU 0.50 to 0.95",
        lambda text: MeanAveragePrecision(decoder=_decoder(text)),
    ),
    Kind(
        "map50", "[MODULE:FUNCTION]", "%", "boxes", "the same at IoU 0.50",
        lambda text: MeanAveragePrecision((0.5,), _decoder(text)),
    ),
    Kind(
        "miou", "[THRESHOLD]", "%", "mask", "mean intersection over union of a segmentation",
        lambda text: MeanIou(_number(text) if text else None),
    ),
    Kind("mse", "", "", "float model, or arrays", "mean squared error", lambda _: Mse()),
    Kind("sqnr", "", "dB", "float model, or arrays", "signal to quantisation noise", lambda _: Sqnr()),
)  # fmt: skip


def metric(spec: str | Metric | Callable[[Sequence[Outputs], Sequence[Any]], Any]) -> Metric:
    """The metric that is meant: a name of METRICS with its argument ("top1", "topk:3", "decisions:0.5"), and, where the
    model has several outputs, the one to look at ("top1@scores"); or "module:function", or a function.

    Raises InputError, which lists what there is, for anything else.
    """
    if isinstance(spec, Metric):
        return spec
    if callable(spec):
        name = f"{getattr(spec, '__module__', '')}:{getattr(spec, '__qualname__', type(spec).__name__)}"
        return Custom(name, spec)
    text, at, output = spec.partition("@")
    name, colon, argument = text.partition(":")
    kind = next((kind for kind in METRICS if kind.name == name), None)
    if kind is None:
        if colon and argument:
            return Custom(spec)
        raise InputError(f"there is no metric {spec!r}; there are {names()}, and module:function")
    optional = kind.argument.startswith("[") or not kind.argument
    if (colon and not (argument and kind.argument)) or (not colon and not optional) or (at and not output):
        raise InputError(f"the metric {spec!r} is not written {kind.syntax}, or {kind.syntax}@OUTPUT")
    try:
        made = kind.make(argument)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the metric {spec!r} is not written {kind.syntax}: {error}") from error
    return replace(made, output=output) if at else made  # type: ignore[type-var]


def names() -> str:
    """All metrics as they are written."""
    return ", ".join(kind.syntax for kind in METRICS)
