"""A model and its quantised form side by side: which tensors stand for the same numbers, and running both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.errors import InputError
from edgert.report.compare import real
from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo, tensor_array, tensor_info

Array = NDArray[Any]
# Inputs by name, as the one model takes them and as the other does.
PairedSample = tuple[Mapping[str, Array], Mapping[str, Array]]

CHOICES, PROMISE = "quantization", "accuracy"  # metadata of a package: what the quantiser chose, what was promised
_QUANTIZED_NAME = re.compile(r"_(int8|int16)(_\d+)?$")  # the quantiser calls the int8 form of "x" "x_int8"


@dataclass(frozen=True)
class Pair:
    """A tensor of the exact model and one that stands for it in the rounded model.

    exact_op, op: the operators that write them; exact_op is -1 for an input. first: whether this is the first such
    tensor of the rounded model; the others are the same numbers in another type. rescaled: whether the quantiser
    brought its channels to scales of their own.
    """

    name: str  # of the exact tensor
    exact: TensorInfo
    exact_op: int
    rounded: TensorInfo
    op: int
    first: bool
    rescaled: bool


class Twins:
    """Both models, open with keep_all_tensors=True, and their pairs in the rounded model's order of execution.

    Raises InputError when no computed tensor of one has a namesake in the other.
    """

    def __init__(self, exact: Model, rounded: Model) -> None:
        self.exact, self.rounded = exact, rounded
        self.pairs = _pairs(exact, rounded)
        if not any(pair.exact_op >= 0 for pair in self.pairs):
            raise InputError("A and B have no computed tensor of the same name: they do not come from the same source")
        self.first = tuple(pair for pair in self.pairs if pair.first)
        self._exact_views = {pair.name: tensor_array(exact.session, pair.exact.index) for pair in self.pairs}
        self._views = {pair.rounded.index: tensor_array(rounded.session, pair.rounded.index) for pair in self.pairs}
        self._factors: dict[str, NDArray[np.float64]] = {}

    def restart(self) -> None:
        """Puts the variables of both models back to their initial values."""
        self.exact.session.reset_variables()
        self.rounded.session.reset_variables()

    def exact_values(self, pair: Pair) -> Array:
        """What the exact model's tensor holds, as real numbers."""
        return real(self._exact_views[pair.name], pair.exact)

    def rounded_values(self, pair: Pair) -> Array:
        """What the rounded model's tensor holds, as real numbers in the exact one's units and shape."""
        values = real(self._views[pair.rounded.index], pair.rounded)
        if pair.name in self._factors:
            values = values * self._factors[pair.name]
        if values.size != self._exact_views[pair.name].size:
            shapes = f"{list(pair.exact.shape)} in A and {list(pair.rounded.shape)} in B"
            raise InputError(f"{pair.name!r} has shape {shapes}")
        return values.reshape(pair.exact.shape)

    def factors(self, pair: Pair) -> NDArray[np.float64] | None:
        """What the rounded tensor's channels (last axis) are multiplied with, where the quantiser rescaled them."""
        return self._factors.get(pair.name)

    def overwrite_rounded(self, pair: Pair) -> None:
        """Gives the rounded model's tensor the exact values, as near as its type can hold them."""
        values = self.exact_values(pair)
        if pair.name in self._factors:
            values = values / self._factors[pair.name]
        store(values, pair.rounded, self._views[pair.rounded.index])

    def overwrite_exact(self, pair: Pair) -> None:
        """Gives the exact model's tensor the rounded values."""
        view = self._exact_views[pair.name]
        view[...] = self.rounded_values(pair).astype(view.dtype)

    def fit_factors(self, samples: Iterable[PairedSample]) -> None:
        """Finds the positive factor of every rescaled channel by least squares: the network's function does not depend
        on it, and a comparison must not count it as an error."""
        rescaled = [pair for pair in self.first if pair.rescaled and pair.exact.shape == pair.rounded.shape]
        if not rescaled:
            return
        self._factors = {}
        products = {pair.name: np.zeros(pair.exact.shape[-1]) for pair in rescaled}
        squares = {pair.name: np.zeros(pair.exact.shape[-1]) for pair in rescaled}
        self.restart()
        for mine, theirs in samples:
            self.exact.run(mine)
            self.rounded.run(theirs)
            for pair in rescaled:
                x = self.exact_values(pair).reshape(-1, pair.exact.shape[-1]).astype(np.float64)
                y = self.rounded_values(pair).reshape(-1, pair.exact.shape[-1]).astype(np.float64)
                products[pair.name] += np.einsum("nc,nc->c", x, y)
                squares[pair.name] += np.einsum("nc,nc->c", y, y)
        for pair in rescaled:
            with np.errstate(all="ignore"):
                factor = products[pair.name] / squares[pair.name]
            self._factors[pair.name] = np.where(np.isfinite(factor) & (factor > 0.0), factor, 1.0)


