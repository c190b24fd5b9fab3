"""What starting with a model costs: memory beyond the arena, and the report of `edgert bench --start`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from packages import digits

import edgert
from edgert.cli.main import run
from edgert.errors import InputError
from edgert.report.start import measure_start

Find = Callable[[str], Path]
BEYOND_THE_ARENA = 256 * 1024  # bytes


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_of_a_packed_model(threads: int, shared_data: Find, tmp_path: Path) -> None:
    source = shared_data("tflite/mobilenet_v2_1.0_224_qat_uint8.tflite")
    path = tmp_path / "packed.ert"
    path.write_bytes(edgert.convert(source, targets=("host",)).data)
    facts = measure_start(path, threads, 1)
    if facts["memory_bytes"] is None:
        pytest.skip("the system does not tell how much memory a process has")
    if facts["packed_in_file"] == 0:
        pytest.skip("this processor has the scalar kernels alone, which use no packed weights")
    assert facts["memory_bytes"] - facts["arena_bytes"] < BEYOND_THE_ARENA
    session = edgert.Model(path, threads=threads).session  # as the session itself counts, too
    assert session.total_bytes - session.arena_bytes < BEYOND_THE_ARENA


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "digits.ert"
    path.write_bytes(digits(quantize=True, targets=("host",)))
    assert run(["bench", str(path), "--start", "--rounds", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["processes"] == 2
    assert 0 < facts["packed_in_file"] < facts["operators"]
    assert 0 < facts["steady_ms"] <= facts["steady_median_ms"]
    assert facts["first_over_steady"] == pytest.approx(facts["first_ms"] / facts["steady_ms"])
    assert run(["bench", str(path), "--start", "--rounds", "1"]) == 0
    assert "operators use weights packed in the file" in capsys.readouterr().out


def test_what_goes_wrong_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.ert"
    path.write_bytes(b"\x08\0\0\0ERT1 and nothing else")
    with pytest.raises(InputError, match="damaged or cut short"):
        measure_start(path, 1, 1)
