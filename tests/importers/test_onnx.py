"""The ONNX importer on whole models, on interfaces and on faulty files."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from passes.pipeline import optimize
from reference_executor import ReferenceExecutor
from runtime_runs import assert_all_close, run_converted

from edgert.errors import EdgertError, FileFormatError, InputError, ModelError, UnsupportedError
from edgert.importers.onnx import load
from importers import _onnx_cases as cases
from importers._onnx_run import run_onnxruntime

# Model, shapes of dynamic inputs, transposes that have to stay: one at an image input, one at an image output.
MODELS = [
    ("onnx/cntk_mnist.onnx", None, 0),  # one channel: NCHW and NHWC are the same bytes
    ("ultraface_rfb320/rfb320.onnx", None, 1),
    ("ultraface_rfb320/rfb320_raw.onnx", None, 1),
    ("onnx/fastestdet.onnx", None, 2),
    ("onnx/ppocr_cls_mnv3.onnx", {"x": (1, 3, 48, 192)}, 1),
    ("basic_pitch/nmp.onnx", None, 0),
]


@pytest.mark.parametrize(("name", "shapes", "transposes"), MODELS, ids=[item[0] for item in MODELS])
def test_float_model_equals_onnxruntime(shared_data, name, shapes, transposes):
    path = shared_data(name)
    graph = optimize(load(path, shapes))
    assert sum(node.op == "transpose" for node in graph.nodes) == transposes
    rng = np.random.default_rng(0)
    samples = {value.name: rng.uniform(0, 1, value.shape).astype(np.float32) for value in graph.inputs}
    theirs = run_onnxruntime(onnx.load(path), samples)
    for ours in (ReferenceExecutor(graph).run(*samples.values()), run_converted(path, samples, shapes)):
        for our, their in zip(ours, theirs, strict=True):
            assert our.shape == their.shape
            assert np.abs(our - their).max() <= 1e-4 * np.abs(their).max()


def save(path, nodes, inputs, outputs, constants=None, opset=13):
    tensors = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    onnx.save(cases.model(nodes, infos, outputs, tensors, opset), path)
    return path


def node(op, inputs, outputs, name="", **attrs):
    return helper.make_node(op, inputs, outputs, name, **attrs)


def test_all_unsupported_operators_at_once(tmp_path):
    """Five of them, one with a handler that refuses, one behind another; with name, reason and fix each."""
    nodes = [
        node("RandomNormalLike", ["x"], ["a"], "noise"),
        node("Relu", ["a"], ["b"], "after_noise"),
        node("Magic", ["x"], ["l"], "magic", domain="com.example"),
        node("NonZero", ["b"], ["c"], ""),
        node("BatchNormalization", ["x", "s", "s", "s", "s"], ["d"], "training", training_mode=1),
        node("Bernoulli", ["x"], ["e"], "dice"),
        node("Relu", ["x"], ["fine"], "fine"),
        node("Shape", ["b"], ["shape_of_lost"], "shape"),
    ]
    constants = {"s": cases.f(3)}
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", infos, [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path / "m.onnx")
    items = {item.node: item for item in caught.value.items}
    assert list(items) == ["noise", "magic", "c", "training", "dice"]
    assert "training mode" in items["training"].reason
    assert "inference" in items["training"].fix
    assert all(item.reason and item.fix for item in items.values())
    assert str(caught.value).startswith("5 operators cannot be converted")


def test_batch_is_assumed_and_noted(tmp_path):
    path = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])], {"x": ("batch", 4)}, ["y"])
    graph = load(path)
    assert graph.inputs[0].shape == (1, 4)
    assert graph.notes == ["Input 'x': the first dimension is dynamic (batch), 1 is assumed."]
    assert load(path, {"x": (3, 4)}).inputs[0].shape == (3, 4)
    assert load(path, {"x": (3, 4)}).notes == []


def test_other_dynamic_dimensions_have_to_be_given(tmp_path):
    nodes = [node("Add", ["x", "z"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, {"x": (1, "length"), "z": (1, None)}, ["y"])
    with pytest.raises(InputError, match=r"'x' \[1, length\]; 'z' \[1, \?\].*input_shapes=\{'x'.*--input-shape x="):
        load(path)
    with pytest.raises(InputError, match=r"'z' \[1, \?\]"):
        load(path, {"x": (1, 5)})
    assert load(path, {"x": (1, 5), "z": (1, 5)}).outputs[0].shape == (1, 5)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"y": (1, 4)}, "'y', which is no input"),
        ({"x": (1, 5)}, r"\[1, 5\], the model states \['batch', 4\]"),
        ({"x": (4,)}, r"\[4\], the model states"),
        ({"x": (0, 4)}, r"\[0, 4\], the model states"),
    ],
)
def test_input_shapes_that_do_not_fit(tmp_path, shapes, message):
    path = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])], {"x": ("batch", 4)}, ["y"])
    with pytest.raises(InputError, match=message):
        load(path, shapes)


def test_interface_keeps_names_and_identities(tmp_path):
    """An output that is an input, one value under two names, and a constant output."""
    nodes = [
        node("Identity", ["x"], ["same"]),
        node("Relu", ["x"], ["y"]),
        node("Identity", ["y"], ["y2"]),
        node("Constant", [], ["k"], value=numpy_helper.from_array(cases.f(1, 2))),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": (1, 4)}, ["same", "y", "y2", "k"])
    graph = optimize(load(path))
    assert [value.name for value in graph.outputs] == ["same", "y", "y2", "k"]
    x = np.asarray([[-1, 0, 1, 2]], np.float32)
    same, y, y2, k = ReferenceExecutor(graph).run(x)
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(y2, y)
    np.testing.assert_array_equal(k, [1, 2])


def test_shape_arithmetic_leaves_no_trace(tmp_path):
    """The flatten that PyTorch writes: Shape, Gather, Unsqueeze, Concat, Reshape."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["n"]),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"first": np.asarray(0, np.int64), "axes": cases.i(0), "rest": cases.i(-1)}
    graph = load(save(tmp_path / "m.onnx", nodes, {"x": (2, 3, 4)}, ["y"], constants))
    assert [item.op for item in graph.nodes] == ["reshape"]
    assert graph.outputs[0].shape == (2, 12)


