"""What is wrong with calibration data although every sample fits the model: told in sentences that name the samples.

Ranges chosen on images that are constant, in the wrong layout or in the wrong units look fine and serve nothing. Each
rule fires on what real data do not do: see tests/quant/test_checks.py for data that each must, and must not, name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation, UnaryFunction
from edgert.quant.observe.histogram import Histogram
from edgert.quant.observe.measure import Results
from edgert.quant.observe.samples import Sample

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std per channel; empty where none is stated

_FEW = 16  # samples, below which the ranges are a guess
_NAMED = 5  # samples, at most, that a sentence lists
_REPEATED = 0.5  # of the samples, from which on repetition is worth a word
_LAYOUT_IMAGES = 64  # on which the layout is looked at
_SCRAMBLED = 0.5  # roughness along a row in the other layout over that in this one: real images have 2 and more
_WIDE, _NARROW = 1.5, 0.05  # of the span that a normalisation gives pixels
_CLIPPED = 0.45  # of what some ReLU6 lets through; a MobileNet has a fifth there, and 0.6 for pixels up to 255
_STILL = 2e-3  # of the results' power that differs between samples; networks have a hundredth and more on real data
_SCORES_APART = 200.0  # between scores in front of a softmax; trained ones are tens apart
_UNITS = "are they in the units that the model was trained on, pixels divided by 255 say? See --mean and --std."


@dataclass
class SampleWatch:
    """Looks at samples while they pass by."""

    count: int = 0
    constant: list[int] = field(default_factory=list)  # numbers, from 1, of samples whose inputs are one value each
    repeated: dict[int, int] = field(default_factory=dict)  # and the first sample that is the same
    least: dict[str, float] = field(default_factory=dict)  # by input
    greatest: dict[str, float] = field(default_factory=dict)
    _known: dict[bytes, int] = field(default_factory=dict)
    _all: Any = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """Of all samples that went by."""
        return str(self._all.hexdigest())

    def passing(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            self._look(sample)
            yield sample

    def _look(self, sample: Sample) -> None:
        self.count += 1
        digest = hashlib.blake2b(digest_size=16)
        large = []
        for name in sorted(sample):
            array = np.ascontiguousarray(sample[name])
            digest.update(name.encode() + b"\0" + array.tobytes())
            if array.dtype.kind == "f" and array.size:
                least, greatest = float(array.min()), float(array.max())
                self.least[name] = min(self.least.get(name, least), least)
                self.greatest[name] = max(self.greatest.get(name, greatest), greatest)
                if array.size > 16:
                    large.append(least == greatest)
        if large and all(large):
            self.constant.append(self.count)
        self._all.update(digest.digest())
        first = self._known.setdefault(digest.digest(), self.count)
        if first != self.count:
            self.repeated[self.count] = first


def data_warnings(
    graph: Graph,
    watch: SampleWatch,
    samples: Sequence[Sample],
    normalisation: Normalisation,
    histograms: Mapping[str, Histogram],
    results: Results,
) -> list[str]:
    """One sentence for each thing that is wrong.

    graph: float. samples: some of those watched. histograms: of all of them. results: float, of some samples along the
    first axis. Raises InputError when nothing can be learnt from the data: all samples are constant.
    """
    inputs = [value for value in graph.inputs if value.dtype == DType.FLOAT32]
    found = _about_samples(watch)
    for value in inputs:
        found += _about_units(value, watch, normalisation) or _about_layout(value, samples)
    return found + _about_activations(graph, histograms) + _about_results(results, watch)


def _about_samples(watch: SampleWatch) -> list[str]:
    found = []
    if watch.constant and len(watch.constant) == watch.count and len(watch.repeated) == watch.count - 1:
        every = "the calibration sample is" if watch.count == 1 else f"all {watch.count} calibration samples are"
        raise InputError(f"{every} one constant value throughout; give samples of what the model will see")
    if watch.constant:
        found.append(f"Calibration {_numbers(watch.constant)} one value throughout: remove what is no real sample.")
    if len(watch.repeated) >= _REPEATED * watch.count:
        number, first = next(iter(watch.repeated.items()))
        different = watch.count - len(watch.repeated)
        found.append(
            f"Of {watch.count} calibration samples only {different} differ: sample {number} is the same as sample "
            f"{first}, for one. Give different ones, better 100 to 500."
        )
    elif watch.count < _FEW:
        noun = "sample" if watch.count == 1 else "samples"
        found.append(
            f"Only {watch.count} calibration {noun}: what other data reach beyond that is clipped. Give more, better "
            "100 to 500."
        )
    return found


def _numbers(samples: Sequence[int]) -> str:
    if len(samples) == 1:
        return f"sample {samples[0]} is"
    listed = ", ".join(map(str, samples[:_NAMED]))
    return f"samples {listed}{' and others' if len(samples) > _NAMED else ''} are"


def _about_units(value: Value, watch: SampleWatch, normalisation: Normalisation) -> list[str]:
    """Pixels that are not normalised as stated, or twice."""
    mean, std = (np.array(numbers, np.float64) for numbers in normalisation)
    if not len(mean) or len(value.shape) != 4 or value.name not in watch.least:
        return []
    ends = np.stack([(0.0 - mean) / std, (255.0 - mean) / std])
    low, high = float(ends.min()), float(ends.max())
    least, greatest = watch.least[value.name], watch.greatest[value.name]
    span = max(abs(low), abs(high))
    stated = f"the stated normalisation makes {low:.3g} to {high:.3g} of pixels"
    if max(abs(least), abs(greatest)) > _WIDE * span:
        return [
            f"Input {value.name!r} holds {least:.3g} to {greatest:.3g} in the calibration data, and {stated}: "
            "normalise the samples, or give uint8 pixels, which are normalised here."
        ]
    if greatest - least < _NARROW * (high - low) and watch.count > 1:
        return [
            f"Input {value.name!r} holds {least:.3g} to {greatest:.3g} in the calibration data, and {stated}: "
            "the samples seem to be normalised twice, or almost black."
        ]
    return []


def _about_layout(value: Value, samples: Sequence[Sample]) -> list[str]:
    """Colour images whose neighbours on a row agree far better when the same bytes are read in the other layout."""
    shape = value.shape
    if len(shape) != 4 or shape[0] != 1 or (shape[3] == 3) == (shape[1] == 3) or min(shape[1:]) < 3:
        return []
    channels_last = shape[3] == 3
    other = (3, *shape[1:3]) if channels_last else (*shape[2:4], 3)
    here, there = 0.0, 0.0
    for sample in samples[:_LAYOUT_IMAGES]:
        image = np.asarray(sample[value.name], np.float64).reshape(shape[1:])
        here += _roughness(image, channels_last)
        there += _roughness(image.reshape(other), not channels_last)
    if here > 0.0 and there < _SCRAMBLED * here:
        given, needed = ("[C, H, W]", "[H, W, C]") if channels_last else ("[H, W, C]", "[C, H, W]")
        return [
            f"Input {value.name!r} takes images as {needed}, and the calibration data look like {given}: transpose "
            "them, reshaping does not."
        ]
    return []


def _roughness(image: NDArray[np.float64], channels_last: bool) -> float:
    """Mean difference between neighbours in a row."""
    return float(np.abs(np.diff(image, axis=1 if channels_last else 2)).mean())


def _about_activations(graph: Graph, histograms: Mapping[str, Histogram]) -> list[str]:
    shares = [share for node in graph.nodes if (share := _clipped_share(node, histograms)) is not None]
    if len(shares) >= 3 and max(shares) > _CLIPPED:
        return [f"A ReLU6 clips {100 * max(shares):.0f} % of what passes it on the calibration data: {_UNITS}"]
    for node in graph.nodes:
        x = node.inputs[0] if node.op in ("softmax", "log_softmax") else None
        seen = histograms.get(x.name) if x is not None else None
        if seen is not None and node.outputs[0] in graph.outputs and seen.greatest - seen.least > _SCORES_APART:
            return [
                f"Scores before a softmax are {seen.greatest - seen.least:.0f} apart on the calibration data: {_UNITS}"
            ]
    return []


def _clipped_share(node: Node, histograms: Mapping[str, Histogram]) -> float | None:
    """Of what is not zero behind a ReLU6, the share at its upper end; None for other nodes."""
    relu6 = node.attrs.get("activation") == Activation.RELU6
    if node.op == "unary":
        relu6 = node.attrs["function"] == UnaryFunction.RELU6
    if not relu6 or len(node.outputs) != 1 or node.output.name not in histograms:
        return None
    seen = histograms[node.output.name]
    total = float(seen.counts.sum())
    return float(seen.counts[seen.centres() > 5.98].sum()) / total if total > 0.0 else None


def _about_results(results: Results, watch: SampleWatch) -> list[str]:
    """Results that do not depend on the sample."""
    if watch.count - len(watch.repeated) < 4 or not results or len(results[0]) < 4:
        return []
    power = sum(float(np.square(result).sum()) for result in results)
    differing = sum(float(np.square(result - result.mean(axis=0)).sum()) for result in results)
    if differing < _STILL * power:
        return [
            "The float model gives almost the same results for all calibration samples: are they in the units that it "
            "was trained on (pixels from 0 to 255, say, and not divided by 255)?"
        ]
    return []
