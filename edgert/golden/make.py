"""The host's side: golden runs for a manifest, and pairs for a package."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

from edgert.dtypes import DType
from edgert.errors import InputError, InvokeError
from edgert.golden.check import MAX_RUNS, CheckError, compare, differing, every
from edgert.golden.inputs import SPANS, elements, unpack
from edgert.golden.runs import STEPS, Runner, element_count, open_model
from edgert.golden.trust import Trust, output_trust
from edgert.runtime import _native
from edgert.runtime.tensors import TensorInfo

MOST_VALUES = 256  # of an output, in a manifest
MARGIN = 16.0  # other instruction sets differ by more than the two that were compared, but not by this much
# Where even those two agree: by the share of the largest value that floats may differ, after float arithmetic alone,
# and after integers were rounded from it on the way, of which each may be a step of 256 apart.
SHARES = {Trust.CLOSE: 1e-4, Trust.LOOSE: 0.05}
MOST_SHARE = 0.5  # a tolerance as large as this compares nothing
OUTLIERS = 16  # one of so many may be decided otherwise by inexact floats, and be another number altogether
_LEAST_TOLERANCE = 1e-6  # for outputs that are all zeros
_QUANTIZED = {DType.INT8: 255.0, DType.UINT8: 255.0, DType.INT16: 65535.0}  # width of their ranges


def make(package: bytes | str | PathLike[str], count: int = 2) -> tuple[dict[str, Any], ...]:
    """`count` seeded runs of the package on this machine, and one for each pair that it brings, in the form of
    edgert.golden.check. The same package gives the same runs on the same machine.

    Raises InputError when the model cannot be run on seeded inputs, or when the package's own pairs do not come out
    here, and FileFormatError or ModelError for what is no package.
    """
    if not 0 <= count <= MAX_RUNS:
        raise InputError(f"{count} golden runs are asked for, needed 0 to {MAX_RUNS}")
    model = open_model(package)
    pairs = min(model.golden_count, MAX_RUNS - count)
    if count + pairs == 0:
        return ()
    comparison = _Comparison(model)
    runs: list[dict[str, Any]] = []
    if count:
        steps = STEPS if comparison.best.has_variables else 1
        seeds = range(1, count + 1)
        span, best = usable_span(comparison.best, seeds, steps)
        for seed, given in zip(seeds, best, strict=True):
            other = comparison.scalar.seeded(seed, steps, span) if comparison.scalar else given
            outputs = comparison.outputs(given, other)
            runs.append({"seed": seed, "steps": steps, "span": span, "outputs": outputs})
    for number in range(pairs):
        inputs, recorded = model.golden(number)
        given = comparison.best.recorded(inputs)
        other = comparison.scalar.recorded(inputs) if comparison.scalar else given
        outputs = comparison.outputs(given, other, recorded)
        for info, data, wanted, kept in zip(comparison.best.outputs, given, outputs, recorded, strict=True):
            try:
                compare(info, data, wanted, kept, f"the package's golden pair {number}: output {info.name!r}")
            except CheckError as error:
                raise InputError(
                    f"{error}; it was recorded elsewhere, or the package is damaged: convert again"
                ) from error
        runs.append({"recorded": number, "outputs": outputs})
    return tuple(runs)


def record(
    package: bytes, count: int, samples: Sequence[Sequence[bytes]] = ()
) -> list[tuple[list[bytes], list[bytes]]]:
    """`count` pairs for the package, the elements of all inputs and of all outputs as bytes: of the samples as far as
    they reach, and of seeded inputs then. They are computed with scalar instructions, so that they are the same
    wherever the package is made.

    Raises InputError when the model cannot be run on them.
    """
    runner = Runner(open_model(package), "scalar")
    chosen: list[list[bytes]] = [list(sample) for sample in samples[:count]]
    seeds = range(1, count - len(chosen) + 1)
    if seeds:
        span, _ = usable_span(runner, seeds, 1)
        chosen += [
            [
                bytes(elements(seed, 0, k, info.dtype, info.quant is not None, span, element_count(info.shape)))
                for k, info in enumerate(runner.inputs)
            ]
            for seed in seeds
        ]
    try:
        return [(inputs, runner.recorded(inputs)) for inputs in chosen]
    except InvokeError as error:
        raise InputError(
            f"the model cannot be run on the samples, so that no golden pairs are recorded: {error}"
        ) from error


def usable_span(runner: Runner, seeds: Sequence[int], steps: int) -> tuple[int, list[list[bytes]]]:
    """The widest of SPANS that the model runs all these seeds with, and gives finite numbers with; and its outputs.
    Integers that are no quantised numbers index tables, whose sizes only the model knows. Raises InputError when it
    runs with none."""
    spans = SPANS if runner.has_indices else SPANS[:1]
    first: tuple[int, list[list[bytes]]] | None = None
    reason = ""
    for span in spans:
        try:
            found = span, [runner.seeded(seed, steps, span) for seed in seeds]
        except InvokeError as error:
            reason = str(error)
            continue
        if all(_finite(info, data) for run in found[1] for info, data in zip(runner.outputs, run, strict=True)):
            return found
        first = first or found
    if first is None:
        raise InputError(
            f"the model fails on seeded inputs ({reason}); record golden pairs with edgert convert --golden N, and push"
            " with --golden 0"
        )
    return first


def _finite(info: TensorInfo, data: bytes) -> bool:
    values = unpack(info.dtype, every(info.dtype, data, -(-element_count(info.shape) // MOST_VALUES)))
    return all(math.isfinite(value) for value in values)


class _Comparison:
    """Runs a model with the machine's best instruction set and, where an output is not exact, with scalar ones too."""

    def __init__(self, model: _native.Model) -> None:
        self.best = Runner(model)
        self.trust = output_trust(model, self.best.session)
        exact = all(trust == Trust.EXACT for trust in self.trust)
        self.scalar = None if exact else Runner(model, "scalar")

    def outputs(
        self, given: list[bytes], other: list[bytes], recorded: Sequence[bytes] | None = None
    ) -> list[dict[str, Any]]:
        """What is wanted of every output: given is of the best instruction set, other of the scalar one.
        recorded: the package's bytes, which are then wanted, and not repeated."""
        found = []
        for k, (info, trust) in enumerate(zip(self.best.outputs, self.trust, strict=True)):
            if trust == Trust.EXACT:
                found.append({"sha256": hashlib.sha256(given[k]).digest() if recorded is None else b""})
                continue
            kept = (given[k], other[k]) if recorded is None else (recorded[k], given[k], other[k])
            found.append(_near(info, trust, kept, recorded is None))
        return found


