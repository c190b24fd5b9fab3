"""What cannot be converted is reported all at once, and a missing package by the command that installs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.helpers import DIGITS, Command

UNSUPPORTED = ("RandomNormalLike", "NonZero", "Bernoulli", "StringNormalizer", "BatchNormalization")


def five_unsupported(path: Path, more: int = 0) -> None:
    """An ONNX model with five operators that edgert does not have (and `more` of one kind), and two that it has."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "known_relu"),
        helper.make_node("RandomNormalLike", ["r"], ["n"], "noise"),
        helper.make_node("NonZero", ["n"], ["z"], "where_not_zero"),
        helper.make_node("Bernoulli", ["r"], ["d"], "dice"),
        helper.make_node("StringNormalizer", ["r"], ["e"], "words"),
        helper.make_node("BatchNormalization", ["x", "c", "c", "c", "c"], ["t"], "training", training_mode=1),
        helper.make_node("Sigmoid", ["t"], ["y"], "known_sigmoid"),
        *(helper.make_node("NonZero", ["x"], [f"more_{i}"], f"again_{i}") for i in range(more)),
    ]
    graph = helper.make_graph(
        nodes,
        "five",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4]),
            helper.make_tensor_value_info("z", TensorProto.INT64, [4, None]),
            helper.make_tensor_value_info("d", TensorProto.FLOAT, [1, 2, 4, 4]),
        ],
        [helper.make_tensor("c", TensorProto.FLOAT, [2], [0.5, 0.5])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)]), path)


def test_five_at_once(edgert: Command, tmp_path: Path) -> None:
    five_unsupported(tmp_path / "five.onnx")
    result = edgert("convert", tmp_path / "five.onnx", "-o", tmp_path / "five.ert")
    assert result.code == 2
    lines = result.err.splitlines()
    assert "5 operators cannot be converted" in lines[0]
    assert len(lines) == 6
    names = ("noise", "where_not_zero", "dice", "words", "training")
    for operator, name, line in zip(UNSUPPORTED, names, lines[1:], strict=True):
        assert operator in line
        assert repr(name) in line
        _reason, _, fix = line.partition(";")
        assert len(fix) > 15, line  # what to do
    assert "known_" not in result.err
    assert not (tmp_path / "five.ert").exists()


def test_check_tells_counts_and_writes_nothing(edgert: Command, tmp_path: Path) -> None:
    five_unsupported(tmp_path / "five.onnx", more=7)
    result = edgert("convert", "--check", tmp_path / "five.onnx")
    assert result.code == 1
    assert result.err.splitlines()[0] == "edgert: 12 operators cannot be converted:"
    (line,) = [line for line in result.err.splitlines() if "again_0" in line]
    assert "NonZero (8 times: 'where_not_zero', 'again_0', 'again_1', 'again_2' and 4 more):" in line
    result = edgert("convert", "--check", "--json", tmp_path / "five.onnx")
    assert result.code == 1
    facts = json.loads(result.out)
    assert not facts["convertible"]
    assert len(facts["unsupported"]) == 12
    assert {"node", "operator", "reason", "fix"} == set(facts["unsupported"][0])
    assert [path.name for path in tmp_path.iterdir()] == ["five.onnx"]


def test_check_of_what_can_be_converted(edgert: Command) -> None:
    result = edgert("convert", "--check", DIGITS / "digits.onnx")
    assert result.code == 0
    assert "Conv" in result.out
    assert json.loads(edgert("convert", "--check", DIGITS / "digits.onnx", "--json").out)["convertible"]


def test_convert_needs_an_output_or_check(edgert: Command) -> None:
    result = edgert("convert", DIGITS / "digits.onnx")
    assert result.code == 2
    assert "-o OUT.ert" in result.err
    assert "--check" in result.err


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


def test_a_custom_operator_by_option(edgert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--custom MODULE brings what the model lacks, to convert and to run."""
    five_unsupported(tmp_path / "five.onnx")
    (tmp_path / "brought.py").write_text(
        "from edgert import CustomOp, add_custom_op\n"
        f"for name in {UNSUPPORTED}:\n"
        "    add_custom_op(CustomOp(name, lambda types, attrs: types[:1], lambda arrays, attrs: arrays[:1]))\n"
    )
    monkeypatch.chdir(tmp_path)
    for words in (["convert", "five.onnx", "-o", "five.ert"], ["inspect", "five.ert"], ["bench", "five.ert"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "edgert", "--custom", "brought", *words], capture_output=True, text=True
        )
        assert done.returncode == 0, (words, done.stderr)
    lacking = edgert("bench", tmp_path / "five.ert")
    assert lacking.code == 2
    assert "was not given" in lacking.err
    wrong = subprocess.run(
        [sys.executable, "-P", "-m", "edgert", "--custom", "no_such_module", "ops"], capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "no_such_module" in wrong.stderr


@pytest.mark.parametrize("words", [["convert", "m.onnx", "-o", "x.ert"], ["ops"], ["quickstart"]], ids=lambda w: w[0])
def test_the_runtime_wheel_says_what_it_lacks(words: list[str], tmp_path: Path) -> None:
    """As setup.py leaves them out with EDGERT_RUNTIME_ONLY=1."""
    hidden = "import sys; sys.modules.update(dict.fromkeys(['edgert.compile', 'edgert.quickstart']))"
    code = f"{hidden}; from edgert.cli.main import main; main({words!r})"
    (tmp_path / "m.onnx").touch()
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("edgert: this command is no part of edgert's runtime wheel")
    code = f"{hidden}; import edgert; edgert.convert"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert "EdgertError: edgert.convert is no part of edgert's runtime wheel" in done.stderr
