"""Nodes that read only constants are computed while importing: shape arithmetic, and weights that are put together.

The `onnx` package's reference evaluator does the computing, so that every operator set's own rules hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.onnx.builder import Builder, SourceNode
from edgert.ir import Node, Value
from edgert.ops import OPS_BY_NAME

Array = NDArray[Any]

# Random numbers are no constants; subgraphs may read values of the graph around them; quantised constants are kept
# as such (see Builder).
NEVER = {
    "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial",
    "If", "Loop", "Scan", "SequenceMap", "DequantizeLinear", "Dropout",
}  # fmt: skip
# Operators that the evaluator takes too long for; their handlers make nodes, which passes fold.
SLOW = {
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "MaxPool", "AveragePool", "LpPool",
    "MaxUnpool", "LSTM", "GRU", "RNN", "GridSample", "RoiAlign", "NonMaxSuppression", "Resize", "Upsample",
    "Attention", "Col2Im", "DFT", "STFT", "LRN", "FlexAttention", "LinearAttention",
}  # fmt: skip
# Operators that move quantised weights about or give them other shapes, which must not cost them their integers.
KEEPS_INTEGERS = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Concat", "Slice", "Split"}
# Operators that exist here only because they are computed here, and so have no handler.
ONLY_FOLDED = {"Shape", "Size", "Constant", "ConstantOfShape", "Range", "MelWeightMatrix"}
# Elements that all operators together may make of smaller constants, of more than so many times their inputs: a damaged
# model must not fill the memory.
MOST_GROWN, GROWTH = 160 << 20, 4
SHAPE_LENGTH = 64  # elements of an input that may state a shape


def plain(array: Array) -> Array:
    """A constant in a type that the IR has: 64- and 16-bit floats as float32, odd integers as int64."""
    name = array.dtype.name
    if name in ("float64", "float16", "bfloat16"):
        return np.asarray(array, np.float32)
    if name in ("uint16", "uint32", "uint64"):
        return np.asarray(array, np.int64)
    return array


def _axes(node: SourceNode, arrays: Sequence[Array | None]) -> tuple[int, ...] | None:
    if len(arrays) > 1 and arrays[1] is not None:
        return tuple(arrays[1].reshape(-1).tolist())
    return node.integers("axes")


def _arithmetic(function: Callable[[Array, Array], Array], node: SourceNode, arrays: Sequence[Any]) -> Array | None:
    first, second = arrays
    same = first.dtype == second.dtype and first.dtype.kind in "if"
    return np.asarray(function(first, second)) if same else None


def _picked(node: SourceNode, arrays: Sequence[Any]) -> Array:
    return np.asarray(np.take(arrays[0], arrays[1], axis=node.integer("axis", 0)))


def _squeezed(node: SourceNode, arrays: Sequence[Any]) -> Array:
    return np.asarray(np.squeeze(arrays[0], axis=_axes(node, arrays)))


def _unsqueezed(node: SourceNode, arrays: Sequence[Any]) -> Array | None:
    axes = _axes(node, arrays)
    return None if axes is None else np.asarray(np.expand_dims(arrays[0], axes))


def _filled(node: SourceNode, arrays: Sequence[Any]) -> Array:
    from onnx import numpy_helper

    shape = tuple(arrays[0].tolist())
    stated = node.attrs.get("value")
    number = np.zeros(1, np.float32) if stated is None else numpy_helper.to_array(stated).reshape(-1)
    return np.broadcast_to(number[0], shape)  # which takes no memory until something reads all of it


# What shape arithmetic mostly consists of, without the detour through an evaluator. None: not a case for this table.
PLAIN: dict[str, Callable[[SourceNode, Sequence[Any]], Array | None]] = {
    "Identity": lambda node, arrays: np.asarray(arrays[0]),
    "Add": partial(_arithmetic, np.add),
    "Sub": partial(_arithmetic, np.subtract),
    "Mul": partial(_arithmetic, np.multiply),
    "Concat": lambda node, arrays: np.concatenate(arrays, axis=node.integer("axis", 0)),
    "Gather": _picked,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "ConstantOfShape": _filled,
}


class Folder:
    """Computes constant nodes."""

    def __init__(self) -> None:
        self._left = MOST_GROWN

    def fold(self, builder: Builder, node: SourceNode, proto: Any, opsets: Mapping[str, int]) -> bool:
        """Computes the node if it reads only constants (or only shapes), books its outputs, and says whether it did."""
        if node.op == "Shape":
            shape = builder.value_of(node.inputs[0]).shape
            begin, end = node.integer("start", 0), node.integer("end", len(shape))
            builder.constants[node.outputs[0]] = np.asarray(shape[begin:end], np.int64)
            return True
        if node.op == "Size":
            builder.constants[node.outputs[0]] = np.asarray(np.prod(builder.value_of(node.inputs[0]).shape), np.int64)
            return True
        if "." in node.op or node.op in NEVER or node.op in SLOW:
            return False
        given: dict[str, Array] = {}
        for name in filter(None, node.inputs):
            if name in builder.constants:
                given[name] = builder.constants[name]
            elif name in builder.quantized and node.op not in KEEPS_INTEGERS:  # quantisers treat shape arithmetic alike
                given[name] = builder.quantized[name].dequantized()
            else:
                return False
        if (not given and node.op != "Constant") or any(array.dtype.kind not in "biufV" for array in given.values()):
            return False
        outputs = self._evaluate(node, proto, given, opsets)
        if outputs is None:
            return False
        for name, array in zip(node.outputs, outputs, strict=False):
            if name:
                builder.constants[name] = plain(np.asarray(array))
        return True

    def _fits(self, node: SourceNode, proto: Any, inputs: dict[str, Array]) -> bool:
        """Whether the node can be evaluated; ModelError when it would make too much of its inputs."""
        given, made = sum(array.size for array in inputs.values()), _made(node, proto, inputs)
        if made > GROWTH * given:
            if made > self._left:
                raise ModelError(f"its output would have {made} elements, more than a constant may grow to")
            self._left -= made
        return made >= 0

    def _evaluate(
        self, node: SourceNode, proto: Any, inputs: dict[str, Array], opsets: Mapping[str, int]
    ) -> list[Any] | None:
        """The node's outputs; None when the evaluator does not know the operator or makes no tensor of it."""
        import onnx
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        if node.op == "Constant" and "value" in node.attrs:
            return [onnx.numpy_helper.to_array(node.attrs["value"])]
        small = all(name in inputs and inputs[name].size <= SHAPE_LENGTH for name in node.inputs)
        if node.op in PLAIN and small:
            if node.op == "ConstantOfShape" and not self._fits(node, proto, inputs):
                return None
            made = PLAIN[node.op](node, [inputs.get(name) for name in node.inputs])
            if made is not None:
                return [made]
        if not self._fits(node, proto, inputs):
            return None
        imports = [
            helper.make_opsetid("" if domain == "ai.onnx" else domain, version) for domain, version in opsets.items()
        ]
        infos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ]
        results = [onnx.ValueInfoProto(name=name) for name in node.outputs if name]
        graph = helper.make_graph([proto], "constant", infos, results)
        try:
            with np.errstate(all="ignore"):
                outputs = ReferenceEvaluator(helper.make_model(graph, opset_imports=imports)).run(None, inputs)
        except Exception:  # whatever it cannot do, the handler or its advice can
            return None
        named = dict(zip((name for name in node.outputs if name), outputs, strict=True))
        if not all(isinstance(array, np.ndarray | np.generic) and _has_dtype(array) for array in outputs):
            return None
        return [named.get(name) for name in node.outputs]


