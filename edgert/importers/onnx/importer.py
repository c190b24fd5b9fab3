"""ONNX models -> Graph: operator sets 7 and later, float and quantised (QDQ and QOperator).

The handlers stand in one table a theme: einsum, elementwise, linear, movement,
spatial, conv_transpose, quant.
Spatial operators become transpose, NHWC operator, transpose: the pass edgert.passes.layout takes the transposes out.
Nodes that read only constants (shape arithmetic, above all) are computed here and leave no trace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import FileFormatError, InputError, MissingExtraError, ModelError, Unsupported, UnsupportedError
from edgert.importers.onnx import (
    conv_transpose,
    einsum,
    elementwise,
    linear,
    movement,
    quant,
    spatial,
)
from edgert.importers.onnx.builder import Array, Builder, Handler, QuantizedConstant, RefusedError, SourceNode
from edgert.importers.onnx.constants import ONLY_FOLDED, Folder, computed, plain
from edgert.importers.onnx.interface import add_inputs, add_outputs, give_constants
from edgert.ir import Graph, Value

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **linear.HANDLERS,
    **einsum.HANDLERS,
    **movement.HANDLERS,
    **spatial.HANDLERS,
    **conv_transpose.HANDLERS,
    **quant.HANDLERS,
}

OLDEST_OPSET = 7

# What to do about operators that have no handler; any other gets the general advice.
ADVICE = {
    "DynamicQuantizeLinear": "quantise statically instead (calibrate), or give the float model to edgert",
    "ConvInteger": "quantise statically (QDQ or QOperator) instead of dynamically, or give the float model to edgert",
    "MatMulInteger": "quantise statically (QDQ or QOperator) instead of dynamically, or give the float model to edgert",
    "NonMaxSuppression": "cut the model before it and select boxes in the application",
    "LSTM": "use convolutional or streaming layers, or unroll the cell into MatMul, Sigmoid and Tanh",
    "GRU": "use convolutional or streaming layers, or unroll the cell into MatMul, Sigmoid and Tanh",
    "If": "its condition depends on the data: export the model with a fixed path",
    "Loop": "unroll it on export",
    "Scan": "unroll it on export",
    "NonZero": "its output's shape depends on the data: cut the model before it",
    "TopK": "cut the model before it and select in the application",
}
GENERAL_ADVICE = "cut the model before it, or replace it by supported operators before export"

# Operators whose meaning does not change when uint8 numbers are shifted to int8 (Cast and Pad see to it themselves).
MOVES_ONLY = {
    "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Slice", "Split", "Gather", "Identity",
    "Dropout", "MaxPool", "GlobalMaxPool", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Cast", "GatherND",
    "Pad", "Resize", "Upsample", "ArgMax", "ArgMin",
}  # fmt: skip
KNOWS_INT8 = MOVES_ONLY | quant.HANDLERS.keys()


def load(
    path: Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    constants: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of an ONNX file, with its weights (external data too).

    Inputs and outputs keep the source's names, order and layout. input_shapes settles dynamic dimensions, by input
    name; a dynamic first dimension that it does not mention becomes 1, and the graph's notes say so. constants:
    arrays by the name of an input, which is none of the graph's any more; what decides a shape or a branch (a sample
    rate, the target of a Reshape) is given so.

    Raises FileFormatError (not ONNX, or damaged), InputError (dynamic dimensions left open, or input_shapes that do
    not fit), UnsupportedError (all operators that cannot be converted) and ModelError (shapes that do not fit).
    """
    path = Path(path)
    model = _read(path)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    opset = opsets.get("ai.onnx", 0)
    if opset and opset < OLDEST_OPSET:
        raise InputError(
            f"{path.name}: operator set {opset}, needed {OLDEST_OPSET} or later; "
            f"onnx.version_converter.convert_version(model, 13) raises it"
        )
    source = model.graph
    builder = Builder(source.name or path.stem, _all_names(source))
    for tensor in source.initializer:
        builder.constants[tensor.name] = _initializer(tensor, path)
    if source.sparse_initializer:
        raise UnsupportedError(
            [Unsupported(source.sparse_initializer[0].values.name, "sparse_initializer", "sparse weights",
                         "store them densely")]
        )  # fmt: skip
    give_constants(builder, source, constants or {})
    add_inputs(builder, source, dict(input_shapes or {}))
    _add_nodes(builder, source, opsets)
    add_outputs(builder, source)
    return builder.graph


