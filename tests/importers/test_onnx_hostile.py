"""Hostile ONNX files: one of our errors within a second, and no more memory than a small file should take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_runs import assert_all_close, run_converted

from edgert.errors import FileFormatError
from edgert.importers.onnx import load
from importers import _onnx_cases as cases
from importers._onnx_run import run_onnxruntime

SECONDS = 1.0
SLOWER = 3.0  # how much slower than the machine that SECONDS means a loaded one may be
node = helper.make_node
FLOAT = TensorProto.FLOAT


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def of(nodes, constants=None, shape=(2, 3), functions=(), opset=17):
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", [value("x", shape)], [value("y", None)], tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=9)


def ints(*numbers):
    return np.asarray(numbers, np.int64)


def growing():
    """Small constants of which an operator would make 10^9 elements and more."""
    many = ints(100_000, 100_000)
    one, zero = np.ones(1, np.float32), np.zeros((1, 1), np.float32)
    row, column = np.ones((1, 100_000), np.float32), np.ones((100_000, 1), np.float32)
    yield "ConstantOfShape", of([node("ConstantOfShape", ["n"], ["y"])], {"n": many})
    several = [node("ConstantOfShape", ["n"], [f"c{index}"]) for index in range(40)]
    yield (
        "ConstantOfShape_often",
        of([*several, node("Sum", [f"c{i}" for i in range(40)], ["y"])], {"n": ints(1 << 25)}),
    )
    yield "Expand", of([node("Expand", ["c", "n"], ["y"])], {"c": one, "n": many})
    yield "Tile", of([node("Tile", ["c", "n"], ["y"])], {"c": zero, "n": many})
    yield "Range", of([node("Range", ["a", "b", "c"], ["y"])], {"a": 0, "b": 10**12, "c": 1})
    yield "Pad", of([node("Pad", ["c", "n"], ["y"])], {"c": one, "n": ints(10**10, 0)})
    yield "OneHot", of([node("OneHot", ["i", "d", "v"], ["y"])], {"i": ints(1), "d": 10**11, "v": np.float32([0, 1])})
    yield "broadcasting", of([node("Add", ["a", "b"], ["y"])], {"a": row, "b": column})
    yield "outer_product", of([node("MatMul", ["b", "a"], ["y"])], {"a": row, "b": column})
    scales = np.asarray([1, 1, 1e5, 1e5], np.float32)
    image = np.ones((1, 1, 2, 2), np.float32)
    yield "Resize", of([node("Resize", ["c", "", "s"], ["y"])], {"c": image, "s": scales})
    yield "window", of([node("HannWindow", ["n"], ["y"])], {"n": np.int64(10**11)})
    yield "Expand_of_input", of([node("Expand", ["x", "n"], ["y"])], {"n": ints(10**9, 2, 3)})
    yield "Tile_of_input", of([node("Tile", ["x", "n"], ["y"])], {"n": many})
    yield "Pad_of_input", of([node("Pad", ["x", "n"], ["y"])], {"n": ints(10**6, 10**6, 10**6, 10**6)})
    sized = {"s": np.asarray([1, 1, 1e6, 1e6], np.float32)}
    for mode in ("nearest", "linear", "cubic"):
        yield f"Resize_of_input_{mode}", of([node("Resize", ["x", "", "s"], ["y"], mode=mode)], sized, (1, 1, 2, 2))
    yield "EyeLike", of([node("EyeLike", ["x"], ["y"])], shape=(10**5, 10**5))
    yield "mask", of([node("Dropout", ["x"], ["t", "y"])], shape=(10**5, 10**5))
    yield "DFT", of([node("DFT", ["x"], ["y"], axis=1)], shape=(1, 10**6, 1))
    blocks = node("Conv", ["x", "w"], ["y"], pads=[2**40] * 4)
    yield "Conv_pads", of([blocks], {"w": np.ones((1, 1, 3, 3), np.float32)}, (1, 1, 8, 8))


def damaged():
    weights = {"w": np.ones((3, 4), np.float32)}
    product = [node("MatMul", ["x", "w"], ["y"])]
    model = of(product, weights)
    model.graph.initializer[0].dims[:] = [10**9, 10**9]
    yield "initializer_of_10^18", model
    model = of(product, weights)
    model.graph.initializer[0].dims[:] = [-3, -4]
    yield "negative_initializer", model
    yield "negative_input", of([node("Relu", ["x"], ["y"])], shape=(2, -3))
    yield "huge_input", of([node("Relu", ["x"], ["y"])], shape=(2**40, 2**40))
    yield "rank_1000", of([node("Relu", ["x"], ["y"])], shape=(1,) * 1000)
    yield "cycle", of([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Neg", ["a"], ["y"])])
    yield "reads_itself", of([node("Add", ["x", "y"], ["y"])])
    yield "unknown_input", of([node("Relu", ["nowhere"], ["y"])])
    yield "reshape", of([node("Reshape", ["x", "s"], ["y"])], {"s": ints(-1, -1)})
    for name, attrs in (
        ("strides", {"strides": [0, 0]}), ("kernel", {"kernel_shape": [2**31, 2**31]}), ("group", {"group": 0}),
        ("dilations", {"dilations": [2**62, 2**62]}), ("pads", {"pads": [-1, -1, -1, -1]}),
    ):  # fmt: skip
        convolution = node("Conv", ["x", "w"], ["y"], **attrs)
        yield f"conv_{name}", of([convolution], {"w": np.ones((1, 1, 3, 3), np.float32)}, (1, 1, 8, 8))
    yield "axis", of([node("Softmax", ["x"], ["y"], axis=2**60)])
    yield "gather", of([node("Gather", ["x", "i"], ["y"], axis=1)], {"i": ints(2**60)})
    yield "no_such_operator", of([node("Frobnicate", ["x"], ["y"])])
    yield "no_such_type", of([node("Cast", ["x"], ["y"], to=77)])


def endless():
    def called(name, *callees):
        body = [node(callee, ["a" if index == 0 else f"t{index - 1}"], [f"t{index}"], domain="own")
                for index, callee in enumerate(callees)]  # fmt: skip
        body.append(node("Relu", [f"t{len(callees) - 1}" if callees else "a"], ["r"]))
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        return helper.make_function("own", name, ["a"], ["r"], body, opsets)

    call = [node("f0", ["x"], ["y"], domain="own")]
    yield "recursive_function", of(call, functions=[called("f0", "f0")])
    yield "functions_in_a_ring", of(call, functions=[called("f0", "f1"), called("f1", "f0")])
    doubling = [called(f"f{index}", f"f{index + 1}", f"f{index + 1}") for index in range(20)]
    yield "functions_that_double", of(call, functions=[*doubling, called("f20")])

    def loop(name, nodes, rounds, source="c"):
        inputs = [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value(source, [2, 3])]
        kept = node("Identity", ["go"], ["go_on"])
        outputs = [value("go_on", [], TensorProto.BOOL), value(f"{source}_out", [2, 3])]
        body = helper.make_graph([kept, *nodes], "body", inputs, outputs)
        rounds_input = "rounds" if rounds else ""
        return node("Loop", [rounds_input, "true", "x"], [name], body=body)

    true = {"true": np.asarray(True), "rounds": np.asarray(2**62)}
    yield "loop_of_2^62_rounds", of([loop("y", [node("Relu", ["c"], ["c_out"])], True)], true)
    yield "loop_without_end", of([loop("y", [node("Relu", ["c"], ["c_out"])], False)], true)
    growing_body = [node("Concat", ["c", "c"], ["c_out"], axis=0)]
    yield "loop_that_grows", of([loop("y", growing_body, True)], true)
    nest = node("Relu", ["x"], ["y"])
    for depth in range(30):
        branch = helper.make_graph([nest], f"b{depth}", [], [value("y", None)])
        nest = node("If", ["true"], ["y"], then_branch=branch, else_branch=branch if depth < 3 else nest_free())
    yield "deep_branches", of([nest], true)


def nest_free():
    return helper.make_graph([node("Relu", ["x"], ["y"])], "flat", [], [value("y", None)])


def cut_short():
    """Prefixes of a whole model."""
    whole = of([node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((3, 5000), np.float32)}).SerializeToString()
    for share in (0.0, 0.01, 0.5, 0.9, 0.999):
        yield f"first_{share}", whole[: int(len(whole) * share)]
    yield "text", b"this is no model" * 1000
    yield "nesting", b"\x3a\xff\xff\xff\xff\x0f" * 1000


GROUPS = {"growing": growing, "damaged": damaged, "endless": endless, "cut short": cut_short}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc, by which it limits the memory")
@pytest.mark.parametrize("group", GROUPS)
def test_an_error_of_ours_within_a_second(tmp_path, group):
    good = tmp_path / "good.onnx"
    onnx.save(of([node("Relu", ["x"], ["y"])]), good)
    files = []
    for name, model in GROUPS[group]():
        files.append(tmp_path / f"{name}.onnx")
        files[-1].write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    script = Path(__file__).parent / "_onnx_hostile.py"
    run = subprocess.run(
        [sys.executable, script, good, *files], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = run.stdout.splitlines()
    assert len(lines) == len(files)
    wrong = [line for line in lines if "not ours" in line or "no error" in line]
    slow = [line for line in lines if float(line.split()[0]) > SECONDS * SLOWER]
    assert not wrong + slow, "\n".join(wrong + slow)


@pytest.fixture
def external(tmp_path):
    """A folder with a model whose weights lie beside it, [3, 4] of float32."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = of([node("MatMul", ["x", "w"], ["y"])], {"w": cases.w(3, 4)})
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    return folder


