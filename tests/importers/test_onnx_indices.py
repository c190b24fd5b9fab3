"""ONNX operators that index, select and detect, with inputs that only the run knows, against onnxruntime.

ONNX's own cases (conformance/) hold the meaning of every attribute; here are older operator sets, sizes, types and
what stands around such operators in models.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_runs import assert_all_close, run_converted

import edgert
from edgert.compile import convert
from edgert.errors import EdgertError, InvokeError, UnsupportedError
from edgert.importers.onnx import load

from ._onnx_cases import model as make_model
from ._onnx_run import run_onnxruntime

rng = np.random.default_rng(3)


def real(*shape: int, low: float = -3, high: float = 3) -> np.ndarray:
    return rng.uniform(low, high, shape).astype(np.float32)


def whole(*shape: int, low: int, high: int, dtype: str = "int64") -> np.ndarray:
    return rng.integers(low, high, shape).astype(dtype)


def boxes(*shape: int) -> np.ndarray:
    corner = rng.uniform(0, 3, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(-1, 1, (*shape, 2))], -1).astype(np.float32)


def fixed(*numbers: float, dtype: str = "int64") -> tuple[np.ndarray]:
    """A constant input."""
    return (np.asarray(numbers, dtype),)


Inputs = tuple[Any, ...]  # arrays that are fed; in a tuple, constants
CASES: list[tuple[str, int, Inputs, dict[str, Any], int]] = [
    ("TopK", 7, (real(3, 9),), {"k": 4}, 2),
    ("TopK", 10, (real(3, 9, 2), fixed(5)), {"axis": 1}, 2),
    ("TopK", 11, (real(3, 9), fixed(3)), {"largest": 0, "sorted": 1}, 2),
    ("TopK", 11, (whole(3, 9, low=-4, high=4), fixed(9)), {"axis": 1}, 2),
    ("TopK", 11, (whole(3, 9, low=-4, high=4, dtype="int32"), fixed(2)), {"axis": 0, "largest": 0}, 2),
    ("TopK", 11, (real(2, 5000), fixed(300)), {}, 2),
    ("CumSum", 11, (real(3, 9), fixed(1)), {"exclusive": 1}, 1),
    ("CumSum", 14, (whole(3, 9, low=-4, high=9), fixed(-2)), {"reverse": 1}, 1),
    ("CumSum", 14, (real(4000, 3), fixed(0)), {}, 1),
    ("GatherND", 11, (real(3, 4, 5), whole(6, 2, low=-3, high=3)), {}, 1),
    ("GatherND", 12, (real(3, 4, 5), whole(3, 2, 1, low=-4, high=4)), {"batch_dims": 1}, 1),
    ("GatherND", 13, (whole(3, 4, low=0, high=2).astype(bool), whole(5, 2, low=0, high=3)), {}, 1),
    ("GatherND", 13, (real(2, 3, 4), (whole(2, 3, 1, low=-3, high=3),)), {"batch_dims": 1}, 1),
    ("GatherElements", 11, (real(3, 4, 5), whole(3, 7, 5, low=-4, high=4)), {"axis": 1}, 1),
    ("GatherElements", 13, (whole(3, 4, low=0, high=9), whole(2, 4, low=0, high=3, dtype="int32")), {}, 1),
    ("Scatter", 9, (real(3, 4), whole(2, 3, low=0, high=3), real(2, 3)), {"axis": 0}, 1),
    ("ScatterElements", 11, (real(3, 4), whole(3, 2, low=-4, high=4), real(3, 2)), {"axis": 1}, 1),
    ("ScatterElements", 16, (real(3, 4), whole(3, 9, low=-4, high=4), real(3, 9)), {"axis": 1, "reduction": "mul"}, 1),
    ("ScatterElements", 18, (real(3, 4), whole(3, 9, low=-4, high=4), real(3, 9)), {"axis": 1, "reduction": "min"}, 1),
    ("ScatterND", 11, (real(4, 3), (np.array([[1], [3]]),), real(2, 3)), {}, 1),
    ("ScatterND", 16, (real(4, 3), whole(9, 2, low=-3, high=3), real(9)), {"reduction": "add"}, 1),
    ("ScatterND", 18, (whole(4, 3, low=0, high=9), whole(9, 1, low=0, high=4), whole(9, 3, low=0, high=9)),
     {"reduction": "max"}, 1),
    ("OneHot", 9, (whole(2, 3, low=-5, high=5), fixed(5), (np.array([0, 1], np.float32),)), {}, 1),
    ("OneHot", 11, (whole(2, 3, low=-8, high=8), fixed(6), fixed(7, 9)), {"axis": 1}, 1),
    ("OneHot", 11, (np.array([1.0, 4.0, -1.0], np.float32), fixed(6, dtype="float32"), (real(2),)), {"axis": 0}, 1),
    ("ReverseSequence", 10, (real(5, 3, 2), np.array([1, 5, 2])), {}, 1),
    ("ReverseSequence", 10, (real(3, 5, 2), np.array([1, 5, 2])), {"batch_axis": 0, "time_axis": 1}, 1),
    ("Compress", 9, (real(3, 5), (np.array([True, False, True]),)), {"axis": 0}, 1),
    ("Compress", 11, (real(3, 5), (np.arange(10) % 3 == 0,)), {}, 1),
    ("Gather", 11, (whole(4, 3, low=0, high=2).astype(bool), whole(2, 2, low=-4, high=4)), {"axis": 0}, 1),
    ("GridSample", 16, (real(2, 3, 6, 7), real(2, 4, 5, 2, low=-1.4, high=1.4)), {"mode": "bilinear"}, 1),
    ("GridSample", 20, (real(1, 2, 6, 7), real(1, 4, 5, 2, low=-2, high=2)), {"padding_mode": "reflection"}, 1),
    ("GridSample", 20, (real(1, 2, 6, 7), real(1, 4, 5, 2, low=-4, high=4)),
     {"padding_mode": "reflection", "align_corners": 1, "mode": "nearest"}, 1),
    ("GridSample", 20, (real(1, 2, 6, 7), real(1, 4, 5, 2, low=-1.1, high=1.1)), {"mode": "cubic"}, 1),
    ("GridSample", 20, (real(1, 2, 6, 7), real(1, 4, 5, 2, low=-1.1, high=1.1)),
     {"mode": "cubic", "padding_mode": "reflection"}, 1),
    ("GridSample", 20, (real(1, 2, 1, 7), real(1, 4, 5, 2, low=-3, high=3)),
     {"padding_mode": "border", "align_corners": 1}, 1),
    ("GridSample", 20, (real(2, 2, 4, 5, 6), real(2, 3, 4, 2, 3, low=-1.2, high=1.2)), {}, 1),
    ("RoiAlign", 10, (real(2, 3, 9, 8), np.array([[0, 0, 5, 5], [2, 3, 20, 30], [-4, -4, 3, 3]], np.float32),
                      np.array([0, 1, 1])), {"output_height": 3, "output_width": 4, "sampling_ratio": 2}, 1),
    ("RoiAlign", 16, (real(1, 3, 9, 8), np.array([[1, 1, 12, 14]], np.float32), np.array([0])),
     {"output_height": 2, "output_width": 2, "sampling_ratio": 3, "spatial_scale": 0.5}, 1),
]  # fmt: skip


def build(op: str, opset: int, inputs: Inputs, attrs: Mapping[str, Any], outputs: int) -> tuple[Any, dict[str, Any]]:
    """The model of one operator, and what it is fed."""
    infos, constants, fed = [], [], {}
    for index, item in enumerate(inputs):
        name = f"in{index}"
        if isinstance(item, tuple):
            constants.append(numpy_helper.from_array(item[0], name))
        else:
            infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(item.dtype), item.shape))
            fed[name] = item
    names = [f"in{index}" for index in range(len(inputs))]
    results = [f"out{index}" for index in range(outputs)]
    node = helper.make_node(op, names, results, name="node", **attrs)
    return make_model([node], infos, results, constants, opset), fed


def label(case: tuple[str, int, Inputs, dict[str, Any], int]) -> str:
    return "-".join([case[0], str(case[1]), *(f"{key}={value}" for key, value in case[3].items())])


@pytest.mark.parametrize("case", CASES, ids=label)
def test_as_in_onnxruntime(case, tmp_path):
    model, fed = build(*case)
    onnx.save(model, tmp_path / "m.onnx")
    assert_all_close(run_converted(tmp_path / "m.onnx", fed), run_onnxruntime(model, fed))


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("fixed_thresholds", [False, True])
def test_non_max_suppression(center, fixed_thresholds, tmp_path):
    """The rows that onnxruntime gives, and -1 in those behind them; the graph's notes tell."""
    thresholds = np.array([0.3], np.float32), np.array([0.4], np.float32)
    inputs = (boxes(2, 40), real(2, 3, 40, low=0, high=1), fixed(6))
    inputs += tuple((item,) for item in thresholds) if fixed_thresholds else thresholds
    model, fed = build("NonMaxSuppression", 11, inputs, {"center_point_box": center}, 1)
    onnx.save(model, tmp_path / "m.onnx")
    (ours,), (theirs,) = run_converted(tmp_path / "m.onnx", fed), run_onnxruntime(model, fed)
    assert ours.dtype == theirs.dtype
    assert ours.shape == (2 * 3 * 6, 3)
    np.testing.assert_array_equal(ours[: len(theirs)], theirs)
    assert (ours[len(theirs) :] == -1).all()
    assert any("always has 36 rows" in note for note in load(tmp_path / "m.onnx").notes)


