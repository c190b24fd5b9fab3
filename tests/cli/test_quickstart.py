"""edgert quickstart ends with both accuracies, and leaves a package that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.helpers import Command, assert_one_line

from edgert.runtime.model import load


def test_quickstart(edgert: Command, tmp_path: Path) -> None:
    package = tmp_path / "digits.ert"
    result = edgert("quickstart", "--json", "-o", str(package))
    assert result.code == 0
    facts = result.json
    assert facts["images"] == 540
    assert facts["float32"]["accuracy"] == pytest.approx(0.9833, abs=1e-4)
    assert facts["int8"]["accuracy"] >= facts["float32"]["accuracy"] - 0.005
    assert facts["int8"]["bytes"] < facts["float32"]["bytes"]
    assert load(package).labels == tuple("0123456789")


def test_what_a_person_sees(edgert: Command, tmp_path: Path) -> None:
    result = edgert("quickstart", "-o", str(tmp_path / "digits.ert"))
    assert result.code == 0
    for word in ("540 held-back digits", "float32", "int8", "98.33 %", "edgert convert model.onnx"):
        assert word in result.out


def test_a_package_that_cannot_be_written(edgert: Command, tmp_path: Path) -> None:
    result = edgert("quickstart", "-o", str(tmp_path / "none" / "digits.ert"))
    assert_one_line(result, 2, "cannot be written", "name another file with -o")
