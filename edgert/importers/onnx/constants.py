"""Nodes that read only constants are computed while importing: shape arithmetic, and weights that are put together.

The `onnx` package's reference evaluator does the computing, so that every operator set's own rules hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
# Operators that move quantised weights about or give them other shapes, which must not cost them their integers.
KEEPS_INTEGERS = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Concat", "Slice", "Split"}
# Operators that exist here only because they are computed here, and so have no handler.
ONLY_FOLDED = {"Shape", "Size", "Constant", "ConstantOfShape", "Range", "EyeLike", "OneHot"}
# Elements that an operator may make of constants: so many, or so many times its inputs. A damaged model must not fill
# the memory.
LARGEST_GROWN, GROWTH = 1 << 24, 4
SHAPE_LENGTH = 64  # elements of an input that may state a shape


def plain(array: Array) -> Array:
    """A constant in a type that the IR has: 64- and 16-bit floats as float32, odd integers as int64."""
    name = array.dtype.name
    if name in ("float64", "float16", "bfloat16"):
        return np.asarray(array, np.float32)
    if name in ("uint16", "uint32", "uint64"):
        return np.asarray(array, np.int64)
    return array


class Folder:
    """Computes constant nodes."""

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
        if "." in node.op or node.op in NEVER:
            return False
        given: dict[str, Array] = {}
        for name in filter(None, node.inputs):
            if name in builder.constants:
                given[name] = builder.constants[name]
            elif name in builder.quantized and node.op not in KEEPS_INTEGERS:  # quantisers treat shape arithmetic alike
                given[name] = builder.quantized[name].dequantized()
            else:
                return False
        if not given and node.op != "Constant":
            return False
        outputs = self._evaluate(node, proto, given, opsets)
        if outputs is None:
            return False
        for name, array in zip(node.outputs, outputs, strict=False):
            if name:
                builder.constants[name] = plain(np.asarray(array))
        return True

    def _evaluate(
        self, node: SourceNode, proto: Any, inputs: dict[str, Array], opsets: Mapping[str, int]
    ) -> list[Any] | None:
        """The node's outputs; None when the evaluator does not know the operator or makes no tensor of it."""
        import onnx
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        if node.op == "Constant" and "value" in node.attrs:
            return [onnx.numpy_helper.to_array(node.attrs["value"])]
        given = sum(array.size for array in inputs.values())
        if _made(node, proto, inputs) > max(LARGEST_GROWN, GROWTH * given):
            raise ModelError(f"its output would have more than {LARGEST_GROWN} elements")
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
        made = dict(zip((name for name in node.outputs if name), outputs, strict=True))
        if not all(isinstance(array, np.ndarray | np.generic) and _has_dtype(array) for array in outputs):
            return None
        return [made.get(name) for name in node.outputs]


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
    """Elements of the largest output, as the operator's own shape inference has them; 0 when it does not know."""
    import onnx
    from onnx import defs, helper, numpy_helper

    types = {
        name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    }
    data = {name: numpy_helper.from_array(array) for name, array in inputs.items() if array.size <= SHAPE_LENGTH}
    schema = defs.get_schema(node.op, node.opset, "")
    try:
        outputs = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
    except Exception:  # what it cannot infer, the evaluation refuses or the handler does
        return 0
    return max((math.prod(dim.dim_value for dim in item.tensor_type.shape.dim) for item in outputs.values()), default=0)
