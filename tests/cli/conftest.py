"""The digits sample, converted once, and a way to run the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli.helpers import DIGITS, Command, Outcome

from edgert.cli.main import run


@pytest.fixture
def edgert(capfd: pytest.CaptureFixture[str]) -> Command:
    """edgert("run", path, ...) runs a command in this process."""

    def call(*words: object) -> Outcome:
        capfd.readouterr()
        code = run([str(word) for word in words])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with float.ert, int8.ert, and held-back digits: data/*.npy and labels.csv."""
    folder = tmp_path_factory.mktemp("digits")
    source = DIGITS / "digits.onnx"
    labels = folder / "names.txt"
    labels.write_text("zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n")
    assert run(["convert", str(source), "-o", str(folder / "float.ert"), "--labels", str(labels)]) == 0
    calibration = str(DIGITS / "calibration.npz")
    words = [
        "convert",
        str(source),
        "-o",
        str(folder / "int8.ert"),
        "--calibrate",
        calibration,
        "--labels",
        str(labels),
    ]
    assert run(words) == 0
    with np.load(DIGITS / "test.npz") as held_back:
        pixels, classes = held_back["x"], held_back["labels"]
    (folder / "data").mkdir()
    rows = []
    for i in range(100):
        np.save(folder / "data" / f"{i}.npy", pixels[i].astype(np.float32)[None] / 16)
        rows.append(f"{i}.npy,10,{classes[i]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
