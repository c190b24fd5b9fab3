"""Metrics of classifiers, beside scikit-learn's."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from edgert.errors import InputError
from edgert.metrics import METRICS, Measurement, metric

sklearn = pytest.importorskip("sklearn.metrics")


def noisy(count: int, classes: int, seed: int = 0) -> tuple[list[dict[str, Any]], list[int]]:
    """Scores of a classifier that is right about half the time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    scores = rng.normal(size=(count, 1, classes))
    scores[np.arange(count), 0, labels] += 1.5
    scores = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return [{"features": np.zeros((1, 3, 4)), "scores": row} for row in scores], [int(label) for label in labels]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_scikit_learn(k: int) -> None:
    outputs, labels = noisy(300, 7)
    scores = np.stack([one["scores"][0] for one in outputs])
    found = metric(f"topk:{k}").measure(outputs, labels)
    assert found.value == pytest.approx(100 * sklearn.top_k_accuracy_score(labels, scores, k=k))
    assert found.unit == "%"
    assert found.count == 300
    assert found.low < found.value < found.high


def test_confusion_matrix_equals_scikit_learn() -> None:
    outputs, labels = noisy(300, 7)
    predicted = [int(one["scores"].argmax()) for one in outputs]
    details = metric("top1").measure(outputs, labels).details
    assert details["confusion"] == sklearn.confusion_matrix(labels, predicted).tolist()
    each = sklearn.precision_recall_fscore_support(labels, predicted)
    for i, row in enumerate(details["per_class"]):
        assert row["precision"] == pytest.approx(100 * each[0][i])
        assert row["recall"] == pytest.approx(100 * each[1][i])
        assert row["samples"] == each[3][i]


def test_of_many_classes_the_commonest_mistakes_are_told() -> None:
    scores = np.eye(200)
    outputs = [{"y": scores[i]} for i in (150, 150, 150, 7, 3)]
    details = metric("top1").measure(outputs, [4, 4, 5, 5, 3]).details
    assert details["mistakes"] == [[4, 150, 2], [5, 7, 1], [5, 150, 1]]
    assert "confusion" not in details


def test_among_equal_scores_the_lower_class_is_first() -> None:
    outputs = [{"y": np.array([0.5, 0.5, 0.0])}] * 3
    assert metric("top1").measure(outputs, [0, 1, 2]).value == pytest.approx(100 / 3)
    assert metric("topk:2").measure(outputs, [0, 1, 2]).value == pytest.approx(200 / 3)


def test_scores_that_are_no_numbers_hit_nothing() -> None:
    broken = np.full((1, 4), np.nan)
    found = metric("top1").measure([{"y": broken}, {"y": np.eye(4)[0]}], [0, 0])
    assert found.value == 50
    assert found.details["without_answer"] == 1
    assert metric("agreement").measure([{"y": broken}], [{"y": broken}]).value == 0
    assert metric("decisions:0.5").measure([{"y": broken}], [{"y": broken}]).value == 0


@pytest.mark.parametrize("classes", [2, 5])
def test_auc_equals_scikit_learn(classes: int) -> None:
    outputs, labels = noisy(200, classes)
    scores = np.round(np.stack([one["scores"][0] for one in outputs]), 2)  # with equal ones
    found = metric("auc").measure([{"y": row} for row in scores], labels)
    if classes == 2:
        assert found.value == pytest.approx(100 * sklearn.roc_auc_score(labels, scores[:, 1] - scores[:, 0]))
    else:
        each = [sklearn.roc_auc_score(np.array(labels) == c, scores[:, c]) for c in range(classes)]
        assert found.value == pytest.approx(100 * np.mean(each))
    assert found.low < found.value < found.high


def test_auc_of_one_score() -> None:
    outputs, labels = noisy(200, 2)
    scores = [one["scores"][0, 1] for one in outputs]
    found = metric("auc").measure([{"y": np.array([[score]])} for score in scores], labels)
    assert found.value == pytest.approx(100 * sklearn.roc_auc_score(labels, scores))


