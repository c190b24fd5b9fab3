"""Which variable of a SavedModel is stored under which key: as its own restoring function (TensorFlow 2) says."""

from __future__ import annotations

from typing import Any

from edgert.importers.tensorflow.walk import CALLS, data_inputs, tensor_parts


def restored(definition: Any) -> dict[str, str]:
    """Names of VarHandleOp nodes -> keys; empty where the graph has no such function."""
    functions = {entry.signature.name: entry for entry in definition.library.function}
    found: dict[str, str] = {}
    for node in definition.node:
        if node.op in CALLS and (function := functions.get(node.attr["f"].func.name)) is not None:
            arguments = [tensor_parts(text)[0] for text in data_inputs(node)]
            names = [argument.name for argument in function.signature.input_arg]
            handles = dict(zip(names, arguments, strict=False))
            found |= {handles[name]: key for name, key in _assigned(function).items() if name in handles}
    for source, copy in _copied(definition).items():
        if copy in found:
            found.setdefault(source, found[copy])
    return found


def _copied(definition: Any) -> dict[str, str]:
    """Variables that others begin as copies of -> those: Keras 3 has two of each, and stores the copies alone."""
    nodes = {node.name: node for node in definition.node}
    found: dict[str, str] = {}
    for node in definition.node:
        sources = [tensor_parts(text)[0] for text in data_inputs(node)]
        read = nodes.get(sources[1]) if node.op == "AssignVariableOp" and len(sources) == 2 else None
        if read is not None and read.op == "ReadVariableOp":
            found[tensor_parts(next(data_inputs(read), ""))[0]] = sources[0]
    return found


def _assigned(function: Any) -> dict[str, str]:
    """Arguments that the function assigns what RestoreV2 reads -> keys."""
    nodes = {node.name: node for node in function.node_def}
    found: dict[str, str] = {}
    for node in nodes.values():
        sources = list(data_inputs(node))
        if node.op != "AssignVariableOp" or len(sources) != 2:
            continue
        name, parts = tensor_parts(sources[1])
        if name in nodes and nodes[name].op == "Identity":
            name, parts = tensor_parts(next(data_inputs(nodes[name]), ""))
        restore = nodes.get(name)
        if restore is None or restore.op != "RestoreV2" or not parts or not parts[-1].isdecimal():
            continue
        listed = [tensor_parts(text)[0] for text in data_inputs(restore)]
        names = nodes.get(listed[1]) if len(listed) > 1 else None
        keys = names.attr["value"].tensor.string_val if names is not None and names.op == "Const" else ()
        if int(parts[-1]) < len(keys):
            found[sources[0]] = bytes(keys[int(parts[-1])]).decode(errors="replace")
    return found