def _near(info: TensorInfo, trust: Trust, runs: Sequence[bytes], with_values: bool) -> dict[str, Any]:
    """With a tolerance from what the first of the runs and the others differ by."""
    spread = max(differing(info.dtype, other, runs[0], math.inf)[1] for other in runs[1:])
    values = [abs(value) for value in unpack(info.dtype, runs[0]) if math.isfinite(value)]
    floats = info.dtype in (DType.FLOAT32, DType.FLOAT16)
    if floats or (info.quant is not None and info.dtype in _QUANTIZED):
        scale = max(values, default=0.0) if floats else _QUANTIZED[info.dtype]
        tolerance = max(MARGIN * spread, SHARES[trust] * scale, _LEAST_TOLERANCE)
        if MARGIN * spread > MOST_SHARE * scale:
            return {"skip": f"differs by {spread:.3g} of {scale:.3g} between this machine's instruction sets"}
    elif spread:
        return {"skip": "is decided by floats that differ between this machine's instruction sets"}
    else:
        tolerance = 0.0
    count = element_count(info.shape)
    stride = -(-count // MOST_VALUES)
    return {
        "values": every(info.dtype, runs[0], stride) if with_values else b"",
        "stride": stride,
        "tolerance": float(tolerance),
        "outliers": -(-count // stride) // OUTLIERS if trust == Trust.LOOSE else 0,
    }
