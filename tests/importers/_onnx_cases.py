"""Small ONNX models of one node each: what the importer's tests run against onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(5)


@dataclass(frozen=True)
class Input:
    """A graph input; its numbers are drawn from low..high."""

    shape: tuple[int, ...]
    low: float = -3.0
    high: float = 3.0
    dtype: str = "float32"

    def sample(self, seed: int) -> np.ndarray:
        draw = np.random.default_rng(seed).uniform(self.low, self.high, self.shape)
        return draw.astype(self.dtype)


def x(*shape: int, low: float = -3.0, high: float = 3.0, dtype: str = "float32") -> Input:
    return Input(shape, low, high, dtype)


def w(*shape: int) -> np.ndarray:
    """Constant weights."""
    return rng.normal(size=shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape).astype(np.float32)


def i(*numbers: int) -> np.ndarray:
    return np.asarray(numbers, np.int64)


def f(*numbers: float) -> np.ndarray:
    return np.asarray(numbers, np.float32)


def scalar(number: float) -> np.ndarray:
    return np.asarray(number, np.float32)


@dataclass(frozen=True)
class Case:
    op: str
    opset: int
    inputs: tuple[Any, ...]  # Input, constant array, or None for an absent one
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    domain: str = ""

    @property
    def label(self) -> str:
        parts = [self.op, str(self.opset)]
        parts += [f"{key}={value}" for key, value in self.attrs.items()]
        parts += ["x".join(map(str, item.shape)) for item in self.inputs if item is not None]
        return "-".join(parts)[:120]

    def model(self) -> onnx.ModelProto:
        names, inputs, constants = [], [], []
        for index, item in enumerate(self.inputs):
            names.append("" if item is None else f"in{index}")
            if isinstance(item, Input):
                kind = helper.np_dtype_to_tensor_dtype(np.dtype(item.dtype))
                inputs.append(helper.make_tensor_value_info(names[-1], kind, item.shape))
            elif item is not None:
                constants.append(numpy_helper.from_array(item, names[-1]))
        outputs = [f"out{index}" for index in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, name="node", domain=self.domain, **self.attrs)
        return model([node], inputs, outputs, constants, self.opset)

    def samples(self, seed: int = 1) -> dict[str, np.ndarray]:
        return {
            f"in{index}": item.sample(seed + index) for index, item in enumerate(self.inputs) if isinstance(item, Input)
        }


def model(nodes, inputs, outputs, constants=(), opset=13) -> onnx.ModelProto:
    """A model whose outputs have the inferred types (float32 where inference gives up)."""
    infos = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "g", list(inputs), infos, list(constants))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 20 else 10)
    inferred = onnx.shape_inference.infer_shapes(made)
    for output, info in zip(made.graph.output, inferred.graph.output, strict=True):
        known = info.type.tensor_type.elem_type != TensorProto.UNDEFINED
        output.CopyFrom(info if known else helper.make_tensor_value_info(info.name, TensorProto.FLOAT, None))
    return made


def conv_cases():
    for attrs in (
        {"pads": [1, 1, 1, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 3], "auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID", "dilations": [2, 1]},
        {"pads": [0, 1, 2, 0], "strides": [2, 1]},
    ):
        yield Case("Conv", 11, (x(1, 3, 9, 8), w(4, 3, 3, 3), w(4)), {"kernel_shape": [3, 3], **attrs})
    yield Case("Conv", 7, (x(2, 4, 7, 7), w(6, 2, 3, 3)), {"group": 2, "pads": [1, 1, 1, 1]})
    yield Case("Conv", 13, (x(1, 4, 7, 7), w(4, 1, 3, 3), w(4)), {"group": 4, "strides": [2, 2]})
    yield Case("Conv", 13, (x(1, 3, 7, 6), w(6, 1, 3, 5), w(6)), {"group": 3, "pads": [1, 2, 1, 2]})
    yield Case("Conv", 13, (x(1, 3, 12), w(5, 3, 4), w(5)), {"strides": [2], "pads": [1, 2]})
    yield Case("Conv", 13, (x(1, 4, 12), w(8, 1, 3)), {"group": 4, "strides": [2], "auto_pad": "SAME_UPPER"})
    yield Case("Conv", 13, (x(1, 4, 12), w(8, 1, 3)), {"group": 4, "dilations": [2], "pads": [2, 2]})
    yield Case("Conv", 13, (x(1, 1, 6, 5), w(1, 1, 1, 1)))


def transposed_conv_cases():
    for attrs in (
        {"strides": [2, 2]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [2, 3], "pads": [0, 1, 1, 0]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [3, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 2], "output_shape": [10, 9]},
        {"dilations": [2, 1]},
    ):
        yield Case("ConvTranspose", 11, (x(1, 3, 5, 4), w(3, 4, 3, 3), w(4)), {"kernel_shape": [3, 3], **attrs})
    yield Case("ConvTranspose", 13, (x(2, 3, 5, 4), w(3, 2, 2, 2)), {"strides": [2, 2]})
    yield Case(
        "ConvTranspose", 13, (x(1, 3, 5, 4), w(3, 1, 4, 4), w(3)), {"strides": [2, 2], "pads": [1] * 4, "group": 3}
    )
    yield Case("ConvTranspose", 13, (x(1, 3, 5, 4), w(3, 1, 3, 2)), {"strides": [3, 2], "group": 3})
    yield Case("ConvTranspose", 13, (x(1, 3, 7), w(3, 4, 4), w(4)), {"strides": [2], "pads": [1, 1]})


def pool_cases():
    for opset, attrs in (
        (7, {}),
        (8, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        (10, {"strides": [2, 2], "ceil_mode": 1}),
        (11, {"strides": [2, 2], "ceil_mode": 1, "pads": [0, 1, 0, 1]}),
        (12, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        (12, {"dilations": [2, 2]}),
    ):
        yield Case("MaxPool", opset, (x(1, 3, 8, 9),), {"kernel_shape": [3, 3], **attrs})
    for opset, attrs in (
        (7, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        (7, {"strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        (10, {"strides": [2, 2], "ceil_mode": 1}),
        (11, {"strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1, "pads": [1, 0, 1, 0]}),
        (11, {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ):
        yield Case("AveragePool", opset, (x(1, 3, 8, 10),), {"kernel_shape": [3, 3], **attrs})
    yield Case("MaxPool", 12, (x(1, 3, 11),), {"kernel_shape": [3], "strides": [2]})
    yield Case("AveragePool", 12, (x(1, 3, 11),), {"kernel_shape": [2], "strides": [2], "pads": [1, 0]})
    yield Case("GlobalAveragePool", 7, (x(2, 3, 5, 4),))
    yield Case("GlobalMaxPool", 7, (x(1, 3, 5, 4),))
    for p in (1, 2, 3):
        yield Case("GlobalLpPool", 7, (x(1, 3, 5, 4),), {"p": p})
    yield Case("GlobalAveragePool", 7, (x(1, 3, 5),))


def elementwise_cases():
    for op in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Floor", "Ceil", "Erf", "Softplus", "Softsign", "Sin",
               "Cos", "Sign", "LeakyRelu", "Elu", "Selu", "HardSigmoid", "Identity"):  # fmt: skip
        yield Case(op, 9, (x(2, 3, 4),))
    for op in ("Tan", "Sinh", "Cosh"):
        yield Case(op, 9, (x(2, 9, low=-1.4, high=1.4),))
    for op in ("Log", "Sqrt", "Reciprocal"):
        yield Case(op, 13, (x(2, 3, low=0.1),))
    yield Case("Round", 11, (x(2, 9),))
    yield Case("HardSwish", 14, (x(2, 9, low=-5, high=5),))
    yield Case("ThresholdedRelu", 10, (x(2, 9),), {"alpha": 0.5})
    yield Case("Celu", 12, (x(2, 9),), {"alpha": 0.7})
    yield Case("Mish", 18, (x(2, 9),))
    yield Case("Gelu", 20, (x(2, 9),))
    yield Case("Gelu", 20, (x(2, 9),), {"approximate": "tanh"})
    yield Case("LeakyRelu", 7, (x(2, 9),), {"alpha": 0.2})
    yield Case("Elu", 7, (x(2, 9),), {"alpha": 0.2})
    yield Case("Selu", 7, (x(2, 9),), {"alpha": 1.2, "gamma": 0.9})
    yield Case("HardSigmoid", 7, (x(2, 9),), {"alpha": 1 / 6, "beta": 0.5})
    yield Case("PRelu", 9, (x(1, 3, 4, 4), w(3, 1, 1)))
    yield Case("PRelu", 9, (x(1, 3, 4, 4), w(1)))
    yield Case("Clip", 7, (x(2, 9),), {"min": -1.5, "max": 0.5})
    yield Case("Clip", 7, (x(2, 9),), {"min": 0.0, "max": 6.0})
    yield Case("Clip", 11, (x(2, 9), scalar(0), None))
    yield Case("Clip", 12, (x(2, 9), None, scalar(1.25)))
    yield Case("Clip", 13, (x(2, 9), scalar(-1), scalar(1)))
    yield Case("Clip", 13, (x(2, 9, dtype="int64", high=90), np.asarray(0, np.int64), np.asarray(50, np.int64)))
    for op in ("Add", "Sub", "Mul", "Div"):
        yield Case(op, 7, (x(2, 3, 4), x(3, 1)))
        yield Case(op, 13, (x(1, 3, 4, 5), positive(3, 1, 1)))
        yield Case(op, 13, (positive(4), x(2, 3, 4, low=0.5)))
    yield Case("Pow", 12, (x(2, 3, low=0.1), x(2, 3)))
    for exponent in (1.0, 2.0, 0.5, -0.5, -1.0, 3.0):
        yield Case("Pow", 12, (x(2, 3, low=0.1), scalar(exponent)))
    yield Case("Mod", 13, (x(2, 9, low=-20, high=20, dtype="int64"), i(7)))
    yield Case("Sum", 8, (x(2, 3), x(3), x(2, 1)))
    yield Case("Max", 8, (x(2, 3), x(3), x(2, 1)))
    yield Case("Min", 12, (x(2, 3), x(3)))
    yield Case("Mean", 8, (x(2, 3), x(2, 3), x(2, 3)))
    yield Case("Sum", 8, (x(2, 3),))
    for op in ("Equal", "Less", "Greater"):
        yield Case(op, 11, (x(2, 9, dtype="int32"), x(9, dtype="int32")))
    for op in ("LessOrEqual", "GreaterOrEqual"):
        yield Case(op, 12, (x(2, 9), x(2, 9)))
    for op in ("And", "Or", "Xor"):
        yield Case(op, 7, (x(2, 9, low=0, high=2, dtype="bool"), np.arange(9) % 2 == 0))
    yield Case("Not", 7, (x(2, 9, low=0, high=2, dtype="bool"),))
    yield Case("IsNaN", 13, (x(2, 3),))
    yield Case("Where", 9, (x(2, 9, low=0, high=2, dtype="bool"), x(2, 9), w(1, 9)))
    for to in (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT):
        yield Case("Cast", 13, (x(2, 9, low=-9, high=9),), {"to": to})
    yield Case("CastLike", 15, (x(2, 9, low=-9, high=9), i(1, 2)))


def movement_cases():
    yield Case("Reshape", 7, (x(2, 3, 4), i(0, -1)))
    yield Case("Reshape", 14, (x(2, 3, 4), i(4, 6)))
    yield Case("Flatten", 7, (x(2, 3, 4),), {"axis": 2})
    yield Case("Flatten", 11, (x(2, 3, 4),), {"axis": -2})
    yield Case("Flatten", 11, (x(2, 3, 4),), {"axis": 0})
    yield Case("Squeeze", 7, (x(1, 3, 1, 4),), {"axes": [2]})
    yield Case("Squeeze", 11, (x(1, 3, 1, 4),), {"axes": [-2]})
    yield Case("Squeeze", 13, (x(1, 3, 1, 4), i(0, 2)))
    yield Case("Squeeze", 13, (x(1, 3, 1, 4),))
    yield Case("Unsqueeze", 7, (x(3, 4),), {"axes": [0, 3]})
    yield Case("Unsqueeze", 13, (x(3, 4), i(-1)))
    yield Case("Transpose", 7, (x(2, 3, 4),))
    yield Case("Transpose", 13, (x(2, 3, 4, 5),), {"perm": [0, 3, 1, 2]})
    yield Case("Concat", 7, (x(2, 3), x(2, 4), w(2, 1)), {"axis": 1})
    yield Case("Concat", 13, (x(2, 3), x(1, 3)), {"axis": -2})
    yield Case("Slice", 7, (x(5, 6),), {"starts": [1, 0], "ends": [-1, 3], "axes": [0, 1]})
    yield Case("Slice", 10, (x(5, 6), i(1), i(1 << 60), i(1), i(2)))
    yield Case("Slice", 13, (x(5, 6), i(-1), i(-(1 << 60)), i(0), i(-2)))
    yield Case("Slice", 13, (x(5, 6), i(0, 1), i(2, 5)))
    yield Case("Split", 7, (x(2, 6),), {"axis": 1, "split": [1, 2, 3]}, outputs=3)
    yield Case("Split", 11, (x(2, 6),), {"axis": -1}, outputs=2)
    yield Case("Split", 13, (x(2, 6), i(5, 1)), {"axis": 1}, outputs=2)
    yield Case("Split", 18, (x(7, 2),), {"num_outputs": 3}, outputs=3)
    yield Case("Gather", 7, (x(3, 4, 5), np.asarray(1, np.int64)), {"axis": 1})
    yield Case("Gather", 11, (x(3, 4, 5), i(-1, 0, 2)), {"axis": 1})
    yield Case("Gather", 13, (x(3, 4, 5), i(0, 2)), {"axis": 1})
    yield Case("Gather", 13, (x(3, 4), np.asarray([[0, 2], [2, 1]], np.int64)), {"axis": 0})
    yield Case("Gather", 13, (w(5, 4), x(2, 3, low=0, high=4.9, dtype="int64")))
    yield Case("GatherND", 13, (x(3, 4, 5), np.asarray([[0, 1], [2, -1], [1, 0]], np.int64)))
    yield Case("GatherND", 13, (x(3, 4, 5), np.asarray([[1], [0], [3]], np.int64)), {"batch_dims": 1})
    yield Case("GatherND", 13, (x(3, 4), np.asarray([[[2, 3]], [[0, 0]]], np.int64)))
    yield Case("Expand", 8, (x(3, 1), i(2, 1, 4)))
    yield Case("Tile", 7, (x(2, 3), i(2, 3)))
    yield Case("Tile", 13, (x(2, 1, 3, 2, 2), i(1, 4, 1, 3, 1)))
    yield Case("Pad", 7, (x(2, 3, 4),), {"pads": [0, 1, 2, 0, 0, 1], "value": 1.5})
    yield Case("Pad", 11, (x(2, 3, 4), i(0, 1, 2, 0, 0, 1), scalar(2)))
    yield Case("Pad", 11, (x(2, 3, 4), i(0, 1, 2, 0, 0, 1)), {"mode": "edge"})
    yield Case("Pad", 13, (x(2, 3, 4), i(0, 1, 2, 0, 0, 1)), {"mode": "reflect"})
    yield Case("Pad", 13, (x(2, 3, 4), i(0, -1, 2, 0, 0, 1)))
    yield Case("Pad", 18, (x(2, 3, 4), i(1, 2), None, i(-1)))
    yield Case("Pad", 19, (x(2, 3, 4), i(0, 3, 1, 0, 0, 2)), {"mode": "wrap"})
    yield Case("DepthToSpace", 7, (x(1, 8, 2, 3),), {"blocksize": 2})
    yield Case("DepthToSpace", 11, (x(1, 8, 2, 3),), {"blocksize": 2, "mode": "CRD"})
    yield Case("SpaceToDepth", 7, (x(1, 2, 4, 6),), {"blocksize": 2})


def linear_cases():
    yield Case("Gemm", 7, (x(2, 5), w(5, 4), w(4)))
    yield Case("Gemm", 11, (x(2, 5), w(4, 5), w(1, 4)), {"transB": 1, "alpha": 0.5, "beta": 2.0})
    yield Case("Gemm", 13, (x(5, 2), w(5, 4), w(2, 4)), {"transA": 1})
    yield Case("Gemm", 13, (x(2, 5), w(5, 4), w(1)))
    yield Case("Gemm", 13, (x(2, 5), x(5, 4), x(4)), {"alpha": 0.5, "beta": 2.0})
    yield Case("Gemm", 13, (x(2, 5), w(5, 4)))
    yield Case("MatMul", 9, (x(2, 3, 5), w(5, 4)))
    yield Case("MatMul", 9, (x(2, 3, 5), x(2, 5, 4)))
    yield Case("MatMul", 13, (x(2, 3, 5), x(5, 4)))
    yield Case("MatMul", 13, (x(5), w(5, 4)))
    yield Case("MatMul", 13, (x(3, 5), w(5)))
    yield Case("MatMul", 13, (w(3, 5), x(5, 4)))
    for op in ("Softmax", "LogSoftmax"):
        yield Case(op, 7, (x(2, 3, 4),), {"axis": 1})
        yield Case(op, 11, (x(2, 3, 4),), {"axis": -1})
        yield Case(op, 11, (x(2, 3, 1, 1),))
        yield Case(op, 13, (x(2, 3, 4),), {"axis": 1})
        yield Case(op, 13, (x(2, 3, 4),))
    for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
               "ReduceSumSquare", "ReduceLogSumExp"):  # fmt: skip
        yield Case(op, 11, (x(2, 3, 4),), {"axes": [1]})
        yield Case(op, 11, (x(2, 3, 4),), {"axes": [-1, 0], "keepdims": 0})
        yield Case(op, 11, (x(2, 3, 4),))
        yield Case(op, 18, (x(2, 3, 4), i(1)), {"keepdims": 0})
    yield Case("ReduceLogSum", 13, (x(2, 3, low=0.1),), {"axes": [1]})
    yield Case("ReduceSum", 13, (x(2, 3, 4), i(0, 2)))
    yield Case("ReduceSum", 13, (x(2, 3, 4), None), {"noop_with_empty_axes": 1})
    yield Case("ArgMax", 11, (x(2, 9),), {"axis": 1})
    yield Case("ArgMax", 13, (x(2, 9),), {"axis": -1, "keepdims": 0})
    yield Case("ArgMin", 13, (x(2, 9),), {"axis": 0, "keepdims": 0})


def einsum_cases():
    for equation, inputs in (
        ("bhid,bhjd->bhij", (x(1, 2, 5, 4), x(1, 2, 6, 4))),
        ("bhij,bhjd->bihd", (x(1, 2, 5, 6), x(1, 2, 6, 4))),
        ("abcid,abcjd->abcij", (x(2, 1, 2, 5, 4), x(2, 1, 2, 3, 4))),
        ("btd,dhk->bthk", (x(1, 5, 8), w(8, 2, 3))),
        ("dhk,btd->bthk", (w(8, 2, 3), x(1, 5, 8))),
        ("bthk,hkd->btd", (x(1, 5, 2, 3), w(2, 3, 8))),
        ("i,ij->j", (x(4), w(4, 3))),
        ("nchw,nc->nhw", (x(1, 3, 4, 5), x(1, 3))),
        ("i,j->ij", (x(3), x(4))),
        ("abc,abc->abc", (x(2, 3, 4), x(2, 3, 4))),
        ("abc,abd->adc", (x(2, 3, 4), x(2, 3, 5))),
        ("ij,ij->", (x(3, 4), x(3, 4))),
        ("ijk,lj->il", (x(2, 3, 4), x(5, 3))),
        ("abcd -> dcba", (x(2, 3, 4, 5),)),
        ("abc->b", (x(2, 3, 4),)),
        ("ba,ac", (x(3, 4), x(4, 5))),
        ("...ij,...jk->...ik", (x(2, 3, 4, 5), x(2, 3, 5, 6))),
        ("...i->...", (x(2, 3, 4),)),
        ("ij,jk,k->i", (x(4, 5), w(5, 2), w(2))),
        ("ab,bc,cd->ad", (x(2, 3), x(3, 4), x(4, 5))),
    ):
        yield Case("Einsum", 12, inputs, {"equation": equation})
    for axis in (0, -1):
        for attrs in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
            yield Case("CumSum", 14, (x(3, 4, 5), np.asarray(axis, np.int64)), attrs)
    yield Case("CumSum", 11, (x(6), np.asarray(0, np.int32)))
    for upper in (0, 1):
        for shift in (None, np.asarray(2, np.int64), np.asarray(-1, np.int64)):
            yield Case("Trilu", 14, (x(2, 4, 5), shift), {"upper": upper})


def normalization_cases():
    yield Case("BatchNormalization", 7, (x(2, 3, 4, 5), w(3), w(3), w(3), positive(3)), {"epsilon": 0.01})
    yield Case("BatchNormalization", 15, (x(2, 3), w(3), w(3), w(3), positive(3)))
    yield Case("InstanceNormalization", 7, (x(2, 3, 4, 5), w(3), w(3)))
    yield Case("LayerNormalization", 17, (x(2, 3, 8), w(8), w(8)))
    yield Case("LayerNormalization", 17, (x(2, 3, 8), w(3, 8)), {"axis": 1})
    yield Case("GroupNormalization", 21, (x(2, 6, 4, 5), w(6), w(6)), {"num_groups": 3})
    yield Case("GroupNormalization", 18, (x(2, 6, 4, 5), w(3), w(3)), {"num_groups": 3})
    yield Case("MeanVarianceNormalization", 13, (x(2, 3, 4, 5),))
    yield Case("LpNormalization", 7, (x(2, 5),), {"axis": 1})
    yield Case("LpNormalization", 7, (x(2, 5),), {"axis": 1, "p": 1})
    yield Case("LRN", 13, (x(1, 7, 3, 4),), {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.5})
    yield Case("LRN", 13, (x(1, 7, 3, 4),), {"size": 3})


def resize_cases():
    none = np.zeros(0, np.float32)
    yield Case("Upsample", 7, (x(1, 2, 3, 4),), {"mode": "nearest", "scales": [1.0, 1.0, 2.0, 3.0]})
    yield Case("Upsample", 9, (x(1, 2, 3, 4), f(1, 1, 2, 2)), {"mode": "linear"})
    yield Case("Resize", 10, (x(1, 2, 4, 6), f(1, 1, 0.5, 1.5)), {"mode": "nearest"})
    for mode in ("nearest", "linear"):
        for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            attrs = {"mode": mode, "coordinate_transformation_mode": coordinates}
            yield Case("Resize", 11, (x(1, 2, 4, 5), none, f(1, 1, 2, 1.7)), attrs)
            yield Case("Resize", 13, (x(1, 2, 4, 5), None, None, i(1, 2, 7, 3)), attrs)
    for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        attrs = {"mode": "nearest", "nearest_mode": nearest}
        yield Case("Resize", 13, (x(1, 2, 4, 5), None, f(1, 1, 2, 2.5)), attrs)
    yield Case("Resize", 18, (x(1, 2, 4, 5), None, f(2, 2)), {"mode": "nearest", "axes": [2, 3]})
    yield Case("Resize", 13, (x(1, 4, 5, 2), None, f(1, 2, 2, 1)), {"mode": "nearest"})
    yield Case("Resize", 13, (x(1, 2, 5), None, f(1, 1, 2)), {"mode": "linear"})


def layer_cases():
    """What importers/layers compose: volumes, computed weights, groups, resizing by matrices."""
    yield Case(
        "Conv", 13, (x(1, 3, 5, 6, 4), w(4, 3, 3, 2, 3), w(4)), {"strides": [2, 1, 1], "pads": [1, 0, 1, 1, 1, 1]}
    )
    yield Case("Conv", 13, (x(2, 4, 5, 6, 4), w(6, 2, 2, 3, 1)), {"group": 2, "dilations": [2, 1, 1]})
    yield Case("Conv", 13, (x(1, 4, 4, 5, 5), w(4, 1, 3, 3, 3), w(4)), {"group": 4, "pads": [1] * 6})
    yield Case("Conv", 13, (x(1, 3, 7, 6), x(4, 3, 3, 2), x(4)), {"strides": [2, 1], "pads": [1, 0, 0, 1]})
    yield Case("Conv", 13, (x(1, 4, 7, 6), x(6, 2, 3, 3)), {"group": 2, "dilations": [1, 2]})
    yield Case("Conv", 13, (x(1, 4, 9), x(6, 4, 3)), {"strides": [2]})
    yield Case("Conv", 13, (x(1, 2, 4, 5, 3), x(2, 2, 2, 2, 2)), {"pads": [1] * 6})
    yield Case("ConvTranspose", 13, (x(1, 4, 5, 4), w(4, 3, 3, 3), w(6)), {"group": 2, "strides": [2, 2]})
    yield Case(
        "ConvTranspose", 13, (x(1, 4, 5, 4), x(4, 3, 3, 2), x(6)), {"group": 2, "strides": [2, 1], "pads": [1] * 4}
    )
    yield Case("ConvTranspose", 13, (x(1, 2, 6), x(2, 3, 4)), {"strides": [3], "output_padding": [1]})
    yield Case(
        "ConvTranspose", 13, (x(1, 2, 3, 4, 3), w(2, 3, 2, 3, 2), w(3)), {"strides": [2, 1, 2], "pads": [0, 1, 1] * 2}
    )
    yield Case("ConvTranspose", 13, (x(1, 2, 3, 4), w(2, 3, 2, 3)), {"dilations": [2, 2], "pads": [2, 3, 2, 3]})
    yield Case("ConvTranspose", 13, (x(1, 2, 3, 4), x(2, 3, 1, 1)), {"pads": [1, 1, 0, 1]})
    for op in ("MaxPool", "AveragePool"):
        for attrs in (
            {"kernel_shape": [2, 3, 2], "strides": [2, 2, 1], "ceil_mode": 1},
            {"kernel_shape": [3, 3, 3], "pads": [1, 0, 1, 0, 1, 1]},
        ):
            yield Case(op, 13, (x(1, 3, 6, 7, 4),), attrs)
    yield Case(
        "AveragePool", 13, (x(1, 3, 6, 7, 4),), {"kernel_shape": [2] * 3, "pads": [1] * 6, "count_include_pad": 1}
    )
    for counts in (0, 1):
        attrs = {"kernel_shape": [3, 2], "dilations": [2, 2], "pads": [1, 1, 2, 1], "count_include_pad": counts}
        yield Case("AveragePool", 19, (x(1, 3, 9, 8),), attrs)
    yield Case("BatchNormalization", 13, (x(1, 3, 4), x(3), x(3), x(3), x(3, low=0.5, high=2.0)))
    yield Case("Resize", 18, (x(1, 2, 4, 5), None, f(1, 1, 2, 1.7)), {"mode": "cubic"})
    yield Case("Resize", 18, (x(1, 2, 4, 5), None, None, i(1, 2, 7, 3)), {"mode": "cubic", "cubic_coeff_a": -0.5})
    for coordinates in ("asymmetric", "align_corners", "pytorch_half_pixel"):
        attrs = {"mode": "cubic", "coordinate_transformation_mode": coordinates, "exclude_outside": 1}
        yield Case("Resize", 18, (x(1, 2, 4, 5), None, None, i(1, 2, 7, 9)), attrs)
    for mode in ("linear", "cubic"):
        attrs = {"mode": mode, "antialias": 1}
        yield Case("Resize", 18, (x(1, 2, 9, 8), None, None, i(1, 2, 4, 5)), attrs)
        yield Case("Resize", 18, (x(1, 2, 9, 8), None, f(1, 1, 0.6, 1.3)), attrs)
    yield Case("Resize", 18, (x(2, 3, 4, 5), None, None, i(4, 5, 6, 7)), {"mode": "nearest"})
    yield Case("Resize", 18, (x(1, 2, 3, 4, 5), None, None, i(1, 2, 6, 7, 3)), {"mode": "linear"})
    yield Case("Resize", 18, (x(1, 2, 3, 4, 5), None, None, i(1, 2, 6, 7, 3)), {"mode": "nearest"})
    yield Case("Resize", 19, (x(1, 2, 5, 4), None, None, i(7, 8)), {"mode": "linear", "axes": [2, 3],
               "keep_aspect_ratio_policy": "not_larger"})  # fmt: skip
    yield Case("Resize", 19, (x(1, 2, 5, 4), None, f(0.5, 0.7)), {"mode": "linear", "axes": [2, 3],
               "coordinate_transformation_mode": "half_pixel_symmetric"})  # fmt: skip
    attrs = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 10.0}
    yield Case("Resize", 18, (x(1, 2, 5, 4), f(0, 0, 0.4, 0.2, 1, 1, 1.2, 0.9), None, i(1, 2, 4, 3)), attrs)


def fused_cases():
    """What onnxruntime's optimiser makes, and Attention."""
    fused = {"domain": "com.microsoft"}
    image = (x(1, 3, 7, 6), w(4, 3, 3, 3), w(4))
    for attrs in (
        {"activation": "Relu"}, {"activation": "LeakyRelu", "activation_params": [0.2]},
        {"activation": "Clip", "activation_params": [-0.5, 1.5]}, {"activation": "HardSigmoid",
        "activation_params": [0.3, 0.4]}, {"activation": "Tanh"}, {},
    ):  # fmt: skip
        yield Case("FusedConv", 13, image, {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3], **attrs}, **fused)
    yield Case("FusedConv", 13, (*image, x(1, 4, 5, 4)), {"activation": "Relu", "kernel_shape": [3, 3]}, **fused)
    yield Case("FusedGemm", 13, (x(3, 4), w(4, 5), w(5)), {"activation": "Relu"}, **fused)
    gemm = {"activation": "LeakyRelu", "activation_alpha": 0.3, "transB": 1, "alpha": 0.5}
    yield Case("FusedGemm", 13, (x(3, 4), w(5, 4), w(5)), gemm, **fused)
    yield Case("FusedMatMul", 13, (x(2, 3, 4), x(2, 5, 4)), {"transB": 1, "alpha": 0.25}, **fused)
    yield Case("FusedMatMul", 13, (x(2, 4, 3), x(2, 4, 5)), {"transA": 1}, **fused)
    yield Case("BiasGelu", 13, (x(2, 3, 8), w(8)), **fused)
    yield Case("FastGelu", 13, (x(2, 3, 8), w(8)), **fused)
    yield Case("FastGelu", 13, (x(2, 3, 8),), **fused)
    tokens = (x(2, 3, 8), x(2, 3, 8), w(8))
    yield Case("SkipLayerNormalization", 13, (*tokens, w(8), w(8)), {"epsilon": 1e-5}, **fused)
    yield Case("SkipLayerNormalization", 13, (*tokens, w(8)), {"epsilon": 1e-5}, **fused)
    yield Case("SkipSimplifiedLayerNormalization", 13, (*tokens, w(8)), {"epsilon": 1e-5}, **fused)
    yield Case("SimplifiedLayerNormalization", 13, (x(2, 3, 8), w(8)), {"axis": -1, "epsilon": 1e-5})
    heads = {"q_num_heads": 2, "kv_num_heads": 2}
    yield Case("Attention", 23, (x(1, 5, 8), x(1, 6, 8), x(1, 6, 8)), heads)
    yield Case("Attention", 23, (x(1, 4, 5, 8), x(1, 2, 5, 8), x(1, 2, 5, 6)), {"is_causal": 1, "scale": 0.3})
    yield Case("Attention", 23, (x(1, 2, 5, 8), x(1, 2, 6, 8), x(1, 2, 6, 8), w(5, 6)), {})


CASES: list[Case] = [
    *layer_cases(),
    *conv_cases(),
    *transposed_conv_cases(),
    *pool_cases(),
    *elementwise_cases(),
    *movement_cases(),
    *linear_cases(),
    *einsum_cases(),
    *normalization_cases(),
    *resize_cases(),
    *fused_cases(),
]