def computed(nodes: Sequence[Node], result: Value) -> Array | None:
    """What nodes that read nothing but constants make of `result`, by their operators' references; None if one reads
    something else."""
    known: dict[Value, Array] = {}
    for node in nodes:
        arrays: list[Array | None] = []
        for value in node.inputs:
            array = None if value is None else known.get(value, value.data)
            if value is not None and array is None:
                return None
            arrays.append(array)
        known.update(zip(node.outputs, OPS_BY_NAME[node.op].run(node, arrays), strict=True))
    return known.get(result)


def _has_dtype(array: Any) -> bool:
    try:
        DType.of(plain(np.asarray(array)).dtype)
    except KeyError:
        return False
    return True


def _made(node: SourceNode, proto: Any, inputs: dict[str, Array]) -> int:
    """Elements of the largest output, as the operator's own shape inference has them; 0 when it does not know, -1 when
    the node does not fit its operator."""
    import onnx
    from onnx import defs, helper, numpy_helper

    types = {
        name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    }
    data = {name: numpy_helper.from_array(array) for name, array in inputs.items() if array.size <= SHAPE_LENGTH}
    try:
        schema = defs.get_schema(node.op, node.opset, "")
        outputs = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
    except Exception:  # the handler says what is wrong with it
        return -1
    return max((math.prod(dim.dim_value for dim in item.tensor_type.shape.dim) for item in outputs.values()), default=0)
