"""Frozen TensorFlow graphs (GraphDef) -> Graph, with protobuf alone.

The handlers stand in one table a theme: elementwise, linear, spatial, resize, movement, shapes, reduce,
indices, lists, recurrent, spectral, detection, quant.
Shapes are all known, so that arithmetic on shapes is computed here and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgert.dtypes import DType
from edgert.errors import FileFormatError, InputError, ModelError
from edgert.importers.builder import Array
from edgert.importers.tensorflow import (
    detection,
    elementwise,
    indices,
    linear,
    lists,
    movement,
    quant,
    recurrent,
    reduce,
    resize,
    shapes,
    spatial,
    spectral,
)
from edgert.importers.tensorflow.builder import Bound, Builder, Handler
from edgert.importers.tensorflow.interface import add_inputs, add_outputs, as_tensor, find_interface, sinks
from edgert.importers.tensorflow.messages import parse
from edgert.importers.tensorflow.shapes import write_state
from edgert.importers.tensorflow.walk import FLOW, Scope, Walk
from edgert.ir import Graph

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **linear.HANDLERS,
    **spatial.HANDLERS,
    **movement.HANDLERS,
    **shapes.HANDLERS,
    **reduce.HANDLERS,
    **resize.HANDLERS,
    **recurrent.HANDLERS,
    **spectral.HANDLERS,
    **indices.HANDLERS,
    **detection.HANDLERS,
    **lists.HANDLERS,
    **quant.HANDLERS,
}
# All that the importer knows: the walk follows calls, branches and loops itself.
OPERATORS = (*HANDLERS, *FLOW, "Enter")

FLOAT_GRAPH = "give the graph as it was before quantize_graph, or train with FakeQuant nodes"
BEFORE = "cut the model before it: outputs=[...]"
FRONT = "it prepares raw input: cut the model after it with inputs=[...], and do this step in the application"
ADVICE = {
    **dict.fromkeys(
        ("QuantizeV2", "Dequantize", "QuantizedConv2D", "QuantizedMatMul", "QuantizedRelu", "QuantizedRelu6",
         "Requantize", "QuantizedMaxPool", "QuantizedAvgPool", "QuantizedBiasAdd", "QuantizedReshape",
         "RequantizationRange", "QuantizeDownAndShrinkRange", "QuantizedConcat", "QuantizedAdd",
         "QuantizedMul"), FLOAT_GRAPH),
    **dict.fromkeys(
        ("AsString",
         "LookupTableFindV2", "CTCGreedyDecoder", "CTCBeamSearchDecoder"), BEFORE),
    **dict.fromkeys(
        ("DecodeJpeg", "DecodePng", "DecodeImage", "DecodeWav", "AudioSpectrogram", "Mfcc", "ParseExample",
         "DecodeRaw"),
        FRONT),
    "RandomStandardNormal": "freeze the graph for inference: random numbers serve training",
}  # fmt: skip


def load(
    path: Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    constants: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of a frozen .pb file, or of a SavedModel folder.

    inputs, outputs: names of the tensors ("node", or "node:1") at which to cut. Without them the inputs are the
    placeholders, in the file's order, and the outputs what no node reads; a front end that cannot run here (decoding of
    files, spectrograms) is cut off, and the graph's notes say where and what to feed. Inputs and outputs keep the
    source's names and layout. input_shapes settles open dimensions, by input name; an open first dimension that it does
    not mention becomes 1. constants: arrays for inputs that decide a shape or a branch.

    Raises FileFormatError (no frozen graph, or damaged), InputError (open dimensions, names that are not there),
    UnsupportedError (all operators that cannot be converted), ModelError (a graph that means something impossible) and
    MissingExtraError (protobuf).
    """
    path = Path(path)
    if path.is_dir() or path.name == "saved_model.pb":
        from edgert.importers.tensorflow.saved_model import load_saved_model

        return load_saved_model(path if path.is_dir() else path.parent, input_shapes, inputs=inputs, outputs=outputs)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    definition = read_graph(path.read_bytes(), path.name)
    asked = {name.removesuffix(":0"): name for name in inputs} if inputs is not None else None
    wanted = {name.removesuffix(":0"): name for name in outputs} if outputs is not None else None
    return convert_graph(definition, path.stem, input_shapes, asked, wanted, constants)


def read_graph(data: bytes, file: str) -> Any:
    """The GraphDef in a file's bytes."""
    start = data[:512].lstrip()
    if start.startswith((b"node {", b"node{", b"library {")):
        raise FileFormatError(f"{file}: a graph as text; write it in binary (tf.io.write_graph(..., as_text=False))")
    definition = parse("GraphDef", data, file)
    if not definition.node:
        saved = b"saved_model" in file.encode() or bytes(data[:2]) == b"\x08\x01"
        hint = "a SavedModel is given by its folder" if saved else "it has no nodes"
        raise FileFormatError(f"{file}: not a frozen TensorFlow graph, or cut short: {hint}")
    return definition


def convert_graph(
    definition: Any,
    name: str,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    constants: Mapping[str, Array] | None = None,
    variables: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of a GraphDef. inputs, outputs: tensors by the names that they get here; variables: by shared name."""
    nodes: dict[str, Any] = {}
    for node in definition.node:
        if node.name in nodes:
            raise ModelError(f"two nodes have the name {node.name!r}")
        nodes[node.name] = node
    functions = {entry.signature.name: entry for entry in definition.library.function}
    given = dict(input_shapes or {})
    if outputs is not None:
        wanted = {key: as_tensor(nodes, text, "outputs").name for key, text in outputs.items()}
        if not wanted:
            raise InputError("outputs is empty: name at least one tensor")
    else:
        wanted = {sink: sink for sink in sinks(nodes)}

    def probe(tensor: str) -> tuple[tuple[int, ...], DType] | None:
        """Of a tensor within the graph, by converting what stands before it."""
        rest = {key: shape for key, shape in given.items() if key not in (inputs or {})}
        part = convert_graph(definition, name, rest, None, {"probe": tensor}, constants, variables)
        return part.outputs[0].shape, part.outputs[0].dtype

    producer = int(definition.versions.producer)
    found = find_interface(nodes, list(wanted.values()), inputs, constants or {}, producer, probe, given)
    reserved = {*nodes, *wanted, *(feed.name for feed in found.feeds)}
    stateful: frozenset[str] = frozenset()
    while True:
        builder = Builder(name, reserved, variables or {}, stateful)
        scope = Scope(nodes, "", 0, False)
        add_inputs(builder, scope, found, given)
        walk = Walk(builder, HANDLERS, ADVICE, functions)
        made = dict(zip(wanted, walk.evaluate(scope, list(wanted.values())), strict=True))
        walk.refusals.check()
        if stateful >= builder.state.keys():
            break
        stateful |= builder.state.keys()  # once more, with variables in place of the constants that they begin with
    if outputs is None:  # all outputs of a node that nothing reads
        made = _all_outputs(scope, wanted)
    add_outputs(builder, made, outputs is not None)
    write_state(builder)
    builder.graph.verify()
    return builder.graph


def _all_outputs(scope: Scope, wanted: Mapping[str, str]) -> dict[str, Bound]:
    """Of nodes that nothing reads: of a normalisation the first alone, for the others are what it was given."""
    made: dict[str, Bound] = {}
    for name in wanted:
        results = scope.results[name]
        if not isinstance(results, Sequence):
            continue
        count = 1 if scope.nodes[name].op.startswith("FusedBatchNorm") else len(results)
        for index, bound in enumerate(results[:count]):
            made[f"{name}:{index}" if index else name] = bound
    return made