def pointed(folder, **entries):
    """The model with other statements about where its weights lie."""
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = str(entries.pop(entry.key, entry.value))
    for key, text in entries.items():
        model.graph.initializer[0].external_data.add(key=key, value=str(text))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_weights_beside_the_model(external):
    path = external / "m.onnx"
    sample = {"x": np.ones((2, 3), np.float32)}
    assert_all_close(run_converted(path, sample), run_onnxruntime(onnx.load(path), sample))


def test_weights_that_are_missing(external):
    (external / "weights.bin").unlink()
    with pytest.raises(FileFormatError, match=r"weights\.bin"):
        load(external / "m.onnx")


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": 40}, {"offset": 10**12}, {"offset": -8}, {"length": 4}, {"length": 10**12}, {"length": -1},
        {"offset": "many"}, {"location": ""},
    ],
    ids=str,
)  # fmt: skip
def test_weights_beyond_the_file(external, entries):
    with pytest.raises(FileFormatError):
        load(pointed(external, **entries))


@pytest.mark.parametrize("location", ["../secret.bin", "{outside}/secret.bin", "a/../../secret.bin", "link.bin"])
def test_weights_outside_the_folder(external, location):
    """A model may read files beside it, and none that its author has no business with."""
    (external / "a").mkdir()
    (external / "link.bin").symlink_to(external.parent / "secret.bin")
    path = pointed(external, location=location.format(outside=external.parent))
    with pytest.raises(FileFormatError):
        load(path)


def test_an_initializer_larger_than_its_external_file(external):
    model = onnx.load(external / "m.onnx", load_external_data=False)
    model.graph.initializer[0].dims[:] = [3 * 10**9, 4]
    (external / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError):
        load(external / "m.onnx")
