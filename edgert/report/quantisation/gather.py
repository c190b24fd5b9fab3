"""Measures a quantised model beside its float model, for a report.

report = quantisation_report(float_package, int8_package, lambda: samples)
print(report.costliest, [layer.sqnr_db for layer in report.layers])
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgert.errors import InputError
from edgert.progress import Progress, silent
from edgert.report.inputs import Spread, as_input, paired
from edgert.report.profile import Work, model_work, profile
from edgert.report.quantisation.culprit import MOST_PROBES, find_culprit
from edgert.report.quantisation.distributions import Distributions, chosen_range
from edgert.report.quantisation.facts import Accuracy, LayerFacts, ModelFacts, OutputFacts, Report
from edgert.report.quantisation.layers import LayerDifference, compare_layers
from edgert.report.quantisation.memory import arena
from edgert.report.quantisation.stored import Stored
from edgert.report.quantisation.twins import CHOICES, PROMISE, Array, PairedSample, Twins, noted, other_source
from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo, tensor_info

Package = bytes | Path
MOST_SAMPLES = 32
_FEW = 8  # samples on which rescaled channels and ranges are learnt, and the costliest layer is looked for
_CONVERSIONS = ("quantize", "dequantize", "cast")


def quantisation_report(
    exact: Package,
    rounded: Package,
    samples: Callable[[], Iterable[Mapping[str, Array]]],
    *,
    files: tuple[str, str] = ("", ""),
    data: str = "",
    most_samples: int = MOST_SAMPLES,
    accuracies: Sequence[Accuracy] = (),
    notes: Sequence[str] = (),
    threads: int = 1,
    seconds: float = 1.0,
    progress: Progress = silent,
) -> Report:
    """All that a report says of a quantised model.

    exact, rounded: the float model's package and the quantised one's, as bytes or files. samples: gives the float
    model's inputs by name, the same ones whenever it is called; at most most_samples of them, evenly spread, are looked
    at. files: what to call the two models. data: what to call the samples. accuracies, notes: what is known beside.
    seconds: how long each model is timed, on so many threads; 0 leaves times out.

    Raises InputError when there is no sample, one does not fit, or the models have no tensor in common; FileFormatError
    and ModelError as opening a package does.
    """
    sources = [item if isinstance(item, bytes) else item.read_bytes() for item in (exact, rounded)]
    models = [Model(source, threads=threads) for source in sources]
    twins = Twins(*(Model(source, keep_all_tensors=True) for source in sources))
    progress("compare", 0, None)
    spread = Spread(lambda: _paired_samples(twins, samples()), most=most_samples)
    if spread.count == 0:
        raise InputError(f"{data or 'the data'} hold no sample to compare on")
    few = list(spread.some(_FEW))
    twins.fit_factors(few)
    distributions = Distributions(twins)
    for mine, theirs in few:
        twins.exact.run(mine)
        twins.rounded.run(theirs)
        for pair in twins.first:
            if chosen_range(pair.rounded) is None:
                distributions.look(pair)
    differences, count = compare_layers(twins, _counted(spread, progress), distributions.count)
    culprit = find_culprit(twins, few, lambda done: progress("bisect", done, MOST_PROBES))

    progress("time", 0, None)
    times = [_times(model, threads, seconds) for model in models]
    works = [model_work(model) for model in models]
    stored = [Stored(model) for model in models]
    layers = _Layers(twins, works, stored, times, differences, distributions).all()
    return Report(
        exact=_model_facts(models[0], sources[0], files[0], stored[0], times[0]),
        rounded=_model_facts(models[1], sources[1], files[1], stored[1], times[1]),
        isa=models[1].session.isa,
        threads=threads,
        data=data,
        samples=count,
        outputs=tuple(_outputs(twins, differences)),
        layers=tuple(layers),
        costliest=None if culprit is None else {**culprit.as_json(), "text": str(culprit)},
        accuracies=tuple(accuracies),
        arena=arena(models[1]),
        choices=noted(models[1], CHOICES),
        promise=noted(models[1], PROMISE),
        metadata={key: models[1].metadata(key) or "" for key in models[1].session.model.metadata_keys},
        notes=(*notes, *other_source(twins)),
    )


def _paired_samples(twins: Twins, samples: Iterable[Mapping[str, Array]]) -> Iterator[PairedSample]:
    pairs = paired(twins.exact.inputs, twins.rounded.inputs, "inputs")
    for sample in samples:
        missing = [info.name for info, _ in pairs if info.name not in sample]
        if missing:
            raise InputError(f"a sample has no input {missing[0]!r}; it has {', '.join(sample) or 'none'}")
        yield sample, {y.name: as_input(sample[x.name], x, y) for x, y in pairs}


def _counted(spread: Spread[PairedSample], progress: Progress) -> Iterator[PairedSample]:
    for done, sample in enumerate(spread):
        progress("compare", done, spread.count)
        yield sample


def _times(model: Model, threads: int, seconds: float) -> list[float]:
    """Microseconds of every operator; empty when nothing is to be timed."""
    return [op["us"] for op in profile(model, threads, seconds)["operators"]] if seconds > 0 else []


def _model_facts(model: Model, source: bytes, file: str, stored: Stored, times: Sequence[float]) -> ModelFacts:
    known: dict[str, Any] = {
        key: model.metadata(key) or "" for key in ("toolchain", "source_sha256", "calibration_sha256")
    }
    return ModelFacts(
        file=file or model.name or hashlib.sha256(source).hexdigest()[:12],
        name=model.name,
        file_bytes=len(source),
        constant_bytes=sum(stored.bytes_by_op().values()),
        arena_bytes=model.session.arena_bytes,
        operators=model.session.model.op_count - len(stored.expanded),
        us=sum(times),
        **known,
    )


def _outputs(twins: Twins, differences: Sequence[LayerDifference]) -> Iterator[OutputFacts]:
    """Every result of the model, by its own tensor in the exact model."""
    by_name = {layer.pair.name: layer.difference for layer in differences}
    for info in twins.exact.outputs:
        if info.name in by_name:
            found = by_name[info.name]
            exact = found.different == 0
            yield OutputFacts(info.name, exact, _finite(found.sqnr_db), found.cosine, found.largest)


class _Layers:
    """Puts together what is known of every operator of the quantised model."""

    def __init__(
        self,
        twins: Twins,
        works: Sequence[Sequence[Work]],
        stored: Sequence[Stored],
        times: Sequence[Sequence[float]],
        differences: Sequence[LayerDifference],
        distributions: Distributions,
    ) -> None:
        self._native = twins.rounded.session.model
        self._session = twins.rounded.session
        self._work = works[1]
        self._stored = stored[1]
        self._times, self._exact_times = times[1], times[0]
        self._bytes, self._exact_bytes = stored[1].bytes_by_op(), stored[0].bytes_by_op()
        self._by_op: dict[int, LayerDifference] = {}
        for difference in differences:
            self._by_op.setdefault(difference.pair.op, difference)
        self._names = {pair.op: pair.name for pair in reversed(twins.pairs)}
        self._distributions = distributions

    def all(self) -> Iterator[LayerFacts]:
        writer: dict[int, int] = {}
        for op in (op for op in range(self._native.op_count) if op not in self._stored.expanded):
            _, _, inputs, outputs = self._native.op(op)
            read = [writer.get(index, -1) for index in inputs if self._flows(index)]
            yield self._layer(op, tuple(dict.fromkeys(read)))
            writer.update(dict.fromkeys(outputs, op))

    def _flows(self, index: int) -> bool:
        """Whether a tensor is neither constant nor absent nor made of constants."""
        if index < 0 or tensor_info(self._session, index).kind == "constant":
            return False
        return not self._stored.made_of_constants(index)

    def _layer(self, op: int, inputs: tuple[int, ...]) -> LayerFacts:
        kind, node, _, outputs = self._native.op(op)
        work = self._work[op]
        info = tensor_info(self._session, outputs[0]) if outputs else None
        exact_op = self._by_op[op].pair.exact_op if op in self._by_op else -1
        return LayerFacts(
            index=op,
            name=self._names.get(op) or (info.name if info is not None else node),
            node=node,
            operator=kind,
            kernel=work.kernel,
            inputs=inputs,
            shape=info.shape if info is not None else (),
            dtype=info.dtype.numpy_name if info is not None else "",
            computes=_computes(kind, work),
            weights=self._stored.weights(op) if work.macs else "",
            macs=work.macs,
            us=self._times[op] if self._times else 0.0,
            float_us=self._exact_times[exact_op] if exact_op >= 0 and self._exact_times else None,
            stored_bytes=self._bytes[op],
            float_bytes=self._exact_bytes.get(exact_op) if exact_op >= 0 else None,
            output_bytes=sum(math.prod(out.shape) * out.dtype.itemsize for out in work.outputs),
            moved_bytes=work.moved_bytes,
            **self._compared(op, info),
        )

    def _compared(self, op: int, info: TensorInfo | None) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        covered = chosen_range(info) if info is not None else None
        if covered is not None and info is not None and info.quant is not None:
            facts["range_low"], facts["range_high"] = covered
            facts["scale"], facts["zero_point"] = info.quant.scale, info.quant.zero_point
        layer = self._by_op.get(op)
        if layer is None:
            return facts
        shown, least, greatest, clipped = self._distributions.of(layer.pair)
        return {
            **facts,
            "compared": True,
            "exact": layer.difference.different == 0,
            "sqnr_db": _finite(layer.difference.sqnr_db),
            "own_sqnr_db": _finite(layer.own.sqnr_db),
            "cosine": layer.difference.cosine,
            "max_abs_diff": layer.difference.largest,
            "rescaled": layer.pair.rescaled,
            "seen_low": least,
            "seen_high": greatest,
            "clipped": clipped,
            "distribution": shown,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _computes(kind: str, work: Work) -> str:
    """The type of the first operand: what an operator's arithmetic is done in."""
    if kind in _CONVERSIONS:
        return "conversion"
    operand = next(iter(work.inputs), None) or next(iter(work.outputs), None)
    return operand.dtype.numpy_name if operand is not None else ""
