"""An int8 model gives the same bytes with AVX-VNNI and AMX, on processors that lack them too: there a handler of
signals executes their instructions (tests/c/emulate_x86.h), in 1 to 30 microseconds each."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from c_build import build
from model_inputs import INT8_MODELS
from models.test_same_integers import outputs_of, package_of, random_runs

import edgert
from edgert.runtime import _native

Find = Callable[[str], Path]

NEEDED = {"avxvnni": "avx2", "amx": "avx512vnni"}  # for what of these kernels is not emulated
LONG = ("mobilenet_v1_0.25_224_qat_uint8", "mobilenet_v2_1.0_224_qat_uint8")  # millions of dot products of 32 bytes


@pytest.mark.parametrize("isa", NEEDED)
@pytest.mark.parametrize("name", [*INT8_MODELS, "digits"])
def test_emulated(name: str, isa: str, shared_data: Find, tmp_path: Path) -> None:
    if platform.machine() != "x86_64" or NEEDED[isa] not in _native.cpu_isas():
        pytest.skip(f"this processor lacks {NEEDED[isa]}")
    if isa == "avxvnni" and name in LONG and isa not in _native.cpu_isas():
        pytest.skip("too many instructions to emulate")
    program = build("plain") / "run_model_emulated"
    plain = package_of(name, shared_data)
    runs = random_runs(edgert.Model(plain), 1)
    (tmp_path / "in.bin").write_bytes(b"".join(x.tobytes() for run in runs for x in run))
    expected = outputs_of(plain, runs)
    for threads, targets in ((1, ()), (2, ("x86-64-amx",))) if isa == "amx" else ((2, ()),):
        (tmp_path / "model.ert").write_bytes(package_of(name, shared_data, *targets) if targets else plain)
        command = [program, tmp_path / "model.ert", threads, isa, tmp_path / "in.bin", tmp_path / "out"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=True)
        assert (tmp_path / "out").read_bytes() == expected, (threads, targets)
        packed, emulated = (int(re.findall(r"\d+", line)[0]) for line in done.stdout.splitlines())
        if name == "ic_resnet8_int8":  # its convolutions are large enough for AMX
            assert (packed > 0) == bool(targets)
            assert (emulated > 1000) == (isa not in _native.cpu_isas())
