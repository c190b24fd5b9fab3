"""Evidence in the cache, and which metric data ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation.models import digits

import edgert
from edgert.cache import Cache
from edgert.evaluation import Dataset, class_count, digest_of, evidence, fitting_metric, labelled
from edgert.evaluation.kept import evidence_key, find, keep
from edgert.metrics import Boxes, Bundle, metric


@pytest.mark.parametrize("spec", ["top1", "auc", "mse", "agreement"])
def test_evidence_is_computed_once(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, rounded, dataset = digits()
    made, cache = metric(spec), Cache(tmp_path)
    if not made.needs_labels:
        dataset = labelled(exact, Dataset.of([sample.inputs for sample in dataset]), made)
    fresh = evidence(rounded, dataset, made, cache=cache)
    with monkeypatch.context() as patch:
        patch.setattr("edgert.evaluation.runner._each", lambda *_: iter(()))
        again = evidence(rounded, dataset, made, cache=cache)
    assert digest_of(again) == digest_of(fresh) == digest_of(evidence(rounded, dataset, made))
    assert len(evidence(rounded, dataset[:50], made, cache=cache)) == 50
    keys = [evidence_key(package, part, made) for package in (exact, rounded) for part in (dataset, dataset[:50])]
    assert len(set(keys)) == 4


def test_evidence_of_unequal_shapes_is_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    made = metric("map")
    rows = [np.array([[[0.1, 0.1, 0.5, 0.5, 0.5, i % 3]]] * i).reshape(1, -1, 6) for i in range(5)]
    whole = [made.evidence({"d": found}, Boxes.of([[1, 0, 0, 1, 1]] * (4 - i))) for i, found in enumerate(rows)]
    keep(cache, "key", whole)
    found = find(cache, "key")
    assert found is not None
    assert digest_of(found) == digest_of(whole)


def test_functions_of_the_users_own_are_not_kept(tmp_path: Path) -> None:
    _exact, rounded, dataset = digits()
    cache = Cache(tmp_path)
    evidence(rounded, dataset, metric(lambda outputs, targets: 1.0), cache=cache)
    assert list(tmp_path.rglob("*.npz")) == []
    assert not metric("map:any:thing").cacheable
    assert metric("map").cacheable


def test_a_bundle_runs_a_model_once(tmp_path: Path) -> None:
    exact, rounded, dataset = digits()
    metrics = (metric("top1"), metric("auc"), metric("topk:3"))
    bundle = Bundle(metrics)
    runs: list[int] = []

    def note(_stage: str, done: int, _total: int | None) -> None:
        runs.append(done)

    parts = bundle.parts(evidence(rounded, dataset, bundle, progress=note, cache=Cache(tmp_path)))
    assert len(runs) == 100
    again = bundle.parts(evidence(rounded, dataset, bundle, progress=note, cache=Cache(tmp_path)))
    assert digest_of(again) == digest_of(parts)
    assert len(runs) == 100
    for each, part in zip(metrics, parts, strict=True):
        assert digest_of(part) == digest_of(evidence(rounded, dataset, each))
    plain = Dataset.of([sample.inputs for sample in dataset])
    unlabelled = Bundle((metric("agreement"), metric("sqnr"), metric(lambda outputs, targets: len(targets))))
    found = unlabelled.parts(evidence(rounded, labelled(exact, plain, unlabelled), unlabelled))
    for each, part in zip(unlabelled.metrics, found, strict=True):
        assert each.value(part) == each.value(evidence(rounded, labelled(exact, plain, each), each))
    assert unlabelled.runs_here
    assert not unlabelled.cacheable
    assert Bundle((metric("agreement"), metric("top1"))).needs_labels


def test_metrics_that_fit() -> None:
    exact, _rounded, dataset = digits()
    outputs = edgert.Model(exact).outputs
    assert class_count(outputs) == 10
    plain = Dataset.of([sample.inputs for sample in dataset[:2]])
    assert fitting_metric(plain, outputs).spec == "agreement"
    for targets, spec in (
        ([1, 2], "top1"),
        ([np.int64(1)] * 2, "top1"),
        ([Boxes.of([])] * 2, "map"),
        ([np.zeros((8, 8), np.uint8)] * 2, "miou"),
        ([np.zeros(3, np.float32)] * 2, "sqnr"),
    ):
        assert fitting_metric(plain.with_targets(targets), outputs).spec == spec
