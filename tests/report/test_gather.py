"""What a report measures: sizes as stored, the arena, histograms, accuracy, and the JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packages import digits
from report.twin_models import CHANNELS, chain, twins

from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError
from edgert.evaluation import Dataset
from edgert.ir import Graph, Node, Value
from edgert.metrics import metric
from edgert.ops._enums import Activation
from edgert.pack.writer import write
from edgert.quickstart import sample_folder
from edgert.report.quantisation import Report, accuracies, quantisation_report, write_report
from edgert.report.quantisation.distributions import Distributions, chosen_range
from edgert.report.quantisation.facts import FORMAT, VERSION, LayerFacts, finite
from edgert.report.quantisation.html import decibels, percent, size_text, time_text
from edgert.report.quantisation.layout import NODE_HEIGHT, NODE_WIDTH, place
from edgert.report.quantisation.memory import arena
from edgert.report.quantisation.stored import Stored
from edgert.runtime.model import Model

Samples = list[dict[str, np.ndarray]]


def images(count: int = 12) -> Samples:
    with np.load(sample_folder() / "calibration.npz") as archive:
        return [{"image": image[None]} for image in archive["image"][:count]]


@pytest.fixture(scope="module")
def report() -> Report:
    return quantisation_report(digits(quantize=False), digits(quantize=True), images, seconds=0.01)


def test_layers_carry_what_was_measured(report: Report) -> None:
    assert report.samples == 12
    assert report.rounded.file_bytes < report.exact.file_bytes
    convolutions = [layer for layer in report.layers if layer.operator == "conv2d"]
    assert convolutions
    for layer in convolutions:
        assert (layer.computes, layer.weights, layer.dtype) == ("int8", "int8", "int8")
        assert layer.compared
        assert layer.sqnr_db is not None
        assert layer.own_sqnr_db is not None
        assert layer.macs > 0
        assert layer.us > 0
        assert layer.float_us is not None
        assert layer.float_bytes is not None
        assert 2 * layer.stored_bytes < layer.float_bytes
        assert layer.scale is not None
        assert layer.range_low is not None
        assert layer.range_high is not None
        assert layer.range_low <= 0 <= layer.range_high
        assert layer.distribution is not None
        assert sum(layer.distribution.before) == sum(layer.distribution.after) == 12 * np.prod(layer.shape)
    assert sum(layer.stored_bytes for layer in report.layers) == report.rounded.constant_bytes
    assert report.layers[0].inputs == (-1,)
    assert all(source < layer.index for layer in report.layers for source in layer.inputs)
    assert report.not_int8 == ()
    (output,) = report.outputs
    assert output.name == "scores"
    assert output.sqnr_db is not None
    assert output.sqnr_db > 20


def test_the_json_has_every_field_and_no_other_numbers(report: Report, tmp_path: Path) -> None:
    write_report(report, json_file=tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    facts = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (facts["format"], facts["version"]) == (FORMAT, VERSION) == ("edgert.report", 1)
    assert {field.name for field in fields(Report)} <= set(facts)
    assert all(set(layer) == {field.name for field in fields(LayerFacts)} for layer in facts["layers"])
    assert facts["costliest"]["name"] in {layer["name"] for layer in facts["layers"]}


def test_infinities_and_nan_are_null() -> None:
    assert finite({"a": [1.0, float("inf")], "b": (float("nan"), 2)}) == {"a": [1.0, None], "b": [None, 2]}


def test_a_model_beside_itself() -> None:
    package = chain(3)
    rng = np.random.default_rng(0)
    samples = [{"input1": rng.normal(size=(1, 4, 4, CHANNELS)).astype(np.float32)} for _ in range(3)]
    report = quantisation_report(package, package, lambda: samples, seconds=0)
    assert report.costliest is None
    assert all(layer.exact and layer.sqnr_db is None for layer in report.layers)
    assert all(layer.us == 0 and layer.float_us is None for layer in report.layers)
    assert [layer.index for layer in report.not_int8] == [0, 1, 2]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "no sample"),
        ([{"other": np.zeros((1, 1, 8, 8), np.float32)}], "has no input 'image'"),
        ([{"image": np.zeros((1, 1, 8, 9), np.float32)}], "does not fit"),
    ],
)
def test_samples_that_do_not_fit(samples: Samples, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantisation_report(digits(quantize=False), digits(quantize=True), lambda: samples)


def stored_weights() -> bytes:
    """Three matrix products whose weights are stored as float16, int8, and int4 in blocks, and expanded."""
    rng = np.random.default_rng(0)
    x = Value("x", (1, 64), DType.FLOAT32)
    graph = Graph("stored", [x])
    half = Value("half", (64, 64), DType.FLOAT16, data=rng.normal(size=(64, 64)).astype(np.float16))
    quant = QuantParams((0.01,) * 64, (0,) * 64)
    small = Value("small", (64, 64), DType.INT8, quant, rng.integers(-127, 128, (64, 64)).astype(np.int8))
    packed = Value("packed", (64, 32), DType.UINT8, data=rng.integers(0, 256, (64, 32)).astype(np.uint8))
    factors = Value("factors", (64, 2), DType.UINT8, data=rng.integers(1, 19, (64, 2)).astype(np.uint8))
    wide = Value("wide", (64, 64), DType.INT8, quant)
    graph.nodes.append(Node("unpack_int4", [packed, factors], [wide], {"shape": (64, 64)}, "unpack"))
    for i, weights in enumerate((half, small, wide)):
        expanded = Value(f"weights{i}", (64, 64), DType.FLOAT32)
        graph.nodes.append(Node("dequantize", [weights], [expanded], {}, f"expand{i}"))
    for i in range(3):
        y = Value(f"y{i}", (1, 64), DType.FLOAT32)
        weights = next(node.output for node in graph.nodes if node.output.name == f"weights{i}")
        graph.nodes.append(Node("fully_connected", [x, weights], [y], {"activation": Activation.NONE}, f"product{i}"))
        x = y
    graph.outputs = [x]
    return write(graph)


def test_weights_count_as_they_are_stored() -> None:
    package = stored_weights()
    stored = Stored(Model(package))
    assert stored.expanded == {0, 1, 2, 3}
    assert stored.bytes_by_op() == {4: 64 * 64 * 2, 5: 64 * 64, 6: 64 * 32 + 64 * 2}
    assert [stored.weights(op) for op in (4, 5, 6)] == ["float16", "int8", "int4-block"]
    sample = {"x": np.ones((1, 64), np.float32)}
    report = quantisation_report(package, package, lambda: [sample], seconds=0.01)
    assert [layer.index for layer in report.layers] == [4, 5, 6]
    assert [layer.inputs for layer in report.layers] == [(-1,), (4,), (5,)]
    assert {block.name for block in report.arena.blocks} == {"x", "y0", "y1", "y2"}


def test_the_arena_is_that_of_the_session() -> None:
    model = Model(digits(quantize=True))
    found = arena(model)
    assert found.bytes == model.session.arena_bytes
    assert len(found.live_bytes) == model.session.model.op_count
    assert 0 < max(found.live_bytes) <= found.bytes
    assert all(block.offset >= 0 and block.offset + block.bytes <= found.bytes for block in found.blocks)
    for op in range(model.session.model.op_count):  # what lives at one time does not overlap
        alive = sorted((b.offset, b.bytes) for b in found.blocks if b.first <= op <= b.last)
        assert all(a + size <= b for (a, size), (b, _) in pairwise(alive))


def test_histograms_count_every_value_and_tell_what_is_clipped() -> None:
    exact = Graph("exact", [Value("x", (1, 1000), DType.FLOAT32)])
    quant = QuantParams((0.01,), (0,))
    y8, y = Value("y_int8", (1, 1000), DType.INT8, quant), Value("y", (1, 1000), DType.FLOAT32)
    rounded = Graph("rounded", [Value("x", (1, 1000), DType.FLOAT32)], [y])
    rounded.nodes = [
        Node("quantize", [rounded.inputs[0]], [y8], {}, "q"), Node("dequantize", [y8], [y], {}, "d"),
    ]  # fmt: skip
    z = Value("y", (1, 1000), DType.FLOAT32)
    exact.nodes, exact.outputs = [Node("copy", [exact.inputs[0]], [z], {}, "c")], [z]
    pair = twins(write(exact), write(rounded))
    (y_pair,) = (item for item in pair.first if item.name == "y")
    assert chosen_range(y_pair.rounded) == pytest.approx((-1.28, 1.27))
    distributions = Distributions(pair)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 1000)).astype(np.float32)
    pair.exact.run({"x": values})
    pair.rounded.run({"x": values})
    distributions.count(y_pair)
    found, least, greatest, clipped = distributions.of(y_pair)
    assert found is not None
    assert sum(found.before) == sum(found.after) == 1000
    assert (least, greatest) == (values.min(), values.max())
    assert clipped == np.mean((values < -1.285) | (values > 1.275))
    assert found.width == pytest.approx(0.04)
    edges = found.low + found.width * np.arange(len(found.before) + 1)
    inside, _ = np.histogram(values, edges)
    assert found.before[1:-1] == tuple(inside[1:-1])
    beyond = np.array(found.after)[(edges[1:] < -1.3) | (edges[:-1] > 1.3)]
    assert not beyond.any()


def test_accuracy_of_both_on_labels_and_agreement_without() -> None:
    with np.load(sample_folder() / "test.npz") as archive:
        pixels, labels = archive["x"][:60], archive["labels"][:60]
    arrays = [{"image": x.astype(np.float32)[None] / 16} for x in pixels]
    exact, rounded = digits(quantize=False), digits(quantize=True)
    info = Model(rounded).inputs[0]
    integers = [{"image": info.quantize(sample["image"])} for sample in arrays]
    targets = [int(label) for label in labels]
    labelled = accuracies(exact, rounded, Dataset.of(arrays, targets), Dataset.of(integers), metric("top1"))
    assert [row.model for row in labelled] == ["float", "quantised", "drop"]
    assert labelled[0].value > 90
    assert labelled[1].low < labelled[1].value < labelled[1].high or labelled[1].value == 100
    assert labelled[0].value - labelled[1].value == pytest.approx(labelled[2].value)
    (agreed,) = accuracies(exact, rounded, Dataset.of(arrays), Dataset.of(integers), metric("agreement"))
    assert (agreed.model, agreed.count) == ("quantised", 60)
    assert agreed.value > 90


def boxes_apart(centres: Any) -> bool:
    apart = (abs(a[0] - b[0]) >= NODE_WIDTH or abs(a[1] - b[1]) >= NODE_HEIGHT
             for i, a in enumerate(centres) for b in centres[:i])  # fmt: skip
    return all(apart)


@pytest.mark.parametrize(
    ("count", "edges"),
    [
        (1, []),
        (3, []),
        (4, [(0, 1), (1, 2), (2, 3), (0, 3)]),
        (7, [(0, 1), (2, 3), (3, 4), (2, 4)]),  # two networks, and nodes alone
        (30, [(0, i) for i in range(1, 29)] + [(i, 29) for i in range(1, 29)]),
        (3, [(0, 1), (1, 1), (2, 1), (1, 7), (1, 2)]),  # what is no edge of a network is passed over
    ],
)
def test_graphs_are_laid_out_without_overlap(count: int, edges: list[tuple[int, int]]) -> None:
    placed = place(count, edges)
    assert len(placed.centres) == count
    assert boxes_apart(placed.centres)
    real = {(a, b) for a, b in edges if a < b < count}
    assert {(a, b) for a, b, _ in placed.routes} == real
    for a, b, points in placed.routes:
        assert (points[0], points[-1]) == (placed.centres[a], placed.centres[b])
        assert points[0][1] < points[-1][1]
    for x, y in placed.centres:
        assert NODE_WIDTH / 2 <= x <= placed.width - NODE_WIDTH / 2 + 1e-6
        assert NODE_HEIGHT / 2 <= y <= placed.height - NODE_HEIGHT / 2 + 1e-6
    assert place(count, edges) == placed


def test_sensible_text_of_sizes_and_times() -> None:
    texts: list[tuple[Callable[[Any], str], Any, str]] = [
        (size_text, 0, "0 B"), (size_text, 2048, "2.0 KiB"), (size_text, None, ""), (time_text, 1500.0, "1.5 ms"),
        (time_text, 2.25, "2.25 us"), (decibels, None, ""), (percent, 0.004, "0.4 %"), (percent, 0.98, "98 %"),
        (percent, 1.0, "100 %"),
    ]  # fmt: skip
    for function, value, text in texts:
        assert function(value) == text
