"""Control flow and functions of ONNX models, which the conversion takes apart: outputs as onnxruntime has them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_runs import assert_all_close, run_converted

from edgert.errors import InputError, UnsupportedError
from edgert.importers.onnx import load
from importers._onnx_run import run_onnxruntime

node = helper.make_node
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
X = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)


def value(name, shape=None, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def graph(name, nodes, inputs=(), outputs=(), **constants):
    tensors = [numpy_helper.from_array(np.asarray(array), key) for key, array in constants.items()]
    return helper.make_graph(list(nodes), name, list(inputs), list(outputs), tensors)


def model(main, functions=(), opset=17):
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(main, opset_imports=opsets, functions=list(functions), ir_version=9)


def same(tmp_path, made, samples=None):
    """The converted model's outputs, equal to onnxruntime's."""
    path = tmp_path / "m.onnx"
    onnx.save(made, path)
    samples = samples or {"x": X}
    ours = run_converted(path, samples)
    assert_all_close(ours, run_onnxruntime(made, samples))
    return load(path)


def test_a_function_of_the_model(tmp_path):
    """Attributes of the call and defaults; the same function twice; functions within functions."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    leaky = node("LeakyRelu", ["a"], ["t"])
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    inner = helper.make_function(
        "own", "Bent", ["a", "b"], ["r"], [leaky, node("Add", ["t", "b"], ["r"])], opsets, attributes=["slope"]
    )
    calls = [node("Bent", ["a", "a"], ["t"], domain="own", slope=0.5), node("Bent", ["t", "a"], ["r"], domain="own",
             slope=0.1)]  # fmt: skip
    outer = helper.make_function("own", "Twice", ["a"], ["r"], calls, opsets)
    nodes = [node("Twice", ["x"], ["t"], "first", domain="own"), node("Twice", ["t"], ["y"], "second", domain="own")]
    converted = same(tmp_path, model(graph("g", nodes, [value("x", (4, 3))], [value("y")]), [inner, outer]))
    assert [part.op for part in converted.nodes] == ["unary", "add"] * 4
    assert len({value.name for value in converted.values()}) == len(list(converted.values()))


def test_a_branch_within_a_loop(tmp_path):
    """The branch depends on the round, reads values of the loop and of the graph around it, and has weights."""
    taken = graph("then", [node("Mul", ["c", "w"], ["r"])], [], [value("r")], w=np.float32([2, 3, 4]))
    other = graph("else", [node("Add", ["c", "x"], ["r"])], [], [value("r")])
    body = graph(
        "body",
        [
            node("Identity", ["go"], ["go_on"]),
            node("Mod", ["i", "two"], ["odd"]),
            node("Cast", ["odd"], ["is_odd"], to=BOOL),
            node("If", ["is_odd"], ["c_out"], then_branch=taken, else_branch=other),
            node("ReduceSum", ["c_out", "axis"], ["total"], keepdims=0),
        ],
        [value("i", [], INT64), value("go", [], BOOL), value("c")],
        [value("go_on", [], BOOL), value("c_out"), value("total")],
        two=np.int64(2),
        axis=np.int64([1]),
    )
    loop = node("Loop", ["rounds", "go"], ["y", "totals"], body=body)
    loop.input.append("x")
    outputs = [value("y"), value("totals")]
    main = graph("g", [loop], [value("x", (4, 3))], outputs, rounds=np.int64(5), go=np.asarray(True))
    same(tmp_path, model(main))


def test_a_branch_that_depends_on_the_data(tmp_path):
    """Both are computed where they give tensors of one shape, and a note says so; others are refused."""
    branches = {
        "then_branch": graph("then", [node("Relu", ["x"], ["a"])], [], [value("a")]),
        "else_branch": graph("else", [node("Neg", ["x"], ["b"])], [], [value("b")]),
    }
    nodes = [
        node("ReduceSum", ["x"], ["total"], keepdims=0),
        node("Greater", ["total", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], "choice", **branches),
    ]
    made = model(graph("g", nodes, [value("x", (4, 3))], [value("y")], zero=np.float32(0)))
    for sample in (np.abs(X), -np.abs(X)):
        converted = same(tmp_path, made, {"x": sample})
    assert converted.notes == ["If 'choice': its condition depends on the data, so both branches are computed."]
    other = graph("else", [node("ReduceSum", ["x"], ["b"], keepdims=0)], [], [value("b")])
    nodes[-1] = node("If", ["positive"], ["y"], "choice", then_branch=branches["then_branch"], else_branch=other)
    onnx.save(model(graph("g", nodes, [value("x", (4, 3))], [value("y")], zero=np.float32(0))), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError, match="different shapes"):
        load(tmp_path / "m.onnx")


def test_what_a_loop_cannot_do_is_said_once(tmp_path):
    body = graph(
        "body",
        [node("Identity", ["go"], ["go_on"]), node("Bernoulli", ["x"], ["c_out"], "dice")],
        [value("i", [], INT64), value("go", [], BOOL), value("c")],
        [value("go_on", [], BOOL), value("c_out")],
    )
    loop = node("Loop", ["rounds", "go", "x"], ["y"], body=body)
    constants = {"rounds": np.int64(100), "go": np.asarray(True)}
    onnx.save(model(graph("g", [loop], [value("x", (4, 3))], [value("y")], **constants)), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path / "m.onnx")
    assert [item.operator for item in caught.value.items] == ["Bernoulli"]


