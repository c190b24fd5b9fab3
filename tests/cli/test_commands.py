"""Every command on the digits sample: what it prints, its JSON, and its files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from cli.helpers import DIGITS, Command, assert_one_line

from edgert.engines import open_engine, random_inputs
from edgert.report.compare import Difference
from edgert.runtime.model import Model


def test_convert_writes_a_package_that_opens(edgert: Command, tmp_path: Path) -> None:
    target = tmp_path / "digits.ert"
    done = edgert("convert", DIGITS / "digits.onnx", "-o", target)
    assert done.code == 0
    assert "digits.ert" in done.out
    assert Model(target).inputs[0].name == "image"
    assert [path.name for path in tmp_path.iterdir()] == ["digits.ert"]


def test_convert_quantises(edgert: Command, tmp_path: Path) -> None:
    words = ("convert", DIGITS / "digits.onnx", "-o", tmp_path / "q.ert", "--calibrate", DIGITS / "calibration.npz")
    facts = edgert(*words, "--mean", "1,", "--json")
    assert facts.code == 2
    facts = edgert(*words, "--mean", "0", "--std", "16", "--json").json
    assert facts["quantized_here"] is True
    assert facts["calibration_samples"] == 100
    assert facts["bytes"] < facts["source_bytes"]
    assert Model(tmp_path / "q.ert").normalisation == ((0.0,), (16.0,))
    inside = edgert(*words, "--io", "int8", "--json").json
    assert "int8" in inside["inputs"][0]
    assert "int8" in inside["outputs"][0]


def test_convert_is_reproducible(edgert: Command, tmp_path: Path) -> None:
    for name in ("a.ert", "b.ert"):
        edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / name, "--calibrate", DIGITS / "calibration.npz")
    assert (tmp_path / "a.ert").read_bytes() == (tmp_path / "b.ert").read_bytes()


def test_inspect(edgert: Command, digits: Path) -> None:
    facts = edgert("inspect", digits / "int8.ert", "--json").json
    assert facts["labels"][3] == "three"
    assert facts["inputs"] == [
        {"name": "image", "dtype": "float32", "shape": [1, 1, 8, 8], "scale": None, "zero_point": None}
    ]
    assert facts["file_bytes"] == (digits / "int8.ert").stat().st_size
    assert {"quantize", "conv2d"} <= {op["type"] for op in facts["operators"]}
    text = edgert("inspect", digits / "int8.ert").out
    assert "conv2d" in text
    assert "zero, one" in text


def test_inspect_takes_a_source_model(edgert: Command) -> None:
    assert edgert("inspect", DIGITS / "digits.onnx", "--json").json["outputs"][0]["shape"] == [1, 10]


def test_run_shows_the_classes(edgert: Command, digits: Path, tmp_path: Path) -> None:
    files = [digits / "data" / "0.npy", digits / "data" / "1.npy"]
    out = tmp_path / "out.npz"
    results = edgert("run", digits / "int8.ert", *files, "--top", 3, "-o", out, "--json").json["results"]
    assert [result["input"] for result in results] == ["0.npy", "1.npy"]
    top = results[0]["outputs"]["scores"]["top"]
    assert len(top) == 3
    assert top[0]["score"] >= top[1]["score"] >= top[2]["score"]
    with np.load(out) as saved:
        assert saved["scores"].shape == (2, 10)
        assert int(saved["scores"][0].argmax()) == top[0]["class"]
    assert top[0]["label"] in edgert("run", digits / "int8.ert", files[0]).out


def test_evaluate_and_its_threshold(edgert: Command, digits: Path) -> None:
    words = ("evaluate", digits / "int8.ert", "--data", digits / "data", "--labels", digits / "labels.csv")
    facts = edgert(*words, "--json").json
    assert facts["samples"] == 100
    assert facts["top1"] > 90
    assert facts["top5"] >= facts["top1"]
    assert edgert(*words, "--min-top1", 50).code == 0
    assert_one_line(edgert(*words, "--min-top1", 100), 1, "top-1 accuracy", "needed 100 %")


def test_diff_of_the_same_and_of_float_and_int8(edgert: Command, digits: Path) -> None:
    a, b = digits / "float.ert", digits / "int8.ert"
    same = edgert("diff", a, a, "--json").json
    assert same["tensors"][0]["different"] == 0
    assert same["tensors"][0]["sqnr_db"] is None
    words = ("diff", a, b, "--data", digits / "data", "--json")
    (scores,) = edgert(*words).json["tensors"]
    assert 10 < scores["sqnr_db"] < 80
    assert scores["cosine"] > 0.98
    assert edgert(*words, "--min-sqnr", 5).code == 0
    assert_one_line(edgert("diff", a, b, "--min-sqnr", 200), 1, "SQNR", "needed 200 dB")


def test_diff_with_nan_is_no_match() -> None:
    difference = Difference("scores")
    difference.add(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert math.isnan(difference.largest)
    assert not difference.sqnr_db >= 0


def test_diff_fails_when_any_output_is_worse_or_no_number(
    edgert: Command, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = digits / "float.ert"
    assert edgert("diff", a, a, "--min-sqnr", 5).code == 0
    monkeypatch.setattr(Difference, "sqnr_db", math.nan)
    assert_one_line(edgert("diff", a, a, "--min-sqnr", 5), 1, "nan dB", "needed 5 dB")


def test_diff_layer_by_layer(edgert: Command, digits: Path) -> None:
    words = ("diff", digits / "float.ert", digits / "int8.ert", "--layers", "--data", digits / "data", "--samples", 20)
    layers = edgert(*words, "--sort", "order", "--json").json["tensors"]
    assert len(layers) > 2
    assert layers[0]["name"] != layers[-1]["name"] == "scores"
    assert layers[-1]["cosine"] > 0.98
    ranked = edgert(*words, "--json").json
    assert ranked["samples"] == 20
    decibels = [layer["sqnr_db"] for layer in ranked["tensors"]]
    assert decibels == sorted(decibels)
    assert ranked["costs_most"]["name"] in {layer["name"] for layer in layers}
    text = edgert(*words).out
    assert layers[0]["name"] in text
    assert any(layer["rescaled"] for layer in layers) == ("rescaled its channels" in text)
    assert "scheme" in json.loads(edgert("inspect", digits / "int8.ert", "--json").json["metadata"]["quantization"])
    assert "costs most: " in text


def test_diff_of_layers_takes_a_source_and_finds_nothing_between_equals(edgert: Command, digits: Path) -> None:
    facts = edgert("diff", DIGITS / "digits.onnx", digits / "float.ert", "--layers", "--json").json
    assert facts["notes"] == []
    assert all(layer["different"] == 0 for layer in facts["tensors"])
    assert facts["costs_most"] is None
    assert "no layer" in edgert("diff", DIGITS / "digits.onnx", digits / "float.ert", "--layers").out


def test_diff_says_when_the_models_have_different_sources(edgert: Command, digits: Path, tmp_path: Path) -> None:
    other = DIGITS.joinpath("digits.onnx").read_bytes() + b"\x72\x00"  # an empty entry of metadata_props
    (tmp_path / "other.onnx").write_bytes(other)
    words = ("diff", tmp_path / "other.onnx", digits / "int8.ert", "--layers")
    assert "made from another file" in edgert(*words).out


def test_diff_runs_an_onnx_model_in_its_own_engine(edgert: Command, digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    facts = edgert("diff", digits / "float.ert", DIGITS / "digits.onnx", "--json").json
    assert facts["engines"] == ["edgert", "onnxruntime"]
    assert facts["tensors"][0]["sqnr_db"] > 100


def test_bench_and_profile(edgert: Command, digits: Path) -> None:
    words = ("bench", digits / "int8.ert", "--rounds", 2, "--seconds", 0.02)
    (own,) = edgert(*words, "--json").json["engines"]
    assert 0 < own["best_ms"] <= own["median_ms"]
    profile = edgert(*words, "--profile", "--json").json
    assert abs(sum(op["percent"] for op in profile["operators"]) - 100) < 1e-6
    assert "edgert" in edgert(*words).out


def test_bench_against_another_engine(edgert: Command, digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    against = f"onnxruntime={DIGITS / 'digits.onnx'}"
    facts = edgert("bench", digits / "int8.ert", "--rounds", 2, "--seconds", 0.02, "--against", against, "--json").json
    assert [entry["engine"] for entry in facts["engines"]] == ["edgert", "onnxruntime"]
    assert facts["engines"][0]["ratio"] == 1


def test_bench_against_openvino(edgert: Command, digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    words = ("bench", digits / "int8.ert", "--rounds", 1, "--seconds", 0.02, "--json", "--against")
    facts = edgert(*words, f"openvino={DIGITS / 'digits.onnx'}").json
    assert [entry["engine"] for entry in facts["engines"]] == ["edgert", "openvino"]
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes((DIGITS / "digits.onnx").read_bytes()[:100])
    assert_one_line(edgert(*words, f"openvino={damaged}"), 2, f"openvino cannot open {damaged}: ")


def test_openvino_gives_the_same_numbers(digits: Path) -> None:
    pytest.importorskip("openvino")
    inputs = random_inputs(open_engine(digits / "float.ert", "edgert").inputs, np.random.default_rng(0))
    outputs = []
    for engine, path in (("edgert", digits / "float.ert"), ("openvino", DIGITS / "digits.onnx")):
        opened = open_engine(path, engine)
        opened.set_inputs(inputs)
        opened.invoke()
        outputs.append(opened.get_outputs())
    assert outputs[0].keys() == outputs[1].keys()
    for name, array in outputs[0].items():
        # OpenVINO computes in bfloat16 where the processor has it: 8 bits.
        np.testing.assert_allclose(array, outputs[1][name], atol=0.05 * np.abs(array).max())
