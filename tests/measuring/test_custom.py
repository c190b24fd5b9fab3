"""Metrics of the user's own."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from edgert.errors import InputError
from edgert.metrics import metric

MODULE = """
import numpy as np

def hits(outputs, targets):
    return [float(one["y"].argmax() == target) for one, target in zip(outputs, targets)]

def share(outputs, targets):
    return np.mean(hits(outputs, targets))

share.unit = "%"
share.higher_is_better = False
share.needs_labels = True

def broken(outputs, targets):
    raise KeyError("no such thing")

def leaves(outputs, targets):
    raise SystemExit(3)

def three(outputs, targets):
    return [1, 2, 3]

def text(outputs, targets):
    return "good"
"""

RNG = np.random.default_rng(0)
OUTPUTS = [{"y": RNG.normal(size=4)} for _ in range(50)]
TARGETS = [int(one["y"].argmax()) if i % 5 else 0 for i, one in enumerate(OUTPUTS)]


@pytest.fixture(autouse=True)
def my_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metrics.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_metrics", raising=False)


def test_a_number_or_one_for_every_sample() -> None:
    each, one = (
        metric("my_metrics:hits").measure(OUTPUTS, TARGETS),
        metric("my_metrics:share").measure(OUTPUTS, TARGETS),
    )
    assert each.value == one.value == pytest.approx(metric("top1").measure(OUTPUTS, TARGETS).value / 100)
    assert (each.low, each.high) == pytest.approx((one.low, one.high))
    assert each.low < each.value < each.high
    assert each.count == 50


def test_attributes_of_the_function_say_what_it_gives() -> None:
    plain, share = metric("my_metrics:hits"), metric("my_metrics:share")
    assert (plain.unit, plain.higher_is_better, plain.needs_labels) == ("", True, False)
    assert (share.unit, share.higher_is_better, share.needs_labels) == ("%", False, True)
    assert pickle.loads(pickle.dumps(share)) == share
    evidence = [share.evidence(*pair) for pair in zip(OUTPUTS, TARGETS, strict=True)]
    right = [share.evidence(one, int(one["y"].argmax())) for one in OUTPUTS]
    assert share.drop(evidence, right).value == pytest.approx(1 - share.value(evidence))


def test_a_function_itself() -> None:
    found = metric(lambda outputs, targets: len(outputs)).measure(OUTPUTS, TARGETS)
    assert found.value == 50


def test_one_sample() -> None:
    found = metric("my_metrics:hits").measure(OUTPUTS[1:2], TARGETS[1:2])
    assert found.value == 1
    assert np.isnan(found.low)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"my_metrics:broken failed: KeyError: 'no such thing'"),
        ("leaves", r"my_metrics:leaves failed: SystemExit: 3"),
        ("three", r"gave 3 numbers for 50 samples; needed one number, or one for every sample"),
        ("text", r"my_metrics:text failed: ValueError"),
    ],
)
def test_what_is_wrong_with_a_function(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        metric(f"my_metrics:{name}").measure(OUTPUTS, TARGETS)
    assert "\n" not in str(error.value)


def test_functions_that_are_not_there() -> None:
    with pytest.raises(InputError, match="has no function 'absent'"):
        metric("my_metrics:absent")
    with pytest.raises(InputError, match="cannot be imported: ModuleNotFoundError"):
        metric("no_such_module:absent")
