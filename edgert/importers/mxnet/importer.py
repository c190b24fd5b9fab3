"""MXNet symbols -> Graph, with their parameters.

The handlers stand in one table a theme: elementwise, linear, movement, norm, recurrent, sampling, spatial, detection.
Names are those that MXNet lists: an operator's output is name_output, several are name_output0, name_output1, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from edgert.dtypes import DType
from edgert.errors import InputError, ModelError
from edgert.importers.builder import Array, GraphBuilder, Refusals, RefusedError
from edgert.importers.interface import Stated, settle_shapes
from edgert.importers.mxnet import detection, elementwise, linear, movement, norm, recurrent, sampling, spatial
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.importers.mxnet.outside import from_outside
from edgert.importers.mxnet.params import read_params
from edgert.importers.mxnet.symbol import Symbol, SymbolNode, read_symbol
from edgert.ir import Graph, Value

HANDLERS: dict[str, Handler] = {
    **detection.HANDLERS,
    **elementwise.HANDLERS,
    **linear.HANDLERS,
    **movement.HANDLERS,
    **norm.HANDLERS,
    **recurrent.HANDLERS,
    **sampling.HANDLERS,
    **spatial.HANDLERS,
}

# Operators whose first input alone counts: the others are labels.
LABELLED = {
    "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput", "SVMOutput", "Softmax",
    "SoftmaxOutput",
}  # fmt: skip
# Operators that list their statistics as inputs only since 0.9: the names of those.
STATISTICS = {"BatchNorm": ("moving_mean", "moving_var"), "BatchNorm_v1": ("moving_mean", "moving_var")}
FLOATS = ("0", "1", "2")  # __dtype__: float32, float64, float16
INTEGERS = {"4": DType.INT32, "6": DType.INT64}

ADVICE = {
    "Custom": "its code is not in the model: write it with other operators",
    "ROIPooling": "cut the symbol before it: the number of regions is known only when it runs",
    "_contrib_Proposal": "cut the symbol before it and choose regions in the application",
    "_foreach": "unroll the loop before export",
    "_while_loop": "unroll the loop before export",
}
GENERAL_ADVICE = "cut the symbol before it (get_internals), or replace it by supported operators"


def load(path: Path, input_shapes: Mapping[str, tuple[int, ...]] | None = None, weights: Path | None = None) -> Graph:
    """The graph of a symbol: prefix-symbol.json with prefix-0001.params.

    path is either file; the other one is `weights`, or stands beside it (of several epochs, the last one is taken, and
    the notes say so). Inputs and outputs keep MXNet's names and layout; labels are dropped.

    Raises FileFormatError (not MXNet's, or damaged), InputError (a file is missing, shapes are open or do not fit),
    UnsupportedError (all operators that cannot be converted) and ModelError (shapes that do not fit).
    """
    symbol_path, params_path, notes = _pair(Path(path), weights)
    symbol = read_symbol(symbol_path)
    params = read_params(params_path)
    graph = _convert(symbol, params, input_shapes, symbol_path.name.removesuffix("-symbol.json"), notes)
    graph.files = (symbol_path, params_path)
    return graph


def _pair(path: Path, weights: Path | None) -> tuple[Path, Path, list[str]]:
    """(symbol, parameters, what was assumed)"""
    for item in (path, Path(weights or path)):
        if not item.is_file():
            raise InputError(f"{item}: there is no such file")
    if weights is not None:
        other = Path(weights)
        return (other, path, []) if path.suffix == ".params" else (path, other, [])
    if path.suffix == ".params":
        prefix = re.sub(r"(-\d+)?\.params$", "", path.name)
        symbol = path.with_name(f"{prefix}-symbol.json")
        if not symbol.is_file():
            raise InputError(
                f"{path.name}: its symbol ({symbol.name}) is not beside it: pass it as weights=, on the command line "
                f"--weights"
            )
        return symbol, path, []
    prefix = path.name.removesuffix(".json").removesuffix("-symbol")
    pattern = re.compile(re.escape(prefix) + r"(-\d+)?\.params")
    found = sorted(item for item in path.parent.iterdir() if pattern.fullmatch(item.name))
    if not found:
        raise InputError(
            f"{path.name}: its parameters ({prefix}-0000.params) are not beside it: pass them as weights=, on the "
            f"command line --weights"
        )
    notes = [f"Of {len(found)} parameter files, {found[-1].name} is taken."] if len(found) > 1 else []
    return path, found[-1], notes


def _convert(
    symbol: Symbol,
    params: dict[str, Array],
    given: Mapping[str, tuple[int, ...]] | None,
    name: str,
    notes: list[str],
) -> Graph:
    needed = symbol.reachable()
    arrays = {key.partition(":")[2] if key[:4] in ("arg:", "aux:") else key: array for key, array in params.items()}
    labels = _labels(symbol, needed)
    stated: dict[str, Stated] = {}
    for index, node in enumerate(symbol.nodes):
        if index in needed and node.op == "null" and node.name not in arrays and index not in labels:
            shape = SourceNode(node.name, node.op, node.attrs, ()).integers("__shape__")
            stated[node.name] = tuple(shape) if shape else None
    names = {node.name for node in symbol.nodes} | {text for node in symbol.nodes for text in _output_names(node, 1)}
    builder = GraphBuilder(name, names)
    builder.graph.notes += notes
    shapes = settle_shapes(stated, given, builder.graph.notes)
    values: dict[tuple[int, int], Value] = {}
    refusals = Refusals()
    for index, node in enumerate(symbol.nodes):
        if index not in needed or index in labels:
            continue
        if node.op == "null":
            values[index, 0] = _variable(builder, node, arrays, shapes)
        else:
            _add(builder, symbol, index, arrays, values, refusals)
    refusals.check()
    _add_outputs(builder, symbol, values)
    return builder.graph


def _labels(symbol: Symbol, needed: Iterable[int]) -> set[int]:
    """Variables that nothing but the label of an output reads."""
    read: set[int] = set()
    label: set[int] = set()
    for index in needed:
        node = symbol.nodes[index]
        for position, (source, _) in enumerate(node.inputs):
            (label if position and node.op in LABELLED else read).add(source)
    heads = {index for index, _ in symbol.heads}
    return {index for index in label - read - heads if symbol.nodes[index].op == "null"}


def _plain(array: Array) -> Array:
    """Floats as float32."""
    return np.asarray(array, np.float32) if array.dtype.kind == "f" else array


def _variable(
    builder: GraphBuilder, node: SymbolNode, arrays: dict[str, Array], shapes: dict[str, tuple[int, ...]]
) -> Value:
    if node.name in arrays:
        array = _plain(arrays[node.name])
        try:
            return builder.const(array, node.name)
        except KeyError:
            raise ModelError(f"the parameter {node.name!r} has elements of the type {array.dtype.name}") from None
    kind = node.attrs.get("__dtype__", "0")
    if kind not in FLOATS and kind not in INTEGERS:
        raise ModelError(f"the input {node.name!r} has elements of MXNet's type {kind}, needed floats, int32 or int64")
    if kind in FLOATS[1:]:
        builder.graph.notes.append(f"Input {node.name!r}: not float32 in the source, float32 here.")
    return builder.input(node.name, shapes[node.name], INTEGERS.get(kind, DType.FLOAT32))


def _output_names(node: SymbolNode, count: int) -> list[str]:
    return [f"{node.name}_output"] if count == 1 else [f"{node.name}_output{index}" for index in range(count)]


def _add(
    builder: GraphBuilder,
    symbol: Symbol,
    index: int,
    arrays: dict[str, Array],
    values: dict[tuple[int, int], Value],
    refusals: Refusals,
) -> None:
    """Converts one node and books its outputs."""
    node = symbol.nodes[index]
    entries = node.inputs[:1] if node.op in LABELLED else node.inputs
    handler = from_outside(node.op) or HANDLERS.get(node.op)
    key = str(index)
    if refusals.depends([str(source) for source, _ in entries]):
        if handler is None:
            refusals.add(node.name, node.op, *_no_handler(node.op), [key])
        refusals.lose([key])
        return
    where = f"{node.op} {node.name!r}"
    missing = [entry for entry in entries if entry not in values]
    if missing:
        source, output = missing[0]
        raise ModelError(f"{where} reads output {output} of {symbol.nodes[source].name!r}, which has no such output")
    builder.begin(node.name, node.op)
    inputs = (*(values[entry] for entry in entries), *_unlisted(builder, node, len(entries), arrays))
    try:
        if handler is None:
            raise RefusedError(*_no_handler(node.op))
        result = handler(builder, SourceNode(node.name, node.op, node.attrs, inputs))
    except RefusedError as refusal:
        refusals.add(node.name, node.op, refusal.reason, refusal.fix, [key])
        return
    except (ModelError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        # Anything but a ModelError comes of attributes that the operator cannot have.
        text = error if isinstance(error, ModelError) else f"its attributes or parameters are damaged ({error})"
        raise ModelError(f"{where}: {text}") from error
    outputs = [result] if isinstance(result, Value) else list(result)
    made = {value for item in builder.graph.nodes[-1:] for value in item.outputs}
    for position, (value, text) in enumerate(zip(outputs, _output_names(node, len(outputs)), strict=True)):
        values[index, position] = value
        if value in made:
            builder.name(value, text)
            made.discard(value)


def _unlisted(builder: GraphBuilder, node: SymbolNode, listed: int, arrays: Mapping[str, Array]) -> list[Value]:
    """Statistics that symbols before 0.9 do not list among a node's inputs."""
    values = []
    for suffix in STATISTICS.get(node.op, ()) if listed == 3 else ():
        stored = arrays.get(f"{node.name}_{suffix}")
        if stored is None:
            raise ModelError(f"{node.op} {node.name!r}: there is no parameter {node.name}_{suffix}")
        values.append(builder.const(_plain(stored)))
    return values


def _add_outputs(builder: GraphBuilder, symbol: Symbol, values: dict[tuple[int, int], Value]) -> None:
    for source, output in symbol.heads:
        node = symbol.nodes[source]
        if (source, output) not in values:
            raise ModelError(f"the symbol's output {output} of {node.name!r} does not exist")
        count = sum(1 for index, _ in values if index == source)
        name = node.name if node.op == "null" else _output_names(node, count)[output]
        taken = {value.name for value in (*builder.graph.inputs, *builder.graph.outputs)}
        builder.output(builder.unique(name) if name in taken else name, values[source, output])


def _no_handler(op: str) -> tuple[str, str]:
    if op.startswith("_contrib_quantize"):
        return "MXNet's own quantisation", "give the float symbol to edgert, and calibrate it here"
    return "there is no such operator in edgert", ADVICE.get(op, GENERAL_ADVICE)
