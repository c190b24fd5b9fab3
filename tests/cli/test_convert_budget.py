"""edgert convert within a budget: a promise that is kept, or nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.helpers import DIGITS, Command, assert_one_line

import edgert as toolkit

SOURCE = (DIGITS / "digits.onnx", "--calibrate", DIGITS / "calibration.npz")


def test_a_budget_that_holds(edgert: Command, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.ert"
    data = ("--evaluate", digits / "data", "--evaluate-labels", digits / "labels.csv")
    done = edgert("convert", *SOURCE, "-o", out, "--max-drop", 20, *data, "--json")
    assert done.code == 0, done.err
    budget = done.json["budget"]
    assert budget["met"]
    entry = json.loads(toolkit.Model(out.read_bytes()).metadata("accuracy") or "")
    assert (entry["metric"], entry["samples"], entry["max_drop"]) == ("top1", 50, 20)
    assert entry["drop"] <= 20
    assert entry["confidence_95"][0] <= entry["drop"] <= entry["confidence_95"][1]
    written = out.read_bytes()
    again = edgert("convert", *SOURCE, "-o", out, "--max-drop", 20, *data, "--jobs", 2)
    assert "held-back samples" in again.out
    assert out.read_bytes() == written


def test_a_budget_that_cannot_be_met_writes_nothing(edgert: Command, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.ert"
    words = ("--worst", 190, "--metric", "sqnr", "--evaluate", digits / "data", "--raise-to", "int16")
    done = edgert("convert", *SOURCE, "-o", out, *words)
    assert_one_line(done, 1, "budget")
    assert "not met" in done.out
    assert "/12/Conv" in done.out  # the layers in the way
    assert not out.exists()
    assert not edgert("convert", *SOURCE, "-o", out, *words, "--json").json["budget"]["met"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--evaluate", "DATA"), ("--evaluate", "--max-drop")),
        (("--max-drop", 1), ("--evaluate",)),
        (("--max-drop", -1, "--evaluate", "DATA"), ("drop of -1",)),
        (("--max-drop", "nan", "--evaluate", "DATA"), ("finite",)),
        (("--max-drop", 1, "--metric", "nonsense", "--evaluate", "DATA"), ("there is no metric 'nonsense'",)),
        (("--max-drop", 1, "--metric", "top1", "--evaluate", "DATA"), ("label",)),
        (("--max-drop", 1, "--raise-to", "int3", "--evaluate", "DATA"), ("there is no scheme 'int3'",)),
        (("--max-drop", 1, "--evaluate", "DATA", "--quantize", "none"), ("none",)),
        (("--layer", "nowhere=float"), ("no layer is called 'nowhere'",)),
        (("--layer", "conv=int3"), ("--layer", "int3")),
        (("--quantize", "int3"), ("'int3'", "int16")),
    ],
)
def test_wrong_use(edgert: Command, digits: Path, tmp_path: Path, words: tuple[object, ...], parts: tuple[str]) -> None:
    given = [digits / "data" if word == "DATA" else word for word in words]
    assert_one_line(edgert("convert", *SOURCE, "-o", tmp_path / "m.ert", *given), 2, *parts)
    assert not (tmp_path / "m.ert").exists()


def test_every_scheme_and_single_layers(edgert: Command, digits: Path, tmp_path: Path) -> None:
    sizes = {}
    for scheme in ("int8", "int16", "int4", "dynamic", "dynamic-int4", "float16", "float"):
        out = tmp_path / f"{scheme}.ert"
        done = edgert("convert", *SOURCE, "-o", out, "--quantize", scheme, "--layer", "/6/*=float")
        assert done.code == 0, done.err
        sizes[scheme] = out.stat().st_size
        found = edgert("evaluate", out, "--data", digits / "data", "--labels", digits / "labels.csv", "--json").json
        (top1,) = (row for row in found["metrics"] if row["metric"] == "top1")
        assert top1["value"] >= 90
    assert sizes["dynamic-int4"] <= sizes["dynamic"] < sizes["float16"] < sizes["float"]
