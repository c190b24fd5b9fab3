"""Nodes that read only constants are computed while importing: shape arithmetic, and weights that are put together.

The `onnx` package's reference evaluator does the computing, so that every operator set's own rules hold.
"""

from __future__ import annotations

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
# Operators that can make a large array of a few numbers; a damaged model must not fill the memory.
GROWING = {"ConstantOfShape", "Expand", "Tile", "Range"}
LARGEST_GROWN = 1 << 28  # elements


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
        if node.op in GROWING and _grown_size(node, list(inputs.values())) > LARGEST_GROWN:
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


def _grown_size(node: SourceNode, inputs: list[Array]) -> float:
    """Elements that the output will have, as far as the inputs tell."""
    if node.op == "Range":
        start, limit, delta = (float(item.reshape(-1)[0]) for item in inputs[:3])
        return abs((limit - start) / delta) if delta else 0.0
    size = float(np.prod(inputs[-1].astype(np.float64)))
    return size * inputs[0].size if node.op == "Tile" else size