def test_detector_head(tmp_path):
    """What exporters write behind a detector: NMS, then the boxes and scores of what it selected."""
    constants = {"most": np.array([5]), "iou": np.array([0.5], np.float32), "least": np.array([0.2], np.float32),
                 "box": np.array([0, 2]), "one": np.array([1])}  # fmt: skip
    nodes = [
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["selected"]),
        helper.make_node("Gather", ["selected", "box"], ["pairs"], axis=1),
        helper.make_node("GatherND", ["boxes", "pairs"], ["found"]),
        helper.make_node("GatherND", ["scores", "selected"], ["marks"]),
    ]
    infos = [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, (1, 30, 4)),
             helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 2, 30))]  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = make_model(nodes, infos, ["found", "marks"], tensors, 13)
    onnx.save(model, tmp_path / "m.onnx")
    fed = {"boxes": boxes(1, 30), "scores": real(1, 2, 30, low=0, high=1)}
    ours, theirs = run_converted(tmp_path / "m.onnx", fed), run_onnxruntime(model, fed)
    count = len(theirs[0])
    assert 0 < count <= 10
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our[:count], their)


def test_quantised_model_selects_in_int8(tmp_path):
    """QDQ around TopK and GatherElements: they move int8, as the file of the converted model shows."""
    constants = {"s": np.float32(0.05), "z": np.int8(3), "k": np.array([4])}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("TopK", ["d", "k"], ["v", "i"]),
        helper.make_node("GatherElements", ["d", "i"], ["g"], axis=1),
        helper.make_node("QuantizeLinear", ["g", "s", "z"], ["gq"]),
        helper.make_node("DequantizeLinear", ["gq", "s", "z"], ["y"]),
    ]
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 20))
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    model = make_model(nodes, [info], ["v", "y"], tensors, 13)
    onnx.save(model, tmp_path / "m.onnx")
    fed = {"x": real(3, 20)}
    assert_all_close(run_converted(tmp_path / "m.onnx", fed), run_onnxruntime(model, fed))
    graph = convert(tmp_path / "m.onnx").graph
    (picked,) = (node for node in graph.nodes if node.op == "gather_elements")
    assert picked.output.dtype.name == "INT8"


