"""Copies of an ONNX function's or subgraph's nodes, under names of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def instantiate(
    nodes: Iterable[Any], names: dict[str, str], unique: Callable[[str], str], attributes: Mapping[str, Any]
) -> list[Any]:
    """Copies of the nodes.

    names: what a name inside is called outside; names that the nodes write join it, made unique; others stay as they
    are: they mean values of the graph around. attributes: AttributeProtos of the call, which the nodes' own may refer
    to; one that refers to an absent attribute is left out.
    """
    copies = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(names.get(name, name) if name else "" for name in node.input)
        del copy.output[:]
        for name in node.output:
            if name:
                names[name] = unique(name)
            copy.output.append(names.get(name, ""))
        _settle_attributes(copy, names, attributes)
        copies.append(copy)
    return copies


def _settle_attributes(node: Any, names: Mapping[str, str], attributes: Mapping[str, Any]) -> None:
    settled = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            given = attributes.get(attribute.ref_attr_name)
            if given is None:
                continue
            own = type(attribute)()
            own.CopyFrom(given)
            own.name = attribute.name
            attribute = own
        if attribute.HasField("g"):
            _settle_graph(attribute.g, names, attributes)
        for graph in attribute.graphs:
            _settle_graph(graph, names, attributes)
        settled.append(attribute)
    del node.attribute[:]
    node.attribute.extend(settled)


def _settle_graph(graph: Any, names: Mapping[str, str], attributes: Mapping[str, Any]) -> None:
    """Renames what a subgraph reads from around it; its own names stay: they are made unique when it is expanded."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    outer = {name: new for name, new in names.items() if name not in own}
    for value in graph.output:
        value.name = outer.get(value.name, value.name)
    for node in graph.node:
        inputs = [outer.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
        _settle_attributes(node, outer, attributes)
