"""Operators as ONNX itself defines them: functions of the model, and the function bodies of operator schemas.

A node whose operator has no handler here is replaced by its body when it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgert.importers.onnx.builder import Builder, SourceNode
from edgert.importers.onnx.instantiate import instantiate

if TYPE_CHECKING:
    from edgert.importers.onnx.walk import Walk

# Operators of ONNX that have no handler, since their bodies serve (a test compares them with what onnx has).
BY_FUNCTION = (
    "AffineGrid", "BlackmanWindow", "CausalConvWithState", "CenterCropPad", "DynamicQuantizeLinear", "HammingWindow",
    "HannWindow", "LinearAttention", "NegativeLogLikelihoodLoss", "RotaryEmbedding", "Shrink",
    "SoftmaxCrossEntropyLoss", "SwiGLU",
)  # fmt: skip


def function_body(walk: Walk, node: SourceNode, proto: Any) -> Any:
    """The FunctionProto that a node stands for; None when there is none."""
    own = walk.functions.get((proto.domain or "ai.onnx", proto.op_type))
    return own if own is not None else _schema_body(walk.builder, node, proto)


def expand(walk: Walk, node: SourceNode, proto: Any, body: Any) -> None:
    """Walks the function's nodes in the place of the node."""
    prefix = f"{node.name}/"
    names = dict.fromkeys(body.input, "")
    names.update(zip(body.input, proto.input, strict=False))
    attributes = {attribute.name: attribute for attribute in body.attribute_proto}
    attributes.update(_defaults(node, proto))
    attributes.update({attribute.name: attribute for attribute in proto.attribute})
    nodes = instantiate(body.node, names, lambda name: walk.unique(prefix + name), attributes)
    own = {entry.domain or "ai.onnx": entry.version for entry in body.opset_import}
    with walk.inside({**walk.opsets, **own}):
        walk.nodes(nodes)
    for inner, outer in zip(body.output, proto.output, strict=False):
        if outer:
            walk.alias(outer, names.get(inner, inner))


def _defaults(node: SourceNode, proto: Any) -> dict[str, Any]:
    """Attributes that an operator of ONNX has without being given them."""
    from onnx import defs

    try:
        schema = defs.get_schema(proto.op_type, node.opset, proto.domain if proto.domain != "ai.onnx" else "")
    except defs.SchemaError:
        return {}
    stated = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: value for name, value in stated.items() if value.name}


def _schema_body(builder: Builder, node: SourceNode, proto: Any) -> Any:
    import onnx
    from onnx import defs

    try:
        schema = defs.get_schema(proto.op_type, node.opset, proto.domain if proto.domain != "ai.onnx" else "")
    except defs.SchemaError:
        return None
    body = onnx.FunctionProto()
    if schema.has_function:
        version = _version(schema.function_opset_versions, node.opset)
        text = schema.get_function_with_opset_version(version) if version else None
    elif schema.has_context_dependent_function:
        version = _version(schema.context_dependent_function_opset_versions, node.opset)
        types = [_type(builder, name) for name in proto.input]
        text = (
            schema.get_context_dependent_function_with_opset_version(version, proto.SerializeToString(), types)
            if version
            else None
        )
    else:
        return None
    if not text:
        return None
    body.ParseFromString(text)
    return body


def _version(versions: list[int], opset: int) -> int:
    """The newest body that the model's operator set admits, else the oldest; 0: there is none."""
    fitting = [version for version in versions if version <= opset]
    return max(fitting) if fitting else min(versions, default=0)


def _type(builder: Builder, name: str) -> bytes:
    """The TypeProto of an input, which some function bodies depend on."""
    from onnx import TensorProto, TypeProto, helper

    if not name or not (name in builder.values or name in builder.constants or name in builder.quantized):
        return bytes(TypeProto().SerializeToString())
    if name in builder.constants:
        array = builder.constants[name]
        shape: tuple[int, ...] = array.shape
        element = helper.np_dtype_to_tensor_dtype(array.dtype)
    else:
        value = builder.value_of(name)
        shape = value.shape
        dtype = np.dtype(value.dtype.numpy_name)
        element = TensorProto.UINT8 if value in builder.unsigned else helper.np_dtype_to_tensor_dtype(dtype)
    return bytes(helper.make_tensor_type_proto(element, shape).SerializeToString())


def model_functions(model: Any) -> Mapping[tuple[str, str], Any]:
    """The model's own functions by domain and name."""
    return {(function.domain or "ai.onnx", function.name): function for function in model.functions}
