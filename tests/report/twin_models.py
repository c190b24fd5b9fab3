"""Pairs of models whose differences are known: a chain of convolutions, and the same with noise in some layers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from passes.graphs import Maker

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation
from edgert.pack.metadata import Metadata
from edgert.pack.writer import write
from edgert.report.quantisation.twins import PairedSample, Twins
from edgert.runtime.model import Model

CHANNELS = 8


def chain(
    layers: int,
    noise: Mapping[int, float] | None = None,
    factors: Mapping[int, np.ndarray] | None = None,
    rescaled: Sequence[str] = (),
    names: Sequence[str] = (),
) -> bytes:
    """A chain of 1x1 convolutions "layer0", "layer1" ...

    noise: of a layer's weights, in parts of their own deviation. factors: what a layer's channels are divided by, with
    the next layer's weights making up for it. rescaled: names of such layers for the metadata. names: other names.
    """
    make, noise, factors = Maker(4), noise or {}, factors or {}
    spoil = np.random.default_rng(5)
    x = make.input(1, 4, 4, CHANNELS)
    read = np.ones(CHANNELS)
    for i in range(layers):
        weights = make.rng.normal(size=(CHANNELS, 1, 1, CHANNELS)) / np.sqrt(CHANNELS / 2)
        weights = weights + noise.get(i, 0.0) * spoil.normal(size=weights.shape)
        written = factors.get(i, np.ones(CHANNELS))
        weights = weights * read / written[:, None, None, None]
        last = i == layers - 1
        x = make.op(
            "conv2d", x, weights.astype(np.float32), np.zeros(CHANNELS, np.float32),
            activation=Activation.NONE if last else Activation.RELU,
        )  # fmt: skip
        x.name, read = names[i] if names else f"layer{i}", written
    entries = (("quantization", json.dumps({"rescaled": list(rescaled)})),) if rescaled else ()
    return write(make.outputs(x), Metadata(name="chain", entries=entries))


def accumulator(step: float) -> bytes:
    """A model with state: total += step * x, and its result is 2 * total."""
    x = Value("x", (1, 4), DType.FLOAT32)
    total = Value("total", (1, 4), DType.FLOAT32, data=np.zeros((1, 4), np.float32), variable=True)
    scale = Value("scale", (1, 4), DType.FLOAT32, data=np.full((1, 4), step, np.float32))
    two = Value("two", (1, 4), DType.FLOAT32, data=np.full((1, 4), 2, np.float32))
    scaled, after, result = (Value(name, (1, 4), DType.FLOAT32) for name in ("scaled", "after", "result"))
    none = {"activation": Activation.NONE}
    nodes = [
        Node("mul", [x, scale], [scaled], dict(none), "scaled"),
        Node("add", [total, scaled], [after], dict(none), "after"),
        Node("assign", [total, after], [], {}, "keep"),
        Node("mul", [after, two], [result], dict(none), "result"),
    ]
    return write(Graph("accumulator", [x], [result], nodes))


def twins(exact: bytes, rounded: bytes) -> Twins:
    return Twins(Model(exact, keep_all_tensors=True), Model(rounded, keep_all_tensors=True))


def paired_samples(pair: Twins, count: int = 6, seed: int = 1) -> list[PairedSample]:
    return list(_samples(pair, count, seed))


def _samples(pair: Twins, count: int, seed: int) -> Iterator[PairedSample]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        inputs = {info.name: rng.normal(size=info.shape).astype(np.float32) for info in pair.exact.inputs}
        yield inputs, inputs
