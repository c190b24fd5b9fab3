"""edgert bench --profile, --trace and --kernels: what they report and how it adds up. No time is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.helpers import DIGITS, Command, assert_one_line
from packages import fused

from edgert.runtime import _native

# The digits network, by hand: (type, outputs * taps * channels, bytes of input, weights, bias and output).
DIGITS_WORK = [
    ("quantize", 0, 64 * 4 + 64),
    ("reshape", 0, 64 + 64),
    ("conv2d", 8 * 8 * 16 * 3 * 3 * 1, 64 + 16 * 9 + 16 * 4 + 8 * 8 * 16),
    ("depthwise_conv2d", 4 * 4 * 16 * 3 * 3, 8 * 8 * 16 + 16 * 9 + 16 * 4 + 4 * 4 * 16),
    ("conv2d", 4 * 4 * 32 * 16, 4 * 4 * 16 + 32 * 16 + 32 * 4 + 4 * 4 * 32),
    ("depthwise_conv2d", 4 * 4 * 32 * 3 * 3, 4 * 4 * 32 + 32 * 9 + 32 * 4 + 4 * 4 * 32),
    ("conv2d", 4 * 4 * 48 * 32, 4 * 4 * 32 + 48 * 32 + 48 * 4 + 4 * 4 * 48),
    ("average_pool2d", 0, 4 * 4 * 48 + 2 * 2 * 48),
    ("reshape", 0, 192 + 192),
    ("fully_connected", 10 * 192, 192 + 10 * 192 + 10 * 4 + 10),
    ("dequantize", 0, 10 + 10 * 4),
]
FAMILIES = {"qgemm", "qdw", "qadd", "fgemm", "fdw", "fvec"}


def test_profile_counts_what_operators_do(edgert: Command, digits: Path) -> None:
    facts = edgert("bench", digits / "int8.ert", "--profile", "--json").json
    assert [(op["type"], op["macs"], op["bytes"]) for op in facts["operators"]] == DIGITS_WORK
    hertz = 1e9 * facts["clock_ghz"]
    for op in facts["operators"]:
        if op["macs"]:
            assert op["macs_per_cycle"] == pytest.approx(op["macs"] / (op["us"] / 1e6 * hertz))
            isa = op["kernel"].split("_")[1]
            (peak,) = (p for p in facts["peaks"] if p["isa"] == isa and p["dtype"] == "int8")
            assert op["percent_of_peak"] == pytest.approx(100 * op["macs_per_cycle"] / peak["macs_per_cycle"])
        else:
            assert op["macs_per_cycle"] is None
            assert op["percent_of_peak"] is None
    assert sum(op["percent"] for op in facts["operators"]) == pytest.approx(100)


def test_profile_sums_up(edgert: Command, digits: Path) -> None:
    facts = edgert("bench", digits / "int8.ert", "--profile", "--json").json
    operators, types, total = facts["operators"], facts["types"], facts["total"]
    assert sorted(entry["type"] for entry in types) == sorted({kind for kind, _, _ in DIGITS_WORK})
    for entry in types:
        own = [op for op in operators if op["type"] == entry["type"]]
        assert entry["count"] == len(own)
        for field in ("us", "macs", "bytes", "percent"):
            assert entry[field] == pytest.approx(sum(op[field] for op in own))
    assert total["macs"] == sum(macs for _, macs, _ in DIGITS_WORK)
    assert total["bytes"] == sum(count for _, _, count in DIGITS_WORK)
    assert total["us"] == pytest.approx(facts["total_us"])
    assert [entry["us"] for entry in types] == sorted((entry["us"] for entry in types), reverse=True)
    ideal = sum(op["percent_of_peak"] * op["us"] for op in operators if op["macs"])
    assert total["percent_of_peak"] == pytest.approx(ideal / total["us"])


def test_profile_of_two_threads_is_against_two_cores(edgert: Command, digits: Path) -> None:
    facts = edgert("bench", digits / "float.ert", "--profile", "--threads", 2, "--json").json
    op = next(op for op in facts["operators"] if op["type"] == "fully_connected")
    isa = max((p for p in facts["peaks"] if p["dtype"] == "float32"), key=lambda p: facts["peaks"].index(p))["isa"]
    (peak,) = (p for p in facts["peaks"] if p["isa"] == isa and p["dtype"] == "float32")
    assert op["percent_of_peak"] == pytest.approx(50 * op["macs_per_cycle"] / peak["macs_per_cycle"])


def test_profile_as_tables(edgert: Command, digits: Path) -> None:
    out = edgert("bench", digits / "int8.ert", "--profile").out
    header, *rows = out.splitlines()[1:]
    assert header.split()[:5] == ["#", "operator", "us", "%", "MAC"]
    assert "24,576" in rows[6]
    assert rows[-1].startswith("all")
    assert f"{sum(macs for _, macs, _ in DIGITS_WORK):,}" in rows[-1]


def test_profile_of_a_known_network(edgert: Command, shared_data: Any) -> None:
    """DS-CNN of MLPerf Tiny: 25 x 5 pixels of 64 channels."""
    facts = edgert("bench", shared_data("tflite/kws_dscnn_int8.tflite"), "--profile", "--json").json
    pixels = 25 * 5
    by_type = {entry["type"]: entry["macs"] for entry in facts["types"]}
    assert by_type["conv2d"] == pixels * 64 * 10 * 4 + 4 * pixels * 64 * 64
    assert by_type["depthwise_conv2d"] == 4 * pixels * 64 * 9
    assert by_type["fully_connected"] == 64 * 12


def test_trace(edgert: Command, digits: Path, tmp_path: Path) -> None:
    """Complete events in the order of time, operators within their invoke."""
    path = tmp_path / "out.json"
    outcome = edgert("bench", digits / "int8.ert", "--trace", path)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{path}: 5 invokes")
    events = json.loads(path.read_text())["traceEvents"]
    assert {event["name"] for event in events if event["ph"] == "M"} == {"process_name", "thread_name"}
    complete = [event for event in events if event["ph"] == "X"]
    invokes = [event for event in complete if event["cat"] == "invoke"]
    operators = [event for event in complete if event["cat"] == "operator"]
    assert len(complete) == len(invokes) + len(operators)
    assert [event["name"] for event in invokes] == [f"invoke {i}" for i in range(5)]
    assert [event["name"] for event in operators] == 5 * [kind for kind, _, _ in DIGITS_WORK]
    for i, event in enumerate(operators):
        invoke = invokes[i // len(DIGITS_WORK)]
        assert event["dur"] >= 0
        assert invoke["ts"] <= event["ts"]
        assert event["ts"] + event["dur"] <= invoke["ts"] + invoke["dur"] + 1e-6
        assert (event["pid"], event["tid"]) == (invoke["pid"], invoke["tid"])
    starts = [event["ts"] for event in operators]
    assert starts == sorted(starts)
    arguments = operators[2]["args"]
    assert arguments["type"] == "conv2d"
    assert arguments["operator"] == 2
    assert arguments["name"] == "/0/Conv"
    assert arguments["kernel"].startswith("qgemm_")
    assert arguments["inputs"] == ["int8[1, 8, 8, 1]", "int8[16, 3, 3, 1]", "int32[16]"]
    assert arguments["outputs"] == ["int8[1, 8, 8, 16]"]
    assert arguments["macs"] == DIGITS_WORK[2][1]


def test_operators_that_run_together(edgert: Command, tmp_path: Path) -> None:
    """Each has its part of the group's time in a profile; a trace shows the group."""
    model, path = tmp_path / "fused.ert", tmp_path / "out.json"
    model.write_bytes(fused())
    facts = edgert("bench", model, "--profile", "--json").json
    together = {tuple(group["operators"]): group for group in facts["groups"]}
    assert (4, 6) in together
    operators = facts["operators"]
    assert [op["group"] for op in operators[4:7]] == 3 * [[4, 6]]
    for (first, last), group in together.items():
        assert group["us"] == pytest.approx(sum(op["us"] for op in operators[first : last + 1]))
        assert group["us_alone"] > 0
    out = edgert("bench", model, "--profile").out
    assert "+ 5" in out
    assert "4-6: conv2d + add + lut" in out
    edgert("bench", model, "--trace", path)
    events = json.loads(path.read_text())["traceEvents"]
    event = next(event for event in events if event["name"] == "conv2d + add + lut")
    assert [member["operator"] for member in event["args"]["operators"]] == [4, 5, 6]


