"""edgert report: a page, JSON and boards from one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.helpers import DIGITS, Command, assert_one_line
from report.twin_models import chain

from edgert.report.quantisation import facts


def test_a_page_and_json_with_accuracy(edgert: Command, digits: Path, tmp_path: Path) -> None:
    page, out = tmp_path / "report.html", tmp_path / "report.json"
    words = ("--data", digits / "data", "--labels", digits / "labels.csv", "--samples", 10)
    done = edgert("report", DIGITS / "digits.onnx", digits / "int8.ert", *words, "-o", page, "--json", out)
    assert done.code == 0, done.err
    assert str(page) in done.out
    assert "top1, quantised" in done.out
    assert "costs most" in done.out
    read = json.loads(out.read_text())
    assert (read["format"], read["version"], read["samples"]) == (facts.FORMAT, facts.VERSION, 10)
    assert [row["model"] for row in read["accuracies"]] == ["float", "quantised", "drop"]
    assert all(row["low"] <= row["value"] <= row["high"] and row["count"] == 100 for row in read["accuracies"])
    assert read["exact"]["file"] == "digits.onnx"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert str(digits) not in text  # the folder's place on this machine is nobody's business
    assert "http://" not in text.replace("http://www.w3.org/", "")
    assert "https://" not in text


def test_json_alone_to_the_terminal_and_agreement_without_labels(edgert: Command, digits: Path) -> None:
    done = edgert("report", digits / "float.ert", digits / "int8.ert", "--data", digits / "data", "--json", "-")
    (agreement,) = done.json["accuracies"]
    assert (agreement["metric"], agreement["model"]) == ("agreement", "quantised")
    asked = ("--data", digits / "data", "--metric", "mse", "--json", "-")
    (mse,) = edgert("report", digits / "float.ert", digits / "int8.ert", *asked).json["accuracies"]
    assert mse["metric"] == "mse"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ((), ("name what to write", "-o OUT.html")),
        (("-o", "no/such/folder/report.html"), ("cannot be written",)),
        (("--json", "-", "--metric", "nonsense"), ("there is no metric 'nonsense'",)),
        (("--json", "-", "--metric", "top1"), ("needs",)),
    ],
)
def test_what_cannot_be_done(edgert: Command, digits: Path, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    models = (digits / "float.ert", digits / "int8.ert", "--data", digits / "data")
    assert_one_line(edgert("report", *models, *words), 2, *parts)


def test_no_input_is_overwritten(edgert: Command, digits: Path) -> None:
    before = (digits / "int8.ert").read_bytes()
    words = ("--data", digits / "data", "-o", digits / "int8.ert")
    assert_one_line(edgert("report", digits / "float.ert", digits / "int8.ert", *words), 2, "would be overwritten")
    assert (digits / "int8.ert").read_bytes() == before


def test_models_that_have_nothing_in_common(edgert: Command, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "other.ert").write_bytes(chain(2))
    words = ("--data", digits / "data", "--json", "-")
    assert edgert("report", digits / "float.ert", tmp_path / "other.ert", *words).code == 2


def test_converting_with_a_report(edgert: Command, tmp_path: Path) -> None:
    page, out = tmp_path / "report.html", tmp_path / "model.ert"
    words = (DIGITS / "digits.onnx", "-o", out, "--report", page)
    assert_one_line(edgert("convert", *words), 2, "--report", "--calibrate")
    done = edgert("convert", *words, "--calibrate", DIGITS / "calibration.npz")
    assert done.code == 0, done.err
    assert str(page) in done.out
    assert "digits.onnx" in page.read_text(encoding="utf-8")
