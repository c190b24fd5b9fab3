"""TensorFlow handlers: matrix products, softmax."""

from __future__ import annotations

from edgert.errors import ModelError
from edgert.importers.builder import QuantizedConstant
from edgert.importers.layers import einsum as layers
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.ir import Value


def matmul(b: Builder, node: SourceNode) -> Value:
    """MatMul, BatchMatMul and its versions. A constant matrix on the right makes a fully connected layer."""
    first, second = ("adj_x", "adj_y") if node.op.startswith("Batch") else ("transpose_a", "transpose_b")
    transpose_a, transpose_b = node.flag(first), node.flag(second)
    matrix = node.inputs[1] if len(node.inputs) > 1 else None
    x = b.value(node, 0)
    if len(x.shape) < 2:
        raise ModelError(f"it multiplies a tensor {list(x.shape)}, needed 2 dimensions at least")
    data = matrix.data if isinstance(matrix, QuantizedConstant) else b.constant(node, 1)
    if data is not None and data.ndim == 2 and not (x.constant and isinstance(matrix, Value)):
        if transpose_a:
            x = b.transpose(x, (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2))
        if isinstance(matrix, QuantizedConstant):
            weights = b.dequantized(matrix if transpose_b else matrix.transposed((1, 0)))
        else:
            weights = b.const(data if transpose_b else data.transpose())
        return b.emit("fully_connected", [x, weights])
    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return b.emit("matmul", [x, b.value(node, 1)], attrs)


def softmax(b: Builder, node: SourceNode) -> Value:
    return b.emit("softmax", [b.value(node, 0)], {"axis": -1})


def log_softmax(b: Builder, node: SourceNode) -> Value:
    return b.emit("log_softmax", [b.value(node, 0)], {"axis": -1})


def einsum(b: Builder, node: SourceNode) -> Value:
    values = [b.value(node, index) for index in range(len(node.inputs))]
    return layers.einsum(b, node.text("equation", ""), values)


HANDLERS: dict[str, Handler] = {
    "MatMul": matmul,
    "BatchMatMul": matmul,
    "BatchMatMulV2": matmul,
    "BatchMatMulV3": matmul,
    "Einsum": einsum,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
}
