"""Torch7 handler: nngraph's gModule, a graph of modules (nngraph/gmodule.lua says how it runs)."""

from __future__ import annotations

from typing import Any

from edgert.errors import ModelError
from edgert.importers.torch7.module import Builder, Handler, Module, is_lost
from edgert.importers.torch7.read import Table, TorchObject


def graph_module(b: Builder, module: Module, x: Any) -> Any:
    """Its nodes in their order. What a node is, its `data` says: a module, one item of a table (selectindex), or just a
    place where things come together; which of a node's inputs comes from where, its mapindex."""
    nodes = _sequence(module.fields.get("forwardnodes"), "forwardnodes")
    first, last = (_data(module.fields.get(name)) for name in ("innode", "outnode"))
    received: dict[Table, dict[int, Any]] = {}
    starts = _table(first, "mapindex")
    count = len(starts.sequence())
    given = [x] if count <= 1 else x
    if not is_lost(given) and (not isinstance(given, list) or len(given) != count):
        raise ModelError(f"its input is no table of {count} tensors")
    for position, node in enumerate(nodes, start=1):
        data = _data(node)
        children = [_data(child) for child in _sequence(node.fields.get("children"), "children")]
        if data is first:
            for child in children:
                place = _index(starts, child)
                part = x if is_lost(given) else given[place - 1]
                slots = received.setdefault(child, {})
                slots[len(slots) + 1] = part
            continue
        value = _together(received.get(data, {}))
        inner = data.items.get("module")
        if isinstance(inner, TorchObject):
            value = b.apply(Module(inner), value, position)
        elif "selectindex" in data.items and not is_lost(value):
            value = _selected(value, data.items["selectindex"])
        for child in children:
            received.setdefault(child, {})[_index(_table(child, "mapindex"), data)] = value
    return _together(received.get(last, {}))


def _together(slots: dict[int, Any]) -> Any:
    """A node's inputs: the only one, or a table of all."""
    values = [slots[place] for place in sorted(slots)]
    if not values:
        raise ModelError("a node of its graph has no input")
    return values[0] if len(values) == 1 else values


def _selected(value: Any, index: Any) -> Any:
    if not isinstance(value, list) or not isinstance(index, float) or not 1 <= index <= len(value):
        raise ModelError(f"item {index} of what is no such table")
    return value[int(index) - 1]


def _data(node: Any) -> Table:
    data = node.fields.get("data") if isinstance(node, TorchObject) else None
    if not isinstance(data, Table):
        raise ModelError("a node of its graph has no data")
    return data


def _table(data: Table, name: str) -> Table:
    table = data.items.get(name)
    if not isinstance(table, Table):
        raise ModelError(f"a node of its graph has no {name}")
    return table


def _sequence(table: Any, name: str) -> list[TorchObject]:
    items = table.sequence() if isinstance(table, Table) else None
    if items is None or not all(isinstance(item, TorchObject) for item in items):
        raise ModelError(f"its {name} are no nodes")
    return items


def _index(mapindex: Table, data: Table) -> int:
    index = mapindex.items.get(data)
    if not isinstance(index, float) or index < 1:
        raise ModelError("a node of its graph does not know one that it reads")
    return int(index)


HANDLERS: dict[str, Handler] = {"nn.gModule": graph_module}