def test_no_fusion(edgert: Command, tmp_path: Path) -> None:
    model = tmp_path / "fused.ert"
    model.write_bytes(fused())
    facts = edgert("bench", model, "--no-fusion", "--profile", "--json").json
    assert facts["groups"] == []
    assert not facts["fusion"]
    assert all(op["group"] is None for op in facts["operators"])
    measured = edgert("bench", model, "--no-fusion", "--rounds", 1, "--seconds", 0.01, "--json").json
    assert measured["engines"][0]["best_ms"] > 0
    np.save(tmp_path / "x.npy", np.ones((1, 13, 9, 8), np.int8))
    results = [edgert("run", model, tmp_path / "x.npy", "--json", *more).json for more in ((), ("--no-fusion",))]
    assert results[0] == results[1]


def test_profile_and_trace_beside_a_comparison(edgert: Command, digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "out.json"
    facts = edgert(
        "bench", digits / "int8.ert", "--rounds", 1, "--seconds", 0.02, "--profile", "--trace", path, "--json",
        "--against", f"onnxruntime={DIGITS / 'digits.onnx'}",
    ).json  # fmt: skip
    assert set(facts) == {"model", "threads", "fusion", "rounds", "engines", "profile", "trace"}
    assert facts["trace"] == {"file": str(path), "invokes": 5}
    assert len(facts["profile"]["operators"]) == len(DIGITS_WORK)
    assert json.loads(path.read_text())["traceEvents"]


def test_kernels(edgert: Command) -> None:
    facts = edgert("bench", "--kernels", "mnv1-0.25", "--json").json
    isas = _native.cpu_isas()
    for entry in facts["kernels"]:
        assert "mnv1-0.25" in entry["layer"]
        assert entry["isa"] in isas
        assert entry["unit"] == "MAC"
        assert entry["giga_per_second"] == pytest.approx(entry["operations"] / entry["us"] / 1e3)
        assert entry["per_cycle"] == pytest.approx(entry["giga_per_second"] / facts["clock_ghz"])
        assert entry["percent_of_peak"] > 0
    (own,) = (e for e in facts["kernels"] if e["layer"] == "mnv1-0.25 64-64 12" and e["kernel"] == "qgemm_scalar_1x4")
    assert own["operations"] == 12 * 12 * 64 * 64
    assert {entry["family"] for entry in facts["kernels"]} == {"qgemm", "qdw", "fgemm", "fdw"}
    for layer in {(entry["family"], entry["layer"]) for entry in facts["kernels"]}:
        stars = [e["isa"] for e in facts["kernels"] if (e["family"], e["layer"]) == layer and e["selected"]]
        assert stars
        assert len(stars) == len(set(stars)), "one kernel of an instruction set is the layer's"


def test_kernels_keep_to_the_cap(edgert: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERT_ISA_MAX", "scalar")
    facts = edgert("bench", "--kernels", "dscnn dw", "--json").json
    assert [entry["kernel"] for entry in facts["kernels"]] == ["qdw_scalar_4"]
    assert [(peak["isa"], peak["dtype"]) for peak in facts["peaks"]] == [("scalar", "int8"), ("scalar", "float32")]
    monkeypatch.setenv("ERT_ISA_MAX", "avx3")
    assert_one_line(edgert("bench", "--kernels"), 2, "'avx3' is no instruction set")


def test_kernels_as_tables(edgert: Command) -> None:
    out = edgert("bench", "--kernels", "scalar").out
    assert "Peaks of a core" in out
    for family in FAMILIES:
        assert f" {family}_scalar" in out
    assert "G element/s" in out


def test_bench_refuses_what_does_not_go_together(edgert: Command, digits: Path, tmp_path: Path) -> None:
    model = digits / "int8.ert"
    assert_one_line(edgert("bench"), 2, "MODEL", "--kernels")
    assert_one_line(edgert("bench", model, "--kernels"), 2, "--kernels", "MODEL")
    assert_one_line(edgert("bench", "--kernels", "--threads", 2), 2, "--kernels", "--threads")
    assert_one_line(edgert("bench", "--kernels", "--profile"), 2, "--kernels", "--profile")
    assert_one_line(edgert("bench", "--kernels", "--trace", tmp_path / "x.json"), 2, "--kernels", "--trace")
    assert_one_line(edgert("bench", "--kernels", "--against", "litert"), 2, "--kernels", "--against")
    assert_one_line(edgert("bench", "--kernels", "no such layer"), 2, "no such layer")
    assert_one_line(edgert("bench", model, "--trace", model), 2, "overwritten")
    assert_one_line(edgert("bench", model, "--trace", tmp_path / "none" / "x.json"), 2, "there is no folder")
    assert_one_line(edgert("bench", model, "--trace", tmp_path), 2, "it is a folder")