def test_a_loop_that_ends_by_its_condition(tmp_path):
    body = graph(
        "body",
        [
            node("Less", ["i", "three"], ["go_on"]),
            node("Add", ["c", "x"], ["c_out"]),
        ],
        [value("i", [], INT64), value("go", [], BOOL), value("c")],
        [value("go_on", [], BOOL), value("c_out")],
        three=np.int64(3),
    )
    loop = node("Loop", ["", "go", "x"], ["y"], body=body)
    same(tmp_path, model(graph("g", [loop], [value("x", (4, 3))], [value("y")], go=np.asarray(True))))


def test_a_loop_whose_end_depends_on_the_data(tmp_path):
    body = graph(
        "body",
        [
            node("ReduceSum", ["c"], ["total"], keepdims=0),
            node("Less", ["total", "limit"], ["go_on"]),
            node("Add", ["c", "c"], ["c_out"]),
        ],
        [value("i", [], INT64), value("go", [], BOOL), value("c")],
        [value("go_on", [], BOOL), value("c_out")],
        limit=np.float32(100),
    )
    loop = node("Loop", ["", "go", "x"], ["y"], "loop", body=body)
    onnx.save(model(graph("g", [loop], [value("x", (4, 3))], [value("y")], go=np.asarray(True))), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path / "m.onnx")
    (item,) = caught.value.items
    assert (item.node, item.operator) == ("loop", "Loop")
    assert "depends on the data" in item.reason


@pytest.mark.parametrize(("inwards", "outwards", "axis"), [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1)])
def test_scan(tmp_path, inwards, outwards, axis):
    """A running sum, forwards and backwards, with its slices joined along either axis."""
    body = graph(
        "body",
        [node("Add", ["s", "part"], ["s_out"]), node("Mul", ["s_out", "part"], ["row"])],
        [value("s", (3,)), value("part", (3,))],
        [value("s_out", (3,)), value("row", (3,))],
    )
    scan = node(
        "Scan", ["start", "x"], ["end", "y"], body=body, num_scan_inputs=1, scan_input_directions=[inwards],
        scan_output_directions=[outwards], scan_output_axes=[axis],
    )  # fmt: skip
    main = graph("g", [scan], [value("x", (4, 3))], [value("end"), value("y")], start=np.zeros(3, np.float32))
    same(tmp_path, model(main))


def test_sequences(tmp_path):
    """Split, changed, mapped and joined: what is left are slices, arithmetic and a concat."""
    body = graph("body", [node("Neg", ["item"], ["changed"])], [value("item")], [value("changed")])
    nodes = [
        node("SplitToSequence", ["x", "sizes"], ["parts"], axis=0),
        node("SequenceInsert", ["parts", "x", "at"], ["more"]),
        node("SequenceErase", ["more", "first"], ["fewer"]),
        node("SequenceMap", ["fewer"], ["mapped"], body=body),
        node("SequenceLength", ["mapped"], ["count"]),
        node("SequenceAt", ["mapped", "last"], ["item"]),
        node("ConcatFromSequence", ["mapped"], ["joined"], axis=0),
        node("Mul", ["joined", "factor"], ["y"]),
    ]
    constants = {"sizes": np.int64([1, 3]), "at": np.int64(1), "first": np.int64(0), "last": np.int64(-1)}
    outputs = [value("y"), value("item"), value("count", [], INT64)]
    main = graph("g", nodes, [value("x", (4, 3))], outputs, **constants, factor=np.float32(3))
    same(tmp_path, model(main))


def test_constants_given_at_conversion(tmp_path):
    """A rate that decides a branch, as speech models have it; what does not fit is refused."""
    branches = {
        name: graph(name, [node(op, ["x"], [f"{name}_r"])], [], [value(f"{name}_r")])
        for name, op in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    nodes = [node("Equal", ["rate", "fast"], ["is_fast"]), node("If", ["is_fast"], ["y"], **branches)]
    inputs = [value("x", (4, 3)), value("rate", [], INT64)]
    path = tmp_path / "m.onnx"
    onnx.save(model(graph("g", nodes, inputs, [value("y")], fast=np.int64(16000))), path)
    assert "select" in [part.op for part in load(path).nodes]  # both branches, without knowing the rate
    for rate, function in ((16000, "RELU"), (8000, "NEG")):
        converted = load(path, constants={"rate": np.asarray(rate, np.int64)})
        assert [item.name for item in converted.inputs] == ["x"]
        assert [part.attrs["function"].name for part in converted.nodes] == [function]
    for wrong, text in (
        ({"speed": np.int64(1)}, "no input of the model"),
        ({"rate": np.int64([1, 2])}, "the shape"),
        ({"rate": np.float32(1)}, "float32"),
    ):
        with pytest.raises(InputError, match=text):
            load(path, constants=wrong)