def test_quantiser_keeps_top_k_in_int8(tmp_path):
    """The values keep the scale of what they were chosen from; the indices are what float32 chooses, up to equals."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Reshape", ["c", "s"], ["f"]),
        helper.make_node("TopK", ["f", "k"], ["v", "i"]),
    ]
    constants = {"w": real(4, 3, 3, 3), "s": np.array([1, -1]), "k": np.array([5])}
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    onnx.save(make_model(nodes, [info], ["v", "i"], tensors, 13), tmp_path / "m.onnx")
    samples = [{"x": real(1, 3, 8, 8)} for _ in range(8)]
    result = edgert.convert(tmp_path / "m.onnx", quantize="int8", calibrate=samples)
    (node,) = (node for node in result.graph.nodes if node.op == "top_k")
    assert node.outputs[0].dtype.name == "INT8"
    assert node.outputs[0].quant == node.inputs[0].quant
    ours, real_ones = edgert.Model(result.data).run(samples[0]), run_converted(tmp_path / "m.onnx", samples[0])
    np.testing.assert_allclose(ours["v"], real_ones[0], rtol=0.05)
    assert len(set(ours["i"][0].tolist()) & set(real_ones[1][0].tolist())) >= 4


def test_index_outside_is_an_error_of_the_run(tmp_path):
    model, fed = build("GatherElements", 13, (real(3, 4), whole(3, 4, low=0, high=3)), {"axis": 0}, 1)
    onnx.save(model, tmp_path / "m.onnx")
    fed["in1"][1, 2] = 3
    with pytest.raises(InvokeError):
        run_converted(tmp_path / "m.onnx", fed)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (("TopK", 11, (real(3, 9), np.array([4])), {}, 2), "k"),
        (("Compress", 11, (real(3, 9), np.array([True] * 3)), {"axis": 0}, 1), "condition"),
        (("OneHot", 11, (whole(3, low=0, high=3), np.array([4]), fixed(0, 1)), {}, 1), "depth"),
        (("RoiAlign", 16, (real(1, 3, 9, 8), real(1, 4), np.array([0])), {}, 1), "how many samples"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_the_data_decides_is_refused(case, reason, tmp_path):
    model, _ = build(*case)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError, match=reason):
        load(tmp_path / "m.onnx")


HOSTILE: list[tuple[str, int, Inputs, dict[str, Any], int]] = [
    ("OneHot", 11, (whole(3, low=0, high=3), fixed(10**12), fixed(0, 1)), {}, 1),
    ("OneHot", 11, (whole(3, low=0, high=3), fixed(-4), fixed(0, 1)), {}, 1),
    ("OneHot", 11, (whole(3, low=0, high=3), fixed(4), fixed(0, 1)), {"axis": 7}, 1),
    ("TopK", 11, (real(3, 9), fixed(10**12)), {}, 2),
    ("TopK", 11, (real(3, 9), fixed(-1)), {}, 2),
    ("TopK", 11, (real(3, 9), fixed(2)), {"axis": 2}, 2),
    ("TopK", 11, (real(3, 9), fixed(2, 3)), {}, 2),
    ("CumSum", 14, (real(3, 9), fixed(5)), {}, 1),
    ("GatherND", 13, (real(3, 4), whole(2, 3, low=0, high=3)), {}, 1),
    ("GatherND", 13, (real(3, 4), whole(2, 1, low=0, high=3)), {"batch_dims": 1}, 1),
    ("GatherND", 13, (real(3, 4), (np.array([[7, 0]]),)), {}, 1),
    ("GatherElements", 13, (real(3, 4), whole(3, low=0, high=3)), {}, 1),
    ("ScatterElements", 18, (real(3, 4), whole(3, 4, low=0, high=3), real(3, 3)), {}, 1),
    ("ScatterElements", 18, (real(3, 4), whole(3, 4, low=0, high=3), real(3, 4)), {"reduction": "xor"}, 1),
    ("ScatterND", 18, (real(3, 4), whole(3, 1, low=0, high=3), real(3, 3)), {}, 1),
    ("ReverseSequence", 10, (real(5, 3), whole(3, low=1, high=5)), {"batch_axis": 0, "time_axis": 0}, 1),
    ("Compress", 11, (real(3, 5), (np.zeros(3, bool),)), {"axis": 0}, 1),
    ("NonMaxSuppression", 11, (boxes(1, 40), real(1, 3, 41), fixed(4)), {}, 1),
    ("NonMaxSuppression", 11, (boxes(1, 40), real(1, 3, 40), fixed(0)), {}, 1),
    ("GridSample", 20, (real(1, 2, 6, 7), real(1, 4, 5, 3)), {}, 1),
    ("GridSample", 20, (real(1, 2, 6, 7), real(1, 4, 5, 2)), {"padding_mode": "wrap"}, 1),
    ("RoiAlign", 16, (real(1, 3, 9, 8), real(1, 4), fixed(0)),
     {"output_height": 10**9, "output_width": 10**9, "sampling_ratio": 2}, 1),
    ("RoiAlign", 16, (real(1, 3, 9, 8), real(1, 5), fixed(0)), {"sampling_ratio": 2}, 1),
]  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE, ids=label)
def test_what_cannot_be_is_an_error_at_once(case, tmp_path):
    op, opset, inputs, attrs, outputs = case
    infos, tensors = [], []
    for index, item in enumerate(inputs):
        array = item[0] if isinstance(item, tuple) else item
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        if isinstance(item, tuple):
            tensors.append(numpy_helper.from_array(array, f"in{index}"))
        else:
            infos.append(helper.make_tensor_value_info(f"in{index}", kind, array.shape))
    results = [helper.make_tensor_value_info(f"out{index}", TensorProto.FLOAT, None) for index in range(outputs)]
    names = [f"in{index}" for index in range(len(inputs))]
    node = helper.make_node(op, names, [item.name for item in results], **attrs)
    graph = helper.make_graph([node], "g", infos, results, tensors)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), tmp_path / "m.onnx"
    )
    begin = time.monotonic()
    with pytest.raises(EdgertError):
        load(tmp_path / "m.onnx")
    assert time.monotonic() - begin < 1
