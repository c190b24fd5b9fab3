"""What cannot be converted is reported all at once, and a missing package by the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli.helpers import DIGITS, Command

UNSUPPORTED = ("ConvTranspose", "NonZero", "LSTM", "Hardmax", "TopK")


def five_unsupported(path: Path) -> None:
    """An ONNX model with five operators that edgert does not have, and two that it has."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def weight(name: str, shape: list[int]) -> object:
        count = 1
        for dim in shape:
            count *= dim
        return helper.make_tensor(name, TensorProto.FLOAT, shape, [0.5] * count)

    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "known_relu"),
        helper.make_node("ConvTranspose", ["r", "w"], ["u"], "upsample", group=2),
        helper.make_node("NonZero", ["u"], ["z"], "where_not_zero"),
        helper.make_node("LSTM", ["s", "lw", "lr"], ["l"], "recurrent", hidden_size=2),
        helper.make_node("Hardmax", ["s"], ["e"], "one_hot"),
        helper.make_node("TopK", ["s", "k"], ["values", "indices"], "best"),
        helper.make_node("Sigmoid", ["values"], ["y"], "known_sigmoid"),
    ]
    graph = helper.make_graph(
        nodes,
        "five",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4]),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, [3, 1, 4]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 1, 2]),
            helper.make_tensor_value_info("z", TensorProto.INT64, [4, None]),
            helper.make_tensor_value_info("l", TensorProto.FLOAT, [3, 1, 1, 2]),
            helper.make_tensor_value_info("e", TensorProto.FLOAT, [3, 1, 4]),
        ],
        [
            weight("w", [2, 2, 2, 2]),
            weight("lw", [1, 8, 4]),
            weight("lr", [1, 8, 2]),
            helper.make_tensor("k", TensorProto.INT64, [1], [2]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)


def test_five_at_once(edgert: Command, tmp_path: Path) -> None:
    five_unsupported(tmp_path / "five.onnx")
    result = edgert("convert", tmp_path / "five.onnx", "-o", tmp_path / "five.ert")
    assert result.code == 2
    lines = result.err.splitlines()
    assert "5 operators cannot be converted" in lines[0]
    assert len(lines) == 6
    names = ("upsample", "where_not_zero", "recurrent", "one_hot", "best")
    for operator, name, line in zip(UNSUPPORTED, names, lines[1:], strict=True):
        assert operator in line
        assert repr(name) in line
        _reason, _, fix = line.partition(";")
        assert len(fix) > 15, line  # what to do
    assert "known_" not in result.err
    assert not (tmp_path / "five.ert").exists()


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("onnx", ["convert", str(DIGITS / "digits.onnx"), "-o", "x.ert"]),
        ("flatbuffers", ["convert", str(DIGITS / "digits.onnx"), "-o", "x.ert"]),
    ],
)
def test_a_missing_extra(package: str, words: list[str], tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from edgert.cli.main import main; main({words!r})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "pip install 'edgert[build]'" in done.stderr
    assert package in done.stderr