def test_auc_weights_are_repetitions() -> None:
    outputs, labels = noisy(60, 4)
    auc = metric("auc")
    evidence = [auc.evidence(*pair) for pair in zip(outputs, labels, strict=True)]
    weights = np.random.default_rng(3).integers(0, 4, 60)
    repeated = [evidence[i] for i in np.repeat(np.arange(60), weights)]
    assert auc.score(evidence)(weights.astype(float)) == pytest.approx(auc.value(repeated))


def test_auc_without_both_kinds_has_no_value() -> None:
    found = metric("auc").measure([{"y": np.array([0.1])}, {"y": np.array([0.4])}], [1, 1])
    assert math.isnan(found.value)
    assert math.isnan(found.low)


def test_agreement_with_the_float_model() -> None:
    outputs, _labels = noisy(100, 5)
    agreement = metric("agreement")
    assert not agreement.needs_labels
    targets = [agreement.reference(one | {"features": np.zeros(1)}) for one in outputs]
    assert agreement.measure([one | {"features": np.zeros(1)} for one in outputs], targets).value == 100
    shifted = [{"scores": np.roll(one["scores"], 1) if i < 10 else one["scores"]} for i, one in enumerate(outputs)]
    found = metric("agreement@scores").measure(shifted, [{"scores": one["scores"]} for one in outputs])
    assert found.value == 90
    pixels = metric("agreement").measure([{"y": np.eye(4)}] * 2, [{"y": np.eye(4)[[0, 1, 3, 2]]}] * 2)
    assert pixels.value == 50


def test_decisions() -> None:
    outputs = [{"p": np.array([[p]])} for p in (0.2, 0.5, 0.7, 0.4999)]
    decisions = metric("decisions:0.5")
    assert decisions.measure(outputs, [0, 1, 0, 0]).value == 75
    assert decisions.measure(outputs, [decisions.reference(one) for one in outputs]).value == 100
    assert metric("decisions:0.45").measure(outputs, [decisions.reference(one) for one in outputs]).value == 75


def test_errors_say_what_is_needed() -> None:
    outputs, labels = noisy(3, 5)
    for spec, parts in {
        "top6": ["there is no metric 'top6'", "topk:K", "module:function"],
        "topk": ["topk:K"],
        "topk:0": ["topk:0", "whole number from 1"],
        "topk:two": ["whole number"],
        "top1:3": ["not written top1"],
        "top1@": ["top1@OUTPUT"],
        "decisions": ["decisions:THRESHOLD"],
        "decisions:nan": ["finite"],
        "miou:x": ["miou[:THRESHOLD]"],
        "map:decode": ["module:function"],
    }.items():
        with pytest.raises(InputError) as error:
            metric(spec)
        assert all(part in str(error.value) for part in parts), (spec, str(error.value))
    with pytest.raises(InputError, match=r"class 5, but the model has 5 classes"):
        metric("top1").measure(outputs, [0, 1, 5])
    with pytest.raises(InputError, match=r"target is 1\.5"):
        metric("top1").measure(outputs, [0, 1, 1.5])
    with pytest.raises(InputError, match=r"no output 'logits'.*features.*scores"):
        metric("top1@logits").measure(outputs, labels)
    with pytest.raises(InputError, match="3 outputs and 2 targets"):
        metric("top1").measure(outputs, labels[:2])
    with pytest.raises(InputError, match="no sample"):
        metric("top1").measure([], [])
    with pytest.raises(InputError, match=r"one row of scores.*float64\[2, 3\]"):
        metric("top1").measure([{"y": np.zeros((2, 3))}], [0])
    with pytest.raises(InputError, match="labelled data"):
        metric("top1").reference(outputs[0])


@pytest.mark.parametrize("spec", [kind.name for kind in METRICS] + ["topk:3", "decisions:0.25", "top1@y", "miou:0.5@y"])
def test_specs_and_pickles(spec: str) -> None:
    spec += {"topk": ":2", "decisions": ":0.5"}.get(spec, "")
    made = metric(spec)
    assert metric(made.spec) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert metric(made) is made


def test_a_measurement_for_people() -> None:
    assert str(Measurement("top1", "%", 92.1, 90.26, 93.62, 1000)) == (
        "92.10 % (95 % confidence 90.26 to 93.62, 1000 samples)"
    )
