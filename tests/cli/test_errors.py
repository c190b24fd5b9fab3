"""What goes wrong for users: one line that says what and how to mend it, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli.helpers import DIGITS, Command, Outcome, assert_one_line

from edgert.cli.main import COMMANDS, run


def test_help_and_version(edgert: Command) -> None:
    text = edgert("--help")
    assert text.code == 0
    assert all(name in text.out for name in COMMANDS)
    assert edgert("--version").code == 0
    for name in COMMANDS:
        assert edgert(name, "--help").code == 0


def test_wrong_use(edgert: Command, digits: Path) -> None:
    assert_one_line(edgert("bogus"), 2, "No such command 'bogus'", "edgert --help")
    assert_one_line(edgert("run"), 2, "Missing argument 'MODEL'")
    assert_one_line(edgert("bench", digits / "int8.ert", "--threads", 0), 2, "--threads")
    assert_one_line(edgert("bench", digits / "int8.ert", "--against", "tvm"), 2, "there are litert")
    assert_one_line(edgert("bench", digits / "int8.ert", "--against", "litert"), 2, "--against litert=FILE")


@pytest.mark.parametrize("name", ["missing.ert", "missing.onnx", "missing.tflite"])
def test_missing_file(edgert: Command, tmp_path: Path, name: str) -> None:
    assert_one_line(edgert("inspect", tmp_path / name), 2, name)
    assert_one_line(edgert("run", tmp_path / name, "x.npy"), 2, name)
    assert_one_line(edgert("diff", tmp_path / name, tmp_path / name), 2, name)
    assert_one_line(edgert("convert", tmp_path / name, "-o", tmp_path / "out.ert"), 2, name)


def test_folders_where_models_are_needed(edgert: Command, digits: Path, tmp_path: Path) -> None:
    assert_one_line(edgert("inspect", tmp_path), 2, "not a regular file")
    assert_one_line(edgert("bench", tmp_path), 2, "is a folder")
    assert_one_line(edgert("diff", digits / "int8.ert", tmp_path), 2, "is a folder")


def test_labels_of_windows(edgert: Command, tmp_path: Path) -> None:
    """A byte order mark and CRLF are no part of a label."""
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfzero\r\n" + b"one\r\n" * 9)
    words = ("convert", DIGITS / "digits.onnx", "-o", tmp_path / "o.ert", "--labels", tmp_path / "labels.txt")
    assert edgert(*words).code == 0
    assert edgert("inspect", tmp_path / "o.ert", "--json").json["labels"][:2] == ["zero", "one"]


def test_wrong_file(edgert: Command, digits: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.ert"
    junk.write_bytes(b"not a package at all, but long enough to be looked at")
    assert_one_line(edgert("inspect", junk), 2)
    cut = tmp_path / "cut.ert"
    cut.write_bytes((digits / "int8.ert").read_bytes()[:-100])
    assert_one_line(edgert("inspect", cut), 2)
    text = tmp_path / "model.onnx"
    text.write_text("hello")
    assert_one_line(edgert("convert", text, "-o", tmp_path / "o.ert"), 2, "model.onnx")
    assert_one_line(edgert("convert", digits / "int8.ert", "-o", tmp_path / "o.ert"), 2, "package already")
    assert not (tmp_path / "o.ert").exists()


def test_wrong_input(edgert: Command, digits: Path, tmp_path: Path) -> None:
    model = digits / "int8.ert"
    np.save(tmp_path / "shape.npy", np.zeros((3, 5), np.float32))
    assert_one_line(edgert("run", model, tmp_path / "shape.npy"), 2, "shape [3, 5]", "needed [1, 1, 8, 8]")
    (tmp_path / "short.bin").write_bytes(bytes(10))
    assert_one_line(edgert("run", model, tmp_path / "short.bin"), 2, "10 bytes", "needed 64")
    assert_one_line(edgert("run", model, tmp_path / "absent.npy"), 2, "there is no such file")
    (tmp_path / "x.txt").write_text("x")
    assert_one_line(edgert("run", model, tmp_path / "x.txt"), 2, ".npz")


def test_calibration_data(edgert: Command, tmp_path: Path) -> None:
    def calibrate(data: object) -> object:
        return edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / "out.ert", "--calibrate", data)

    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_line(calibrate(empty), 2, "holds no data")
    bad = np.zeros((2, 1, 1, 8, 8), np.float32)
    bad[1, 0, 0, 3, 3] = np.nan
    np.savez(tmp_path / "nan.npz", image=bad)
    assert_one_line(calibrate(tmp_path / "nan.npz"), 2, "nan.npz[1]", "NaN", "remove")
    np.savez(tmp_path / "names.npz", a=bad, b=bad)
    assert_one_line(calibrate(tmp_path / "names.npz"), 2, "has no array 'image'")
    assert_one_line(calibrate(tmp_path / "absent"), 2, "there is no such file or folder")
    assert_one_line(calibrate("no_such_module:samples"), 2, "cannot be imported")
    assert not (tmp_path / "out.ert").exists()
    outcome = edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / "out.ert", "--quantize", "int8")
    assert_one_line(outcome, 2, "calibrat")


def test_evaluate_labels(edgert: Command, digits: Path, tmp_path: Path) -> None:
    def evaluate(labels: str) -> object:
        (tmp_path / "labels.csv").write_text(labels)
        return edgert("evaluate", digits / "int8.ert", "--data", digits / "data", "--labels", tmp_path / "labels.csv")

    assert_one_line(evaluate(""), 2, "holds no labels")
    assert_one_line(evaluate("0.npy,1\nabsent.npy,2\n"), 2, "1 of the 2", "absent.npy")
    assert_one_line(evaluate("0.npy,10\n"), 2, "10", "10 classes")
    assert_one_line(evaluate("0.npy,zero\n1.npy,eleven\n"), 2, "line 2", "eleven")


def test_models_that_do_not_fit_each_other(edgert: Command, digits: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n")
    outcome = edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / "o.ert", "--labels", labels)
    assert_one_line(outcome, 2, "holds no labels")
    outcome = edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / "absent" / "o.ert")
    assert_one_line(outcome, 2, "cannot be written")


def test_outputs_that_would_overwrite_what_is_read(edgert: Command, digits: Path, tmp_path: Path) -> None:
    source, array = tmp_path / "digits.onnx", tmp_path / "x.npy"
    source.write_bytes((DIGITS / "digits.onnx").read_bytes())
    array.write_bytes((digits / "data" / "0.npy").read_bytes())
    link = tmp_path / "link.ert"
    link.symlink_to(source)
    for output in (source, link):
        assert_one_line(edgert("convert", source, "-o", output), 2, str(output), "another file")
    assert source.read_bytes() == (DIGITS / "digits.onnx").read_bytes()
    assert_one_line(edgert("run", digits / "int8.ert", array, "-o", array), 2, "x.npy", "another file")


def test_a_folder_for_the_output_that_is_absent_is_told_before_any_work(edgert: Command, tmp_path: Path) -> None:
    words = ("convert", DIGITS / "digits.onnx", "--calibrate", "no_such_module:samples", "-o")
    assert_one_line(edgert(*words, tmp_path / "absent" / "o.ert"), 2, "cannot be written", "no folder", "absent")
    assert_one_line(edgert(*words, tmp_path), 2, "is a folder")
    assert_one_line(edgert("quickstart", "-o", tmp_path / "absent" / "o.ert"), 2, "cannot be written")


def test_options_that_contradict_each_other(edgert: Command, tmp_path: Path) -> None:
    words = ("convert", DIGITS / "digits.onnx", "-o", tmp_path / "o.ert")
    calibration = ("--calibrate", DIGITS / "calibration.npz")
    assert_one_line(edgert(*words, *calibration, "--quantize", "none"), 2, "--calibrate", "leave one")
    assert_one_line(edgert(*words, "--io", "int8"), 2, "stays float", "calibration")
    assert_one_line(edgert(*words, "--mean", "1,2,3"), 2, "3 channels", "image: [1, 1, 8, 8]")
    assert not (tmp_path / "o.ert").exists()


def test_labels_that_are_not_as_many_as_classes_are_noted(edgert: Command, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("zero\none\n")
    outcome = edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / "o.ert", "--labels", tmp_path / "labels.txt")
    assert outcome.code == 0
    assert "2 labels" in outcome.out


def test_input_shape(edgert: Command, tmp_path: Path) -> None:
    def convert(shape: str) -> Outcome:
        return edgert("convert", DIGITS / "digits.onnx", "-o", tmp_path / "o.ert", "--input-shape", shape)

    assert convert("image=1,1,8,8").code == 0
    assert_one_line(convert("image"), 2, "--input-shape is 'image'")
    assert_one_line(convert("image=1,-1,8,8"), 2, "--input-shape is")
    assert_one_line(convert("picture=1,1,8,8"), 2, "picture")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_that_the_locale_cannot_show(digits: Path, tmp_path: Path, encoding: str) -> None:
    """Labels and file names in any script, and file names that are no text, on a terminal that cannot show them."""
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("\u96f6\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d"), encoding="utf-8")
    array = tmp_path / os.fsdecode("\u00e9 ".encode() + b"\xff.npy")
    array.write_bytes((digits / "data" / "0.npy").read_bytes())
    model = tmp_path / "o.ert"
    assert run(["convert", str(DIGITS / "digits.onnx"), "-o", str(model), "--labels", str(labels)]) == 0
    command = [sys.executable, "-P", "-m", "edgert"]
    words = [["inspect", str(model)], ["run", str(model), str(array)], ["run", str(model), str(array), "--json"]]
    for line in words:
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([*command, *line], capture_output=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        if "--json" in line:
            assert set(json.loads(text)["results"][0]["outputs"]["scores"]["top"][0]["label"]) <= set(
                labels.read_text()
            )


def test_debug_shows_the_traceback(edgert: Command, tmp_path: Path) -> None:
    outcome = edgert("inspect", tmp_path / "missing.ert", "--debug")
    assert outcome.code == 2
    assert "Traceback" in outcome.err


def test_errors_under_click_8_1(edgert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which lacks an exception that later ones have."""
    monkeypatch.delattr("click.exceptions.NoArgsIsHelpError", raising=False)
    assert_one_line(edgert("bench"), 2, "MODEL")
    assert_one_line(edgert("inspect", tmp_path / "missing.ert"), 2, "missing.ert")


