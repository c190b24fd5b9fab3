"""ONNX models -> Graph: operator sets 7 and later, float and quantised (QDQ and QOperator).

The handlers stand in one table a theme: elementwise, linear, movement,
spatial, conv_transpose, quant.
Spatial operators become transpose, NHWC operator, transpose: the pass edgert.passes.layout takes the transposes out.
Nodes that read only constants (shape arithmetic, above all) are computed here and leave no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgert.errors import FileFormatError, InputError, MissingExtraError, Unsupported, UnsupportedError
from edgert.importers.onnx import (
    arithmetic,
    attention,
    conv_transpose,
    detection,
    dynamic_quant,
    elementwise,
    indices,
    linear,
    matrices,
    movement,
    pooling,
    quant,
    recurrent,
    sampling,
    signal,
    spatial,
)
from edgert.importers.onnx.builder import Array, Builder, Handler
from edgert.importers.onnx.constants import plain
from edgert.importers.onnx.functions import model_functions
from edgert.importers.onnx.interface import add_inputs, add_outputs, give_constants
from edgert.importers.onnx.walk import Walk
from edgert.ir import Graph

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **linear.HANDLERS,
    **movement.HANDLERS,
    **spatial.HANDLERS,
    **conv_transpose.HANDLERS,
    **quant.HANDLERS,
    **dynamic_quant.HANDLERS,
    **arithmetic.HANDLERS,
    **attention.HANDLERS,
    **matrices.HANDLERS,
    **pooling.HANDLERS,
    **sampling.HANDLERS,
    **signal.HANDLERS,
    **recurrent.HANDLERS,
    **indices.HANDLERS,
    **detection.HANDLERS,
}

OLDEST_OPSET = 7


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
    model, files = _read(path)
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
    walk = Walk(builder, HANDLERS, opsets, model_functions(model), _own_names(source))
    walk.nodes(source.node)
    walk.refusals.check()
    add_outputs(builder, source)
    builder.graph.files = files
    return builder.graph


def _external_files(model: Any, folder: Path) -> list[Path]:
    """The files beside the model that initializers lie in, in the order in which they are named."""
    named = [
        folder / entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    ]
    return list(dict.fromkeys(named))


def _read(path: Path) -> tuple[Any, tuple[Path, ...]]:
    """The ModelProto, checked to be one, and the files that it came from."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "reading an ONNX model") from None
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
        files = (path, *_external_files(model, path.parent))
        onnx.load_external_data_for_model(model, str(path.parent))
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
    return model, files


def _initializer(tensor: Any, path: Path) -> Any:
    from onnx import numpy_helper

    try:
        return plain(numpy_helper.to_array(tensor))
    except Exception as error:
        text = " ".join(str(error).split())
        raise FileFormatError(f"{path.name}: the weights {tensor.name!r} are damaged ({text})") from error


def _own_names(source: Any) -> set[str]:
    """Names of the values of a graph, without those of its branches."""
    names = {value.name for value in source.input} | {tensor.name for tensor in source.initializer}
    return names | {name for node in source.node for name in node.output}


def _all_names(source: Any) -> set[str]:
    names = {value.name for value in (*source.input, *source.output)} | {tensor.name for tensor in source.initializer}
    for node in source.node:
        names.update(node.input)
        names.update(node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):  # a branch of If, the body of Loop
                names |= _all_names(attribute.g)
    return names