def _read(path: Path) -> Any:
    """The ModelProto, checked to be one."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "reading an ONNX model") from None
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's own classes differ between its versions
        text = " ".join(str(error).split())
        why = "not an ONNX file, cut short, or its external data is missing"
        raise FileFormatError(f"{path.name}: {why} ({text})") from error
    if not model.graph.node and not model.graph.output:
        raise FileFormatError(f"{path.name}: not an ONNX file, or cut short: it has no graph")
    texts = _all_names(model.graph) | {entry.domain for entry in model.opset_import}
    for node in model.graph.node:
        texts.update((node.name, node.op_type, node.domain), (item.name for item in node.attribute))
    if not all(isinstance(text, str) for text in texts):  # protobuf leaves what is not UTF-8 as bytes
        raise FileFormatError(f"{path.name}: damaged: a name in it is not text")
    return model


def _initializer(tensor: Any, path: Path) -> Any:
    from onnx import numpy_helper

    try:
        return plain(numpy_helper.to_array(tensor))
    except Exception as error:
        text = " ".join(str(error).split())
        raise FileFormatError(f"{path.name}: the weights {tensor.name!r} are damaged ({text})") from error


def _all_names(source: Any) -> set[str]:
    names = {value.name for value in (*source.input, *source.output)} | {tensor.name for tensor in source.initializer}
    for node in source.node:
        names.update(node.input)
        names.update(node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):  # a branch of If, the body of Loop
                names |= _all_names(attribute.g)
    return names


def _source_node(proto: Any, opsets: Mapping[str, int]) -> SourceNode:
    from onnx import helper

    domain = proto.domain or "ai.onnx"
    op = proto.op_type if domain == "ai.onnx" else f"{domain}.{proto.op_type}"
    outputs = tuple(proto.output)
    name = proto.name or next((output for output in outputs if output), op)
    attrs = {item.name: helper.get_attribute_value(item) for item in proto.attribute}
    return SourceNode(name, op, opsets.get(domain, 1), tuple(proto.input), outputs, attrs)


def _add_nodes(builder: Builder, source: Any, opsets: Mapping[str, int]) -> None:
    """Converts node by node; UnsupportedError with all that cannot be, ModelError for what is wrong in itself."""
    refused: list[Unsupported] = []
    lost: set[str] = set()  # outputs of refused nodes, and all that hangs on them
    folder = Folder(opsets)
    waiting = deque(source.node)
    while waiting:
        proto = waiting.popleft()
        node = _source_node(proto, opsets)
        handler = HANDLERS.get(node.op)
        try:
            if any(name in lost for name in node.inputs):
                if handler is None and node.op not in ONLY_FOLDED:
                    raise _no_handler(node)
                lost.update(node.outputs)
                continue
            missing = [name for name in node.inputs if name and not builder.known(name)]
            if missing:
                raise ModelError(f"{node.op} {node.name!r} reads {missing[0]!r}, which nothing before it writes")
            if node.op == "If" and (condition := builder.constant(node, 0)) is not None and condition.size == 1:
                waiting.extendleft(reversed(_branch(builder, node, bool(condition.reshape(-1)[0]))))
                continue
            if folder.fold(builder, node, proto):
                continue
            if handler is None:
                raise _no_handler(node)
            _convert(builder, node, handler)
        except RefusedError as refusal:
            refused.append(Unsupported(node.name, node.op, refusal.reason, refusal.fix))
            lost.update(name for name in node.outputs if name)
        except (ModelError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Anything but a ModelError comes of attributes and inputs that the operator cannot have.
            if not refused:  # else what came before may be the reason
                text = error if isinstance(error, ModelError) else f"its attributes or inputs are damaged ({error})"
                raise ModelError(f"{node.op} {node.name!r}: {text}") from error
            lost.update(name for name in node.outputs if name)
    if refused:
        raise UnsupportedError(refused)


def _branch(builder: Builder, node: SourceNode, taken: bool) -> list[Any]:
    """What an If with a known condition stands for: the nodes of the branch that is taken, which see all values of the
    graph around them, and copies to the If's outputs."""
    from onnx import helper, numpy_helper

    branch = node.attrs["then_branch" if taken else "else_branch"]
    for tensor in branch.initializer:
        builder.constants[tensor.name] = plain(numpy_helper.to_array(tensor))
    results = zip(branch.output, node.outputs, strict=True)
    return [*branch.node, *(helper.make_node("Identity", [inner.name], [outer]) for inner, outer in results)]


def _no_handler(node: SourceNode) -> RefusedError:
    kind = node.op.rpartition(".")[2]
    return RefusedError("there is no such operator in edgert", ADVICE.get(kind, GENERAL_ADVICE))


def _convert(builder: Builder, node: SourceNode, handler: Handler) -> None:
    """Runs a handler and books what it returns under the node's output names."""
    builder.current = node
    numbers = [value for value in map(builder.values.get, node.inputs) if value is not None]
    reads_unsigned = any(value in builder.unsigned for value in numbers)
    if any(value.dtype in (DType.INT8, DType.UINT8) for value in numbers) and node.op not in KNOWS_INT8:
        raise RefusedError("it computes on 8-bit numbers as they are", "dequantise before it (DequantizeLinear)")
    made_from = len(builder.graph.nodes)
    result = handler(builder, node)
    if isinstance(result, Value) and _settled(builder, node, result, made_from):
        return
    results: Iterable[Value | QuantizedConstant]
    results = [result] if isinstance(result, Value | QuantizedConstant) else result
    fresh = {value for made in builder.graph.nodes[made_from:] for value in made.outputs}
    named: set[Value] = set()
    for name, value in zip(node.outputs, results, strict=False):
        if not name:
            continue
        if isinstance(value, QuantizedConstant):
            builder.quantized[name] = value
            continue
        if value in fresh and value not in named:
            value.name = name
            named.add(value)
        if reads_unsigned and node.op in MOVES_ONLY - {"Cast"} and value.dtype == DType.INT8:
            builder.unsigned.add(value)
        builder.values[name] = value


def _settled(builder: Builder, node: SourceNode, result: Value, made_from: int) -> bool:
    """Books the result of a quantised operator that read only constants as one, and drops its nodes: quantisers make
    such operators of shape arithmetic, whose numbers the import needs to know."""
    if node.op not in quant.HANDLERS or result.dtype != DType.INT8:
        return False
    if any(name in builder.values for name in node.inputs):
        return False
    array = computed(builder.graph.nodes[made_from:], result)
    if array is None:
        return False
    unsigned = result in builder.unsigned
    builder.constants[node.outputs[0]] = (array.astype(np.int16) + 128).astype(np.uint8) if unsigned else array
    del builder.graph.nodes[made_from:]
    return True
