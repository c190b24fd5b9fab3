"""edgert ops: what importers know and what runs it; README.md carries the same tables."""

from __future__ import annotations

import json
from pathlib import Path

from cli.helpers import Command

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_tables_stand_in_the_readme(edgert: Command) -> None:
    result = edgert("ops", "--markdown")
    assert result.code == 0, result.err
    for table in result.out.split("\n\n"):
        assert table.strip() in README.read_text(), "README.md is out of date: it carries `edgert ops --markdown`"


def test_formats_and_kernels(edgert: Command) -> None:
    facts = json.loads(edgert("ops", "--json").out)
    assert {"onnx", "tflite", "torch.export", "keras", "caffe", "mxnet", "torch7"} <= set(facts["formats"])
    assert "CONV_2D" in facts["formats"]["tflite"]
    assert "Convolution" in facts["formats"]["caffe"]
    assert facts["operators"]["conv2d"][0] == "qgemm"
    assert facts["operators"]["custom"] == []
    assert "neondot" in facts["kernels"]["qgemm"]


def test_one_format(edgert: Command) -> None:
    result = edgert("ops", "onnx")
    assert result.code == 0
    assert {"Conv", "LSTM", "NonMaxSuppression"} <= set(result.out.split())
    wrong = edgert("ops", "fortran")
    assert wrong.code == 2
    assert "known are onnx, tflite" in wrong.err


def test_a_table_for_a_person(edgert: Command) -> None:
    lines = edgert("ops").out.splitlines()
    assert any(line.startswith("Keras") and "h5py" in line for line in lines)
    assert any(line.startswith("depthwise_conv2d") and "qdw fdw" in line for line in lines)
