"""edgert evaluate: metrics, their intervals, comparisons, and what is wrong with data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.helpers import Command, assert_one_line
from evaluation.models import summing

from edgert.metrics import METRICS


@pytest.fixture
def words(digits: Path) -> tuple[Any, ...]:
    return ("evaluate", digits / "int8.ert", "--data", digits / "data")


@pytest.fixture
def labels(digits: Path) -> tuple[Any, ...]:
    return ("--labels", digits / "labels.csv")


@pytest.fixture(scope="module")
def archive(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same samples as one .npz."""
    path = tmp_path_factory.mktemp("archive") / "digits.npz"
    images = [np.load(digits / "data" / f"{i}.npy") for i in range(100)]
    classes = [int(line.split(",")[2]) for line in (digits / "labels.csv").read_text().splitlines()]
    np.savez(path, image=np.stack(images), labels=np.array(classes))
    return path


def test_help_lists_every_metric(edgert: Command) -> None:
    text = edgert("evaluate", "--help").out
    assert all(kind.syntax in text and kind.text in text for kind in METRICS)


def test_values_have_intervals_and_counts(edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...]) -> None:
    facts = edgert(*words, *labels, "--json").json
    assert facts["samples"] == 100
    assert [row["metric"] for row in facts["metrics"]] == ["top1", "top5"]
    row = facts["metrics"][0]
    assert row["value"] == facts["top1"]
    assert row["low"] < row["value"] <= row["high"]
    assert row["count"] == 100
    assert np.sum(row["details"]["confusion"]) == 100
    text = edgert(*words, *labels).out
    assert "95 % confidence" in text
    assert "100 samples" in text


def test_confusion_matrix(edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...]) -> None:
    lines = edgert(*words, *labels, "--confusion").out.splitlines()
    (heading,) = [i for i, line in enumerate(lines) if line.startswith("class")]
    assert lines[heading].split()[1:3] == ["zero", "one"]
    assert len(lines) == heading + 11
    outcome = edgert(*words, *labels, "--confusion", "--metric", "auc")
    assert_one_line(outcome, 2, "metrics of classifiers")


def test_several_metrics_and_the_same_data_as_an_archive(
    edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], archive: Path
) -> None:
    metrics = ("--metric", "auc", "--metric", "topk:2", "--metric", "top1@scores", "--json")
    files = edgert(*words, *labels, *metrics).json["metrics"]
    assert [row["metric"] for row in files] == ["auc", "topk:2", "top1@scores"]
    assert edgert("evaluate", words[1], "--data", archive, *metrics).json["metrics"] == files


def test_jobs_change_nothing(edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...]) -> None:
    for extra in (labels, ("--against", words[1].parent / "float.ert", "--metric", "sqnr")):
        assert edgert(*words, *extra, "--jobs", 2, "--json").out == edgert(*words, *extra, "--json").out


def test_against_another_on_labels_is_a_paired_comparison(
    edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], digits: Path
) -> None:
    against = ("--against", digits / "float.ert", "--metric", "top1", "--metric", "auc")
    for row in edgert(*words, *labels, *against, "--json").json["metrics"]:
        drop = row["drop"]
        assert drop["value"] == pytest.approx(row["against"]["value"] - row["value"])
        assert drop["low"] <= drop["value"] <= drop["high"]
    text = edgert(*words, *labels, *against).out
    assert "lost" in text
    assert "right only there" in text
    assert "McNemar" in text


def test_the_part_that_is_held_back(edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...]) -> None:
    facts = edgert(*words, *labels, "--held-back", 0.3, "--json").json
    assert facts["samples"] == 30
    assert facts["split"] == "70 of 100 samples with the lowest SHA-256 calibrate, the other 30 measure"
    assert facts["split"] in edgert(*words, *labels, "--held-back", 0.3).out
    assert_one_line(edgert(*words, *labels, "--held-back", 1), 2, "--held-back")


def test_against_another_without_labels(edgert: Command, words: tuple[Any, ...], digits: Path, archive: Path) -> None:
    against = ("--against", digits / "float.ert")
    assert [row["metric"] for row in edgert(*words, *against, "--json").json["metrics"]] == ["agreement"]
    facts = edgert(*words, *against, "--metric", "sqnr", "--metric", "decisions:0.5", "--json").json
    assert 10 < facts["sqnr"] < 80
    assert 90 < facts["decisions:0.5"] <= 100
    diff = edgert("diff", digits / "float.ert", digits / "int8.ert", "--data", digits / "data", "--json").json
    assert facts["sqnr"] == pytest.approx(diff["tensors"][0]["sqnr_db"])
    same = edgert("evaluate", digits / "float.ert", "--data", digits / "data", *against, "--metric", "sqnr")
    assert "inf dB" in same.out
    assert_one_line(edgert(*words), 2, "has no labels", "--labels", "--against")
    assert_one_line(edgert(*words, *against, "--metric", "top1"), 2, "no labels, which top1 needs", "agreement")


