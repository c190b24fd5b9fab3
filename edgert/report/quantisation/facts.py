"""What a report on a quantised model says, as plain data: the JSON of `edgert report --json` has these fields.

FORMAT and VERSION stand at the top of the JSON. The version grows when a field changes its meaning or goes; new fields
may come without that. Numbers that are infinite or no numbers are null: an SQNR is null where both tensors are equal,
and `exact` says so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = "edgert.report"
VERSION = 1


@dataclass(frozen=True)
class ModelFacts:
    """One of the two models. us: microseconds of one run on this host; 0 when it was not timed. constant_bytes: of all
    weights, biases and tables as they are stored."""

    file: str  # as a person calls it: the file's name
    name: str
    file_bytes: int
    constant_bytes: int
    arena_bytes: int
    operators: int
    us: float
    toolchain: str
    source_sha256: str
    calibration_sha256: str


@dataclass(frozen=True)
class Distribution:
    """How often a tensor's values fall into bins of equal width, in the float model (before) and the quantised (after).

    Bin i reaches from low + i * width to low + (i + 1) * width; the first and the last also hold what lies beyond. For
    an integer tensor every bin holds a whole number of steps, and the range that its integers cover is range_low to
    range_high, of which some bins lie outside. Where channels were rescaled, both are in the quantised tensor's units.
    """

    low: float
    width: float
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class LayerFacts:
    """One operator of the quantised model.

    compared: whether the float model has its tensor; without that, what compares both is null. sqnr_db, cosine and
    max_abs_diff are as the models run; own_sqnr_db is that of the layer on the float model's values: what it loses
    itself. stored_bytes: of its constants in the file, each at its first reader; float_bytes and float_us are those of
    the float model's operator that writes the same tensor. output_bytes: memory of its results; moved_bytes: of all
    that it reads and writes.
    """

    index: int  # in the order of execution
    name: str  # of the tensor that it writes, as the float model calls it
    node: str  # the source node's name
    operator: str
    kernel: str
    inputs: tuple[int, ...]  # the layers that it reads from; -1: an input of the model
    shape: tuple[int, ...]
    dtype: str  # of its result
    computes: str  # what it computes in: "int8", "int16", "float32" ..., or "conversion"
    weights: str  # how its weights are stored, "" where it has none
    macs: int
    us: float
    float_us: float | None
    stored_bytes: int
    float_bytes: int | None
    output_bytes: int
    moved_bytes: int
    compared: bool = False
    exact: bool = False  # both tensors are equal on all samples
    sqnr_db: float | None = None
    own_sqnr_db: float | None = None
    cosine: float | None = None
    max_abs_diff: float | None = None
    rescaled: bool = False  # its channels were brought to scales of their own; compared up to one factor a channel
    scale: float | None = None
    zero_point: int | None = None
    range_low: float | None = None  # the range that the quantiser chose: what its integers can hold
    range_high: float | None = None
    seen_low: float | None = None  # what the float model's values reach on the samples, in the same units
    seen_high: float | None = None
    clipped: float | None = None  # share of the float model's values beyond the range, from 0 to 1
    distribution: Distribution | None = None


@dataclass(frozen=True)
class OutputFacts:
    """A result of the model, compared with the float model's."""

    name: str
    exact: bool
    sqnr_db: float | None
    cosine: float
    max_abs_diff: float


@dataclass(frozen=True)
class Accuracy:
    """A metric's value between the bounds of its 95 % confidence interval. model: "float" or "quantised"; or "drop", by
    how much the quantised one is worse on the same samples, whose interval is that of the paired difference."""

    metric: str
    unit: str  # "%", "dB" or ""
    model: str
    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Block:
    """Where a tensor lies in the arena, and during which operators, both included."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Arena:
    """Use of memory over time. live_bytes: of all tensors that are needed while operator i runs."""

    bytes: int
    blocks: tuple[Block, ...]
    live_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """A quantised model beside the float model that it was made from.

    samples, data: what they were compared on. costliest: the layer that costs the results most, as Culprit.as_json()
    (edgert.report.quantisation.culprit) has it; None where quantisation changed nothing. choices: what the quantiser
    noted in the package. promise: what a budget was held with when it was converted, as the package states it.
    """

    exact: ModelFacts
    rounded: ModelFacts
    isa: str
    threads: int
    data: str
    samples: int
    outputs: tuple[OutputFacts, ...]
    layers: tuple[LayerFacts, ...]
    costliest: dict[str, Any] | None
    accuracies: tuple[Accuracy, ...]
    arena: Arena
    choices: dict[str, Any] = field(default_factory=dict)
    promise: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def not_int8(self) -> tuple[LayerFacts, ...]:
        """Layers that compute on real numbers or in int16; conversions and indices are not among them."""
        return tuple(layer for layer in self.layers if layer.computes in ("float32", "float16", "int16"))

    def as_json(self) -> dict[str, Any]:
        """The documented JSON object, of finite numbers alone."""
        facts: dict[str, Any] = finite({"format": FORMAT, "version": VERSION, **asdict(self)})
        facts["not_int8"] = [layer.index for layer in self.not_int8]
        return facts


def finite(value: Any) -> Any:
    """The same with None in place of infinities and NaN, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