class Variables:
    """The state of the rounded model, that of the exact model beside it where it has a variable of the same name."""

    def __init__(self, twins: Twins) -> None:
        known = {info.name: info for info in _variables(twins.exact)}
        self._held: list[tuple[TensorInfo, Array, TensorInfo | None, Array | None]] = []
        for info in _variables(twins.rounded):
            twin = known.get(info.name) or known.get(_QUANTIZED_NAME.sub("", info.name))
            view = tensor_array(twins.rounded.session, info.index)
            exact = None if twin is None else tensor_array(twins.exact.session, twin.index)
            fits = exact is not None and exact.size == view.size
            self._held.append((info, view, twin if fits else None, exact if fits else None))

    def state(self) -> list[Array]:
        """What the rounded model holds."""
        return [view.copy() for _, view, _, _ in self._held]

    def exact_state(self) -> list[Array]:
        """The same as the exact model holds it, as real numbers; the rounded model's own where that has none."""
        return [
            real(view, info).copy() if exact is None or twin is None else real(exact, twin).copy()
            for info, view, twin, exact in self._held
        ]

    def restore(self, state: list[Array]) -> None:
        """Gives the rounded model this state."""
        for (_, view, _, _), values in zip(self._held, state, strict=True):
            view[...] = values

    def restore_exact(self, state: list[Array]) -> None:
        """Gives the rounded model what exact_state() gave."""
        for (info, view, _, _), values in zip(self._held, state, strict=True):
            store(values, info, view)


def _variables(model: Model) -> list[TensorInfo]:
    infos = (tensor_info(model.session, index) for index in range(model.session.model.tensor_count))
    return [info for info in infos if info.kind == "variable"]


def state(model: Model) -> list[Array]:
    """Copies of a model's variables."""
    return [tensor_array(model.session, info.index).copy() for info in _variables(model)]


def restore(model: Model, held: list[Array]) -> None:
    """Gives a model the variables of state()."""
    for info, values in zip(_variables(model), held, strict=True):
        tensor_array(model.session, info.index)[...] = values


def store(values: Array, info: TensorInfo, memory: Array) -> None:
    """Writes real numbers into a tensor's memory, as near as its type can hold them."""
    quantize = info.quant is not None and values.dtype.kind == "f" and memory.dtype.kind in "iu"
    stored = info.quantize(values) if quantize else values.astype(memory.dtype)
    memory[...] = stored.reshape(memory.shape)


def set_inputs(model: Model, inputs: Mapping[str, Array]) -> None:
    """Stores inputs by name for stepping through a model. Raises InputError for what does not fit."""
    for info in model.inputs:
        if info.name not in inputs:
            raise InputError(f"input {info.name!r} is missing")
        model.view(info.name)[...] = info.checked(inputs[info.name], "input")


def steps(model: Model) -> Iterator[int]:
    """Runs a model operator by operator from the first one on; after each, its index."""
    model.session.rewind()
    while (op := model.session.step()) is not None:
        yield op


def noted(model: Model, key: str) -> dict[str, Any]:
    """A JSON object of a package's metadata; empty where there is none, or none that can be read."""
    try:
        found = json.loads(model.metadata(key) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and _shallow(found) else {}


def _shallow(value: Any, levels: int = 16) -> bool:
    """Whether a JSON value nests no deeper: what walks through it must not run out of stack."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_shallow(item, levels - 1) for item in inner)


def other_source(twins: Twins) -> list[str]:
    """A note when both packages state the file that they were made from, and it is not the same one."""
    hashes = [model.metadata("source_sha256") for model in (twins.exact, twins.rounded)]
    if all(hashes) and hashes[0] != hashes[1]:
        return ["the quantised model was made from another file than the float model: differences may be the sources'"]
    return []


def written(model: Model) -> Iterator[tuple[int, TensorInfo]]:
    """(operator, tensor) of every tensor that an operator writes, in the order of execution."""
    native = model.session.model
    for op in range(native.op_count):
        for index in native.op(op)[3]:
            yield op, tensor_info(model.session, index)


def _pairs(exact: Model, rounded: Model) -> tuple[Pair, ...]:
    known = {info.name: (-1, info) for info in exact.inputs}
    for op, info in written(exact):
        known.setdefault(info.name, (op, info))
    named = noted(rounded, CHOICES).get("rescaled")
    rescaled = set(map(str, named)) if isinstance(named, list) else set()
    pairs: list[Pair] = []
    seen: set[str] = set()
    for op, info in written(rounded):
        name = info.name if info.name in known else _QUANTIZED_NAME.sub("", info.name)
        if name in known:
            exact_op, twin = known[name]
            pairs.append(Pair(name, twin, exact_op, info, op, name not in seen, name in rescaled))
            seen.add(name)
    return tuple(pairs)
