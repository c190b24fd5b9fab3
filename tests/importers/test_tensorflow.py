"""The TensorFlow importer on graphs built by hand: it needs protobuf alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from reference_executor import ReferenceExecutor
from runtime_runs import assert_close, opened, run_by_name, step

from edgert.dtypes import DType
from edgert.errors import InputError, ModelError, UnsupportedError
from edgert.importers.tensorflow import load, load_saved_model
from edgert.importers.tensorflow.messages import message
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.fold_qdq import fold_qdq
from importers._tensorflow_graphs import HEADER, Function, Graph, Shape, Type, entry, table

RNG = np.random.default_rng(3)


@pytest.fixture
def imported(tmp_path):
    """imported(graph, ...) loads what the file of the graph holds."""

    def load_graph(graph, **options):
        path = tmp_path / "model.pb"
        path.write_bytes(graph.data())
        return load(path, **options)

    return load_graph


def real(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def convolved(x, w, stride=1, dilation=1):
    """Without padding: x [N,H,W,C], w [KH,KW,C,O]."""
    height, width = (
        (size - (k - 1) * dilation - 1) // stride + 1 for size, k in zip(x.shape[1:3], w.shape[:2], strict=True)
    )
    y = np.zeros((x.shape[0], height, width, w.shape[3]))
    for (i, j), tap in ((at, w[at]) for at in np.ndindex(w.shape[:2])):
        rows = slice(i * dilation, i * dilation + (height - 1) * stride + 1, stride)
        columns = slice(j * dilation, j * dilation + (width - 1) * stride + 1, stride)
        y += x[:, rows, columns].astype(np.float64) @ tap
    return y.astype(np.float32)


def conv_graph(weights, **attrs):
    graph = Graph()
    graph.input("image", -1, 8, 9, 3)
    graph.const("kernel", weights)
    graph.node("kernel/read", "Identity", "kernel")
    graph.node("conv", "Conv2D", "image", "kernel/read", strides=[1, 2, 2, 1], **attrs)
    return graph


def test_layers_keep_their_names_and_compute_what_they_say(imported):
    weights, bias, x = real(3, 3, 3, 5), real(5), real(1, 8, 9, 3)
    graph = conv_graph(weights, padding="VALID")
    graph.const("bias", bias)
    graph.node("conv/add", "BiasAdd", "conv", "bias", data_format="NHWC")
    graph.node("conv/relu", "Relu", "conv/add", "^image")
    made = imported(graph)
    assert [(value.name, value.shape) for value in made.inputs] == [("image", (1, 8, 9, 3))]
    assert [value.name for value in made.outputs] == ["conv/relu"]
    assert [(node.name, node.source) for node in made.nodes] == [
        ("conv", "Conv2D"), ("conv/add", "BiasAdd"), ("conv/relu", "Relu"),
    ]  # fmt: skip
    assert made.notes == ["Input 'image': the first dimension is dynamic, 1 is assumed."]
    wanted = np.maximum(convolved(x, weights, 2) + bias, 0)
    assert_close(run_by_name(made, {"image": x})["conv/relu"], wanted)


def test_channels_first(imported):
    weights, x = real(3, 3, 3, 4), real(1, 3, 8, 9)
    graph = Graph()
    graph.input("image", 1, 3, 8, 9)
    graph.const("kernel", weights)
    graph.node("conv", "Conv2D", "image", "kernel", strides=[1, 1, 2, 2], padding="VALID", data_format="NCHW")
    graph.const("bias", bias := real(4))
    graph.node("add", "BiasAdd", "conv", "bias", data_format="NCHW")
    graph.node("pool", "MaxPool", "add", ksize=[1, 1, 3, 4], strides=[1, 1, 1, 1], padding="VALID", data_format="NCHW")
    wanted = (convolved(x.transpose(0, 2, 3, 1), weights, 2) + bias).max((1, 2)).reshape(1, 4, 1, 1)
    assert_close(run_by_name(imported(graph), {"image": x})["pool"], wanted)


def test_explicit_padding_and_dilation(imported):
    weights, x = real(3, 2, 3, 4), real(1, 8, 9, 3)
    graph = Graph()
    graph.input("image", 1, 8, 9, 3)
    graph.const("kernel", weights)
    graph.node("conv", "Conv2D", "image", "kernel", strides=[1, 1, 1, 1], dilations=[1, 2, 2, 1], padding="EXPLICIT",
               explicit_paddings=[0, 0, 1, 2, 0, 3, 0, 0])  # fmt: skip
    padded = np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)))
    assert_close(run_by_name(imported(graph), {"image": x})["conv"], convolved(padded, weights, 1, 2))


def test_space_to_batch_around_a_convolution_is_a_dilated_one(imported):
    weights, x = real(3, 3, 3, 4), real(1, 8, 8, 3)
    graph = Graph()
    graph.input("image", 1, 8, 8, 3)
    graph.const("kernel", weights)
    graph.const("block", [2, 2])
    graph.const("pads", [[2, 2], [2, 2]])
    graph.const("crops", [[0, 0], [0, 0]])
    graph.node("batched", "SpaceToBatchND", "image", "block", "pads")
    graph.node("conv", "Conv2D", "batched", "kernel", strides=[1, 1, 1, 1], padding="VALID")
    graph.node("space", "BatchToSpaceND", "conv", "block", "crops")
    wanted = convolved(np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), weights, 1, 2)
    made = imported(graph)
    assert_close(run_by_name(made, {"image": x})["space"], wanted)
    assert [node.op for node in made.nodes] == ["conv2d"]
    assert made.nodes[0].attrs["dilation_h"] == made.nodes[0].attrs["dilation_w"] == 2


def test_shape_arithmetic_leaves_no_trace(imported):
    graph = Graph()
    graph.input("x", 2, 3, 4)
    graph.node("shape", "Shape", "x")
    graph.const("begin", [0])
    graph.const("end", [1])
    graph.const("one", [1])
    graph.node("batch", "StridedSlice", "shape", "begin", "end", "one", shrink_axis_mask=1)
    graph.const("rest", -1)
    graph.node("target", "Pack", "batch", "rest")
    graph.node("flat", "Reshape", "x", "target")
    made = imported(graph)
    assert [(node.op, node.output.shape) for node in made.nodes] == [("reshape", (2, 12))]


def test_open_dimensions_are_listed_and_settled_by_name(imported):
    graph = Graph()
    graph.input("a", -1, -1, 3)
    graph.node("b", "Placeholder", dtype=Type("float32"), shape=Shape(None))
    graph.node("sum", "AddV2", "a", "b")
    with pytest.raises(InputError, match=r"'a' \[\?, \?, 3\]; 'b' any") as caught:
        imported(graph)
    assert "--input-shape a=1,..." in str(caught.value)
    made = imported(graph, input_shapes={"a": (1, 5, 3), "b": (3,)})
    assert made.outputs[0].shape == (1, 5, 3)
    with pytest.raises(InputError, match="no input of the model"):
        imported(graph, input_shapes={"c": (1,)})


def test_cut_at_names(imported):
    """A tensor within the graph gets the shape and type that it has there."""
    graph = conv_graph(real(3, 3, 3, 5), padding="SAME")
    graph.node("relu", "Relu", "conv")
    graph.node("root", "Sqrt", "relu")
    graph.node("other", "Neg", "relu")
    made = imported(graph, inputs=["relu:0"], outputs=["other"])
    assert [(value.name, value.shape, value.dtype) for value in made.inputs] == [("relu", (1, 4, 5, 5), DType.FLOAT32)]
    assert [node.op for node in made.nodes] == ["unary"]
    for wrong in ({"inputs": ["missing"]}, {"outputs": ["missing:1"]}, {"outputs": []}):
        with pytest.raises(InputError):
            imported(graph, **wrong)


def test_placeholders_that_serve_training(imported):
    """A flag is False, a default holds, dropout passes on, and a batch normalisation by the batch is refused."""
    graph = Graph()
    graph.input("x", 1, 4)
    graph.input("training", dtype="bool")
    graph.const("one", 1.0)
    graph.node("keep", "PlaceholderWithDefault", "one", dtype=Type("float32"), shape=Shape(()))
    graph.node("scaled", "RealDiv", "x", "keep")
    graph.const("size", [1, 4])
    graph.node("drawn", "RandomUniform", "size", dtype=Type("float32"))
    graph.node("above", "AddV2", "drawn", "keep")
    graph.node("mask", "Floor", "above")
    graph.node("dropped", "Mul", "scaled", "mask")
    graph.node("switch", "Switch", "dropped", "training")
    graph.node("twice", "AddV2", "switch:1", "switch:1")
    graph.node("negative", "Neg", "switch")
    graph.node("merged", "Merge", "negative", "twice")
    graph.node("y", "Identity", "merged")
    x = real(1, 4)
    made = imported(graph)
    assert [value.name for value in made.inputs] == ["x"]
    assert any("'training'" in note for note in made.notes)
    assert any("'keep'" in note for note in made.notes)
    assert_close(run_by_name(made, {"x": x})["y"], -x)
    taken = imported(graph, constants={"training": np.array(True)})
    assert_close(run_by_name(taken, {"x": x})["y"], 2 * x)


def test_all_that_cannot_be_converted_is_told_at_once(imported):
    graph = Graph()
    graph.input("x", 1, 4)
    graph.node("fft", "FFT", "x")
    graph.node("hang", "Relu", "fft")
    graph.node("svd", "Svd", "hang")
    with pytest.raises(UnsupportedError) as caught:
        imported(graph)
    assert [(item.node, item.operator) for item in caught.value.items] == [("fft", "FFT"), ("svd", "Svd")]
    assert "outputs=[...]" in str(caught.value)
    assert imported(graph, inputs=["hang"], outputs=["hang"], input_shapes={"hang": (1, 4)}).outputs


# Front ends


def test_front_end_of_sound_is_cut_off(imported):
    """Shapes follow from the attributes: 1 + (16000 - 480) / 160 frames."""
    graph = Graph()
    graph.input("wav", dtype="string")
    graph.node("decoded", "DecodeWav", "wav", desired_samples=16000, desired_channels=1)
    graph.node("spectrum", "AudioSpectrogram", "decoded", window_size=480, stride=160, magnitude_squared=True)
    graph.node("features", "Mfcc", "spectrum", "decoded:1", dct_coefficient_count=20)
    graph.node("y", "Relu", "features")
    made = imported(graph)
    assert [(value.name, value.shape) for value in made.inputs] == [("features", (1, 98, 20))]
    assert any("Mfcc does not run here" in note for note in made.notes)
    spectrum = imported(graph, inputs=["decoded"], outputs=["decoded"], input_shapes={"decoded": (16000, 1)})
    assert spectrum.inputs[0].shape == (16000, 1)


def test_front_end_of_images_asks_for_the_size(imported):
    graph = Graph()
    graph.input("jpeg", dtype="string")
    graph.node("decode", "DecodeJpeg", "jpeg", channels=3)
    graph.node("image", "Cast", "decode", SrcT=Type("uint8"), DstT=Type("float32"))
    with pytest.raises(InputError, match=r"'decode' \[\?, \?, 3\]"):
        imported(graph)
    made = imported(graph, input_shapes={"decode": (6, 7, 3)})
    assert (made.inputs[0].dtype, made.outputs[0].shape) == (DType.UINT8, (6, 7, 3))


# Functions, branches, loops


def test_functions_are_entered(imported):
    """Outputs are read by name; names say which call they stand in, less what says nothing."""
    graph = Graph()
    graph.input("x", 2, 4)
    inner = graph.function("halves", {"v": "float32"}, {"low": "parts:output:0", "high": "parts:output:1"})
    graph.const("axis", 1, into=inner)
    graph.node("parts", "Split", "axis:output:0", "v", into=inner, num_split=2)
    outer = graph.function("difference", {"v": "float32"}, {"d": "sub:z:0"})
    graph.node("call", "PartitionedCall", "v", into=outer, f=Function("halves"))
    graph.node("sub", "Sub", "call:output:1", "call:output:0", into=outer)
    graph.node("block/StatefulPartitionedCall", "StatefulPartitionedCall", "x", f=Function("difference"))
    graph.node("y", "Identity", "block/StatefulPartitionedCall")
    made = imported(graph)
    x = real(2, 4)
    assert {node.name for node in made.nodes} == {"block/call/parts", "block/sub"}
    assert_close(run_by_name(made, {"x": x})["y"], x[:, 2:] - x[:, :2])


def loop_graph(limit):
    """y = x * 2 ** limit, by a While that counts."""
    graph = Graph()
    graph.input("x", 3)
    going = graph.function("going", {"i": "int32", "v": "float32"}, {"go": "less:z:0"})
    graph.const("limit", limit, into=going)
    graph.node("less", "Less", "i", "limit:output:0", into=going)
    body = graph.function("body", {"i": "int32", "v": "float32"}, {"next": "add:z:0", "w": "double:z:0"})
    graph.const("one", 1, into=body)
    graph.node("add", "AddV2", "i", "one:output:0", into=body)
    graph.node("double", "AddV2", "v", "v", into=body)
    graph.const("zero", 0)
    graph.node("loop", "StatelessWhile", "zero", "x", cond=Function("going"), body=Function("body"))
    graph.node("y", "Identity", "loop:1")
    return graph


def test_loops_of_known_length_unroll(imported):
    x = real(3)
    made = imported(loop_graph(3), outputs=["y"])
    assert [node.name for node in made.nodes] == ["loop/0/double", "loop/1/double", "loop/2/double"]
    assert_close(run_by_name(made, {"x": x})["y"], 8 * x)


def test_loops_of_unknown_length_are_refused(imported):
    graph = loop_graph(3)
    graph.input("start", dtype="int32")
    loop = next(node for node in graph.proto.node if node.name == "loop")
    loop.input[0] = "start"
    with pytest.raises(UnsupportedError, match="how often it runs depends on the data"):
        imported(graph)


def branch_graph(*condition):
    graph = Graph()
    graph.input("x", 3)
    for name, op in (("yes", "Neg"), ("no", "Square")):
        branch = graph.function(name, {"v": "float32"}, {"r": "r:y:0"})
        graph.node("r", op, "v", into=branch)
    graph.node("y", "If", *condition, "x", then_branch=Function("yes"), else_branch=Function("no"))
    return graph


def test_branches(imported):
    x = real(3)
    graph = branch_graph("flag")
    graph.const("flag", np.array(True))
    assert_close(run_by_name(imported(graph), {"x": x})["y"], -x)
    graph = branch_graph("flag")
    graph.input("given", 1, dtype="float32")
    graph.const("zero", 0.0)
    graph.node("above", "Greater", "given", "zero")
    graph.const("scalar", np.zeros(0, np.int32))
    graph.node("flag", "Reshape", "above", "scalar")
    for number, wanted in ((1.0, -x), (-1.0, x * x)):
        made = run_by_name(imported(graph), {"x": x, "given": np.array([number], np.float32)})["y"]
        assert_close(made, wanted)


def test_loop_of_tensorflow_1(imported):
    """Enter, Merge, Switch, NextIteration, Exit, and a TensorArray that the loop fills."""
    graph = Graph()
    graph.input("x", 3)
    graph.const("zero", 0)
    graph.const("count", 3)
    graph.node("array", "TensorArrayV3", "count", dtype=Type("float32"))
    frame = {"frame_name": "loop"}
    graph.node("enter_i", "Enter", "zero", **frame)
    graph.node("enter_flow", "Enter", "array:1", **frame)
    graph.node("enter_x", "Enter", "x", is_constant=True, **frame)
    graph.node("enter_handle", "Enter", "array", is_constant=True, **frame)
    graph.node("enter_count", "Enter", "count", is_constant=True, **frame)
    for name in ("i", "flow"):
        graph.node(f"merge_{name}", "Merge", f"enter_{name}", f"next_{name}")
        graph.node(f"switch_{name}", "Switch", f"merge_{name}", "loop_cond")
        graph.node(f"exit_{name}", "Exit", f"switch_{name}")
    graph.node("less", "Less", "merge_i", "enter_count")
    graph.node("loop_cond", "LoopCond", "less")
    graph.const("one", 1)
    graph.node("add", "Add", "switch_i:1", "one")
    graph.node("number", "Cast", "switch_i:1", SrcT=Type("int32"), DstT=Type("float32"))
    graph.node("item", "Mul", "enter_x", "number")
    graph.node("write", "TensorArrayWriteV3", "enter_handle", "switch_i:1", "item", "switch_flow:1")
    graph.node("next_i", "NextIteration", "add")
    graph.node("next_flow", "NextIteration", "write")
    graph.const("all", [0, 1, 2])
    graph.node("y", "TensorArrayGatherV3", "array", "all", "exit_flow")
    x = real(3)
    made = imported(graph)
    assert [value.name for value in made.outputs] == ["y"]
    assert_close(run_by_name(made, {"x": x})["y"], np.stack([0 * x, x, 2 * x]))


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_loop_over_a_list_is_a_recurrent_layer_where_it_computes_one(imported, decay):
    """h = tanh([x, h] w + bias), or with a decay that no layer has: then it unrolls."""
    steps, weights, bias, x = 6, real(5, 3), real(3), real(6, 1, 2)
    graph = Graph()
    graph.input("x", steps, 1, 2)
    kinds = {"i": "int32", "list": "variant", "h": "float32", "out": "variant"}
    going = graph.function("going", kinds, {"go": "less:z:0"})
    graph.const("limit", steps, into=going)
    graph.node("less", "Less", "i", "limit:output:0", into=going)
    after = {"next": "add:z:0", "same": "list", "state": "tanh:y:0", "kept": "set:output_handle:0"}
    body = graph.function("body", kinds, after)
    for name, value in (("one", 1), ("axis", 1), ("shape", [1, 2]), ("w", weights), ("bias", bias), ("decay", decay)):
        graph.const(name, value, into=body)
    graph.node("add", "AddV2", "i", "one:output:0", into=body)
    element = {"element_dtype": Type("float32")}
    graph.node("item", "TensorListGetItem", "list", "i", "shape:output:0", into=body, **element)
    graph.node("faded", "Mul", "h", "decay:output:0", into=body)
    state = "h" if decay == 1 else "faded:z:0"
    graph.node("joined", "ConcatV2", "item:item:0", state, "axis:output:0", into=body)
    graph.node("product", "MatMul", "joined:output:0", "w:output:0", into=body)
    graph.node("sum", "BiasAdd", "product:product:0", "bias:output:0", into=body)
    graph.node("tanh", "Tanh", "sum:output:0", into=body)
    graph.node("set", "TensorListSetItem", "out", "i", "tanh:y:0", into=body, **element)
    graph.const("item_shape", [1, 2])
    graph.const("state_shape", [1, 3])
    graph.const("count", steps)
    graph.const("zero", 0)
    graph.const("start", np.zeros((1, 3), np.float32))
    graph.node("read", "TensorListFromTensor", "x", "item_shape", **element)
    graph.node("reserved", "TensorListReserve", "state_shape", "count", **element)
    graph.node("loop", "While", "zero", "read", "start", "reserved", cond=Function("going"), body=Function("body"))
    graph.node("y", "TensorListStack", "loop:3", "state_shape", **element)
    graph.node("last", "Identity", "loop:2")
    made = imported(graph, outputs=["y", "last"])
    assert ("rnn" in {node.op for node in made.nodes}) == (decay == 1)
    h, wanted = np.zeros((1, 3), np.float32), []
    for item in x:
        h = np.tanh(np.concatenate([item, decay * h], 1) @ weights + bias)
        wanted.append(h)
    results = run_by_name(made, {"x": x})
    assert_close(results["y"], np.stack(wanted))
    assert_close(results["last"], h)


# Quantisation-aware training


def test_fake_quantised_layers_become_int8_with_their_scales(imported):
    weights, x = real(3, 3, 3, 4), real(1, 8, 9, 3)
    graph = Graph()
    graph.input("image", 1, 8, 9, 3)
    graph.node("image/quant", "FakeQuantWithMinMaxArgs", "image", min=-1.0, max=127 / 128, num_bits=8)
    graph.const("kernel", weights)
    reach = np.abs(weights).max((0, 1, 2))
    graph.const("low", -reach)
    graph.const("high", reach)
    per_channel = "FakeQuantWithMinMaxVarsPerChannel"
    graph.node("kernel/quant", per_channel, "kernel", "low", "high", num_bits=8, narrow_range=True)
    graph.node("conv", "Conv2D", "image/quant", "kernel/quant", strides=[1, 1, 1, 1], padding="VALID")
    graph.const("least", -4.0)
    graph.const("most", 127 / 32)
    graph.node("y", "FakeQuantWithMinMaxVars", "conv", "least", "most", num_bits=8)
    made = imported(graph)
    exact = np.round(weights / (reach / 127)) * (reach / 127)
    steps = np.clip(np.round(x * 128), -128, 127) / 128
    wanted = np.clip(np.round(convolved(steps.astype(np.float32), exact) * 32), -128, 127) / 32
    (result,) = ReferenceExecutor(made).run(x)
    assert np.abs(result - wanted).max() <= 1 / 32  # a step, where a tie goes the other way
    assert np.mean(np.abs(result - wanted) > 1e-5) < 0.01
    while fold_qdq(made):
        remove_dead_code(made)
    (conv,) = (node for node in made.nodes if node.op == "conv2d")
    image, kernel = conv.inputs[:2]
    assert (conv.output.quant.scale, conv.output.quant.zero_point) == (1 / 32, 0)
    assert conv.output.dtype == image.dtype == kernel.dtype == DType.INT8
    assert (image.quant.scale, image.quant.zero_point) == (1 / 128, 0)
    np.testing.assert_allclose(kernel.quant.scales, reach / 127, rtol=1e-6)
    assert kernel.quant.zero_points == (0,) * 4
    assert_close(run_by_name(made, {"image": x})["y"], result, 1 / 32 / 3)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_fake_quantisation_of_an_activation(imported, bits):
    """The formula of the kernel: the range is moved until 0 is exact. 16 bits are only limited to it."""
    low, high, x = -0.5, 2.0, np.linspace(-1, 3, 41, dtype=np.float32)
    graph = Graph()
    graph.input("x", 41)
    graph.node("y", "FakeQuantWithMinMaxArgs", "x", min=low, max=high, num_bits=bits)
    scale = (high - low) / (2**bits - 1)
    zero = np.round(-low / scale)
    limited = np.clip(x, -zero * scale, (2**bits - 1 - zero) * scale)
    wanted = np.round(limited / scale) * scale if bits < 16 else limited
    made = run_by_name(imported(graph), {"x": x})["y"]
    off = np.abs(made - wanted)
    assert off.max() <= scale * 1.01  # a tie may go the other way
    assert np.mean(off > 1e-5) <= 0.1


# SavedModels


def test_saved_model_errors(tmp_path):
    with pytest.raises(InputError, match=r"no saved_model\.pb"):
        load_saved_model(tmp_path)
    model = message("SavedModel")()
    meta = model.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    graph = Graph()
    graph.input("serving_x", 1, 4)
    graph.node("y", "Relu", "serving_x")
    meta.graph_def.CopyFrom(graph.proto)
    signature = meta.signature_def["classify"]
    signature.inputs["x"].name = "serving_x:0"
    signature.outputs["scores"].name = "y:0"
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    made = load(tmp_path)
    assert ([value.name for value in made.inputs], [value.name for value in made.outputs]) == (["x"], ["scores"])
    assert load(tmp_path / "saved_model.pb").outputs[0].name == "scores"
    with pytest.raises(InputError, match=r"no signature 'other' .*classify"):
        load_saved_model(tmp_path, signature="other")
    with pytest.raises(InputError, match=r"no graph has the tags train; there are: serve"):
        load_saved_model(tmp_path, tags=["train"])


def test_variables_that_are_written_live_between_invokes(tmp_path):
    """total = total + x, read after it was written; what was read before stays."""
    graph = Graph()
    graph.input("x", 3)
    graph.node("total", "VarHandleOp", shared_name="total", dtype=Type("float32"), shape=Shape((3,)))
    body = graph.function("step", {"x": "float32", "v": "resource"}, {"sum": "after:value:0", "old": "before:value:0"})
    kind = {"dtype": Type("float32")}
    graph.node("before", "ReadVariableOp", "v", into=body, **kind)
    graph.node("write", "AssignAddVariableOp", "v", "x", "^before", into=body, **kind)
    graph.node("after", "ReadVariableOp", "v", "^write", into=body, **kind)
    graph.node("call", "StatefulPartitionedCall", "x", "total", f=Function("step"))
    model = message("SavedModel")()
    meta = model.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.graph_def.CopyFrom(graph.proto)
    signature = meta.signature_def["serving_default"]
    signature.inputs["x"].name = "x:0"
    signature.outputs["sum"].name, signature.outputs["old"].name = "call:0", "call:1"
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    start, x = np.array([1, 2, 3], np.float32), real(3)
    index = table({**HEADER, b"total": entry(3, size=12)})
    (tmp_path / "variables" / "variables.index").write_bytes(index)
    (tmp_path / "variables" / "variables.data-00000-of-00001").write_bytes(start.tobytes())
    interpreter = opened(load(tmp_path))
    names = [item["name"] for item in interpreter.get_output_details()]
    for count in range(3):
        made = dict(zip(names, step(interpreter, [x]), strict=True))
        assert_close(made["old"], start + count * x)
        assert_close(made["sum"], start + (count + 1) * x)


def test_reading_a_graph_needs_no_tensorflow():
    code = "import sys; from edgert.importers import tensorflow; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_function_must_be_one():
    from edgert.importers.tensorflow import load_function

    with pytest.raises(InputError, match="no concrete function"):
        load_function("model")


def test_damaged_graphs_say_what_is_wrong(imported):
    graph = Graph()
    graph.input("x", 1, 4)
    graph.node("y", "Relu", "nothing")
    with pytest.raises(ModelError, match="reads 'nothing', which is no node"):
        imported(graph)