def test_external_data(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = cases.w(40, 50)
    path = save(tmp_path / "m.onnx", nodes, {"x": (1, 40)}, ["y"], {"w": weights})
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    x = cases.w(1, 40)
    (y,) = ReferenceExecutor(load(path)).run(x)
    np.testing.assert_allclose(y, x @ weights, rtol=1e-4, atol=1e-4)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FileFormatError, match="external data"):
        load(path)


def test_damaged_files(tmp_path):
    path = save(tmp_path / "m.onnx", [node("MatMul", ["x", "w"], ["y"])], {"x": (1, 40)}, ["y"], {"w": cases.w(40, 9)})
    whole = path.read_bytes()
    for length in (0, 1, 17, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            load(path)
    path.write_bytes(b"TFL3" + bytes(200))
    with pytest.raises(FileFormatError):
        load(path)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "absent.onnx")


def test_shapes_that_do_not_fit_name_the_node(tmp_path):
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))]
    tensors = [numpy_helper.from_array(cases.w(4, 5, 3, 3), "w")]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node("Conv", ["x", "w"], ["y"], "first")], "g", infos, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="Conv 'first'"):
        load(tmp_path / "m.onnx")


def test_old_operator_sets_are_refused_with_the_fix(tmp_path):
    path = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])], {"x": (1, 4)}, ["y"], opset=6)
    with pytest.raises(InputError, match="convert_version"):
        load(path)


def test_half_precision_becomes_float32(tmp_path):
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT16, (1, 4))]
    tensors = [numpy_helper.from_array(np.asarray([1, 2, 3, 4], np.float16), "w")]
    model = cases.model([node("Mul", ["x", "w"], ["y"])], infos, ["y"], tensors)
    onnx.save(model, tmp_path / "m.onnx")
    graph = load(tmp_path / "m.onnx")
    assert graph.notes == ["Input 'x': float16 in the source, float32 here."]
    (y,) = ReferenceExecutor(graph).run(np.ones((1, 4), np.float32))
    assert_all_close([y], [np.asarray([[1, 2, 3, 4]], np.float32)])


@pytest.mark.parametrize("seed", range(8))
def test_a_changed_byte_gives_an_error_of_ours(tmp_path, seed):
    """Bytes changed, dropped and doubled in small models of every operator: one of our errors, or a graph."""
    rng = random.Random(seed)
    path = tmp_path / "m.onnx"
    for case in rng.sample(cases.CASES, 30):
        whole = case.model().SerializeToString()
        for _ in range(5):
            data = bytearray(whole)
            for _ in range(rng.choice((1, 1, 3))):
                place = rng.randrange(len(data))
                if rng.random() < 0.8:
                    data[place] = rng.randrange(256)
                elif rng.random() < 0.5:
                    del data[place]
                else:
                    data.insert(place, data[place])
            path.write_bytes(data)
            with contextlib.suppress(EdgertError):
                optimize(load(path))


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_with_a_known_condition_is_taken(tmp_path, taken):
    """Exporters write If where a rank or a size decides; the branches see the values around them."""
    branches = {}
    for name, operation in (("then_branch", "Add"), ("else_branch", "Mul")):
        constant = numpy_helper.from_array(cases.f(3), "three")
        inner = [node(operation, ["r", "three"], ["made"]), node("Neg", ["made"], [f"{name}_out"])]
        info = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, (2,))
        branches[name] = helper.make_graph(inner, name, [], [info], [constant])
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Shape", ["r"], ["shape"]),
        node("Equal", ["shape", "wanted"], ["condition"]),
        node("If", ["condition"], ["branch"], **branches),
        node("Abs", ["branch"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": (2,)}, ["y"], {"wanted": cases.i(2 if taken else 5)})
    samples = {"x": cases.f(-1, 5)}
    assert_all_close(run_converted(path, samples), [cases.f(3, 8) if taken else cases.f(0, 15)])


def test_is_nan_sees_nan(tmp_path):
    nodes = [node("Log", ["x"], ["l"]), node("IsNaN", ["l"], ["n"]), node("Where", ["n", "zero", "l"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, {"x": (3,)}, ["y"], {"zero": cases.f(0)})
    assert_all_close(run_converted(path, {"x": cases.f(-1, 1, np.e)}), [cases.f(0, 0, 1)])


@pytest.mark.parametrize(
    ("op", "constants", "attrs", "reason"),
    [
        ("Einsum", {}, {"equation": "ii->i"}, "diagonal"),
    ],
)
def test_products_that_are_refused(tmp_path, op, constants, attrs, reason):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (4, 4))
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    onnx.save(cases.model([node(op, ["x", *constants], ["y"], **attrs)], [x], ["y"], tensors, 14), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path / "m.onnx")
    (item,) = caught.value.items
    assert reason in item.reason
    assert item.fix