def test_bounds(edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], digits: Path) -> None:
    assert edgert(*words, *labels, "--metric", "top1", "--min", 50).code == 0
    assert_one_line(edgert(*words, *labels, "--metric", "auc", "--min", 101), 1, "auc is", "%, needed 101 % or more")
    against = ("--against", digits / "float.ert", "--metric", "mse")
    assert edgert(*words, *against, "--min", 1).code == 0
    assert_one_line(edgert(*words, *against, "--min", 0), 1, "mse is", "needed 0 or less")
    assert_one_line(edgert(*words, *labels, "--min-top1", 100, "--metric", "auc"), 1, "top-1 accuracy", "needed 100 %")
    two = ("--metric", "auc", "--metric", "top1", "--min", 5)
    assert_one_line(edgert(*words, *labels, *two), 2, "--min is for one metric")


def test_functions_of_the_users_own(
    edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cli_metrics.py").write_text(
        "def hits(outputs, targets):\n"
        "    return [float(o['scores'].argmax() == t) for o, t in zip(outputs, targets)]\n"
        "def broken(outputs, targets):\n"
        "    return outputs['scores']\n"
        "def never(outputs, targets):\n"
        "    return float('nan')\n"
        "never.higher_is_better = False\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "cli_metrics", raising=False)
    facts = edgert(*words, *labels, "--metric", "cli_metrics:hits", "--metric", "top1", "--json").json
    assert facts["cli_metrics:hits"] == pytest.approx(facts["top1"] / 100)
    assert_one_line(
        edgert(*words, *labels, "--metric", "cli_metrics:broken"), 2, "cli_metrics:broken failed: TypeError"
    )
    assert_one_line(edgert(*words, *labels, "--metric", "cli_metrics:never", "--min", 3), 1, "is nan, needed 3 or less")
    assert_one_line(edgert(*words, *labels, "--metric", "top9"), 2, "there is no metric 'top9'")


def test_results_are_kept(
    edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ("--cache", tmp_path / "cache", "--json")
    first = edgert(*words, *labels, *kept)
    assert list((tmp_path / "cache").rglob("*.npz"))
    monkeypatch.setattr("edgert.evaluation.runner._each", lambda *_: iter(()))
    assert edgert(*words, *labels, *kept).out == first.out
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    outcome = edgert(*words, *labels, "--cache", tmp_path / "file" / "cache")
    assert outcome.code == 0
    assert "results are not kept" in outcome.err


def test_wrong_data(edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], tmp_path: Path) -> None:
    model = words[1]
    assert_one_line(edgert("evaluate", model, "--data", tmp_path / "absent"), 2, "absent", "no such file or folder")
    bad = np.zeros((2, 1, 1, 8, 8), np.float32)
    bad[1, 0, 0, 3, 3] = np.nan
    np.savez(tmp_path / "nan.npz", image=bad, labels=[1, 2])
    assert_one_line(edgert("evaluate", model, "--data", tmp_path / "nan.npz"), 2, "nan.npz[1]", "NaN")
    np.savez(tmp_path / "many.npz", image=np.zeros((2, 1, 1, 8, 8)), labels=[1, 2, 3])
    assert_one_line(
        edgert("evaluate", model, "--data", tmp_path / "many.npz"), 2, "many.npz", "needed one row for each"
    )
    assert_one_line(edgert(*words, *labels, "--metric", "map"), 2, "0.npy", "needed the labelled boxes")
    assert_one_line(edgert(*words, *labels, "--metric", "miou"), 2, "0.npy", "needed a mask")
    assert_one_line(edgert(*words, *labels, "--metric", "top1@logits"), 2, "no output 'logits'", "scores")


def test_models_with_state(edgert: Command, tmp_path: Path) -> None:
    (tmp_path / "sum.ert").write_bytes(summing())
    np.savez(tmp_path / "a.npz", x=np.ones((6, 2)), labels=np.zeros((6, 2)), sequences=[0, 0, 0, 1, 1, 2])
    words = ("evaluate", tmp_path / "sum.ert", "--data", tmp_path / "a.npz", "--metric", "decisions:1.5")
    facts = edgert(*words, "--json").json
    assert facts["recordings"] == 3
    assert facts["decisions:1.5"] == pytest.approx(50)  # the sum exceeds 1.5 from a recording's second sample on
    assert "fresh at the beginning of each recording, 3 times" in edgert(*words).out


def test_devices_need_neither_the_toolchain_nor_dask(words: tuple[Any, ...], labels: tuple[Any, ...]) -> None:
    packages = ("rich", "flatbuffers", "onnx", "tflite", "PIL", "distributed", "platformdirs", "edgert.compile")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({packages!r})); from edgert.cli.main import main; "
        f"main({[str(word) for word in (*words, *labels)]!r})"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "top1" in done.stdout


def test_executors(
    edgert: Command, words: tuple[Any, ...], labels: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("--jobs", 2, "--scheduler", "tcp://127.0.0.1:9")
    assert_one_line(edgert(*words, *labels, *both), 2, "2 jobs here and a scheduler")
    pytest.importorskip("distributed")
    monkeypatch.setattr("edgert.executors._CONNECT_SECONDS", 1)
    assert_one_line(edgert(*words, *labels, *both[2:]), 2, "there is no Dask scheduler at tcp://127.0.0.1:9")
