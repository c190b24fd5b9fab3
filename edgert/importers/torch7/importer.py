"""Torch7 networks -> Graph: containers and graphs of plain nn modules.

The handlers stand in one table a theme: containers, elementwise, graph, movement, spatial. Modules have no names in
Torch7: a node is called by the numbers of the modules on the way to it, "2.1" being the first module in the second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgert.dtypes import DType
from edgert.errors import FileFormatError, InputError, ModelError
from edgert.importers.interface import settle_shapes
from edgert.importers.torch7 import containers, elementwise, graph, movement, spatial
from edgert.importers.torch7.module import Builder, Handler, Module, is_lost
from edgert.importers.torch7.outside import from_outside
from edgert.importers.torch7.read import Table, TorchObject, read_t7
from edgert.ir import Graph, Value

# cudnn's modules are nn's but for how they compute.
_PLAIN: dict[str, Handler] = {
    **containers.HANDLERS, **elementwise.HANDLERS, **graph.HANDLERS, **movement.HANDLERS, **spatial.HANDLERS,
}  # fmt: skip
HANDLERS: dict[str, Handler] = {
    **_PLAIN,
    **{
        f"cudnn.{name}": _PLAIN[f"nn.{name}"]
        for name in ("LogSoftMax", "ReLU", "Sigmoid", "SoftMax", "SpatialCrossMapLRN", "SpatialLogSoftMax",
                     "SpatialSoftMax", "Tanh")
    },
}  # fmt: skip

ADVICE = "replace it by plain nn modules, or export the model through ONNX"


def load(path: Path, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """The graph of a network that torch.save wrote, binary or ASCII.

    A file does not say what it takes: input_shapes gives the shape of "input", batch included, or of "input1",
    "input2", ... where the network takes a table. Its output is "output", or "output1", "output2", ...

    Raises FileFormatError (not Torch7's, or damaged), InputError (no shape is given), UnsupportedError (all modules
    that cannot be converted) and ModelError (shapes that do not fit).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    builder = Builder(path.stem, lambda kind: from_outside(kind) or HANDLERS.get(kind), _no_handler)
    net = _network(read_t7(path), path, builder.graph.notes)
    names = sorted(input_shapes or {}, key=lambda name: int(re.sub(r"\D", "", name) or 0))
    if not all(re.fullmatch(r"input\d*", name) for name in names):
        wrong = next(name for name in names if not re.fullmatch(r"input\d*", name))
        raise InputError(f"input_shapes names {wrong!r}: inputs are called 'input', or 'input1', 'input2', ...")
    shapes = settle_shapes(dict.fromkeys(names or ["input"]), input_shapes, builder.graph.notes)
    inputs = [builder.input(name, shape, DType.FLOAT32) for name, shape in shapes.items()]
    result = builder.apply(Module(net), inputs[0] if len(inputs) == 1 else inputs)
    builder.refusals.check()
    _add_outputs(builder, result)
    return builder.graph


def _network(content: Any, path: Path, notes: list[str]) -> TorchObject:
    """The network in a file: its object, or the only one of a table (a checkpoint)."""
    if isinstance(content, TorchObject):
        return content
    items = content.items if isinstance(content, Table) else {}
    found = [(key, item) for key, item in items.items() if isinstance(item, TorchObject) and item.kind in HANDLERS]
    if len(found) == 1:
        notes.append(f"The file holds a table; its item {found[0][0]!r} is taken.")
        return found[0][1]
    what = f"a table with {len(found)} networks" if isinstance(content, Table) else "no network"
    raise FileFormatError(f"{path.name}: it holds {what}, needed one, as torch.save(path, net) writes it")


def _add_outputs(builder: Builder, result: Any) -> None:
    if isinstance(result, Value):
        builder.output("output", result)
        return
    leaves = _leaves(result)
    if not leaves or is_lost(result):
        raise ModelError("the network has no outputs")
    for number, value in enumerate(leaves, start=1):
        builder.output(f"output{number}", value)


def _leaves(result: Any) -> list[Value]:
    """The tensors of a table, tables in it included."""
    if isinstance(result, Value):
        return [result]
    return [leaf for item in result for leaf in _leaves(item)] if isinstance(result, list) else []


def _no_handler(kind: str) -> tuple[str, str]:
    return "there is no such module in edgert", ADVICE