def test_a_fault_of_our_own_is_told_apart(edgert: Command, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("edgert.engines.open_model", broken)
    assert_one_line(edgert("inspect", digits / "int8.ert"), 70, "please report it", "AssertionError: a bug")


def test_running_needs_neither_rich_nor_the_toolchain(digits: Path, tmp_path: Path) -> None:
    """run, inspect and bench on a device that has NumPy and click alone."""
    packages = ("rich", "flatbuffers", "onnx", "tflite", "PIL", "onnxruntime", "ai_edge_litert")
    absent = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))"
    words = [
        ["inspect", str(digits / "int8.ert")],
        ["run", str(digits / "int8.ert"), str(digits / "data" / "0.npy")],
        ["bench", str(digits / "int8.ert"), "--rounds", "1", "--seconds", "0.02", "--profile"],
        ["bench", str(digits / "int8.ert"), "--trace", str(tmp_path / "trace.json")],
        ["bench", "--kernels", "ad fc 128-8"],
    ]
    for command in words:
        program = f"exec({absent!r}); from edgert.cli.main import main; main({command!r})"
        done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    image = tmp_path / "digit.png"
    image.write_bytes(b"x")
    command = ["run", str(digits / "int8.ert"), str(image)]
    program = f"exec({absent!r}); from edgert.cli.main import main; main({command!r})"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("pip install 'edgert[build]'")


def test_each_command_is_imported_only_when_it_runs() -> None:
    program = "import sys, edgert.cli.main as m; print([n for n in m.COMMANDS if f'edgert.cli.{n}' in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
