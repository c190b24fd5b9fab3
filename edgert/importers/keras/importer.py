"""Reads a Keras file and walks its layers.

Every layer of the source is converted by one handler; those that cannot be are reported together. A layer's values
bear its name, behind the names of the models that it lies in.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgert.dtypes import DType
from edgert.errors import InputError, ModelError
from edgert.importers.builder import GraphBuilder, Refusals, RefusedError
from edgert.importers.interface import settle_shapes
from edgert.importers.keras import (
    attention,
    convolution,
    core,
    elementwise,
    images,
    merging,
    normalization,
    operations,
    pooling,
    recurrent,
    reshaping,
)
from edgert.importers.keras.files import opened
from edgert.importers.keras.layer import Call, CallSite, Handler, Layer, Model, Tensor, leaves, mapped
from edgert.importers.keras.outside import from_outside
from edgert.ir import Graph, Value

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **core.HANDLERS,
    **reshaping.HANDLERS,
    **convolution.HANDLERS,
    **pooling.HANDLERS,
    **normalization.HANDLERS,
    **merging.HANDLERS,
    **recurrent.HANDLERS,
    **attention.HANDLERS,
    **images.HANDLERS,
    **operations.HANDLERS,
}

IN_MODEL = "compute it before the model, and give the model the numbers"
ADVICE = {
    "Lambda": "write it with layers or keras.ops: its code is never run",
    "TextVectorization": IN_MODEL,
    "StringLookup": IN_MODEL,
    "IntegerLookup": IN_MODEL,
    "Discretization": IN_MODEL,
    "Hashing": IN_MODEL,
    "CategoryEncoding": IN_MODEL,
    "TensorFlowOpLayer": "load it in TensorFlow 2.4 or later and save it again, or convert its SavedModel",
}
GENERAL_ADVICE = "write it with layers that are known (edgert ops lists them)"


CARRIED = ("mask", "query_mask", "value_mask", "key_mask")
TAKES_A_MASK = ("Softmax",)


class _Lost:
    """What a layer that cannot be converted would have given."""


LOST = _Lost()


def load(path: Path, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """The graph of a Keras model: a .keras file, or an .h5 file of Keras 1.2 or later.

    Inputs, outputs and layers keep their names and their order of axes. input_shapes settles open dimensions, by input
    name; a first dimension that is open becomes 1, and the graph's notes say so.

    Raises FileFormatError (no Keras file, or damaged), InputError (open dimensions, or weights without a model),
    UnsupportedError (all layers that cannot be converted), ModelError (shapes that do not fit) and MissingExtraError
    without h5py.
    """
    path = Path(path)
    with opened(path) as model:
        return _Walk(model).graph(input_shapes)


class _Walk:
    """Converts a model, and the models within it."""

    def __init__(self, model: Layer) -> None:
        self.model = model
        self.refusals = Refusals()
        self.builder = GraphBuilder(model.name, set(_paths(model)))
        self.named: set[str] = set()
        self.refused: set[str] = set()

    def graph(self, input_shapes: Mapping[str, tuple[int, ...]] | None) -> Graph:
        body = self.model.body
        assert body is not None
        values = self.inputs(body, input_shapes)
        outputs = list(leaves(self.run(body, values), (Value, _Lost)))
        self.refusals.check()
        if not outputs:
            raise ModelError("the model has no outputs")
        for name, value in zip(_output_names(body), outputs, strict=True):
            taken = any(item.name == name for item in (*self.builder.graph.inputs, *self.builder.graph.outputs))
            self.builder.output(self.builder.unique(name) if taken else name, value)
        return self.builder.graph

    def inputs(self, body: Model, input_shapes: Mapping[str, tuple[int, ...]] | None) -> list[Value]:
        notes = self.builder.graph.notes
        layers = [body.layers[tensor.layer] for tensor in leaves(body.inputs, Tensor) if tensor.layer in body.layers]
        if not layers:
            raise ModelError("the model has no inputs")
        stated = {layer.name: _stated_shape(layer) for layer in layers}
        shapes = settle_shapes(stated, input_shapes, notes)
        return [self.builder.input(layer.name, shapes[layer.name], _dtype(layer, notes)) for layer in layers]

    def run(self, body: Model, values: Sequence[Any]) -> Any:
        """The tree of a model's outputs, given its inputs in order."""
        results: dict[tuple[str, int], list[Any]] = {}
        ends = list(leaves(body.inputs, Tensor))
        if len(ends) != len(values):
            raise ModelError(f"a model is called with {len(values)} tensors, needed {len(ends)}")
        for tensor, value in zip(ends, values, strict=True):
            results[tensor.layer, 0] = [value]
        sites = {(name, at): site for name, calls in body.calls.items() for at, site in enumerate(calls)}
        for call, site in sites.items():
            sites[call] = self.without_mask(body.layers[call[0]], site)
        for name, number in _order(body, sites, results):
            site = sites[name, number]
            args, kwargs = (_filled(tree, results) for tree in (list(site.args), dict(site.kwargs)))
            made = self.convert(body.layers[name], args, kwargs)
            results[name, number] = list(leaves(made, (Value, _Lost)))
        return _filled(body.outputs, results)

    def without_mask(self, layer: Layer, site: CallSite) -> CallSite:
        """A call without the mask that Keras has carried to it from Masking or an Embedding."""
        masks = {name: tree for name, tree in site.kwargs.items() if name in CARRIED}
        if not masks or layer.kind in TAKES_A_MASK or layer.operation:
            return site
        notes = self.builder.graph.notes
        sentence = f"Layer {layer.path!r}: its mask is ignored: every step counts."
        if next(leaves(masks, Tensor), None) is not None and sentence not in notes:
            notes.append(sentence)
        return CallSite(site.args, {name: tree for name, tree in site.kwargs.items() if name not in CARRIED})

    def convert(self, layer: Layer, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Any:
        """What a layer gives for these arguments: a tree of Values, or LOST."""
        kwargs = kwargs or {}
        if layer.body is not None:
            return self.run(layer.body, list(leaves([args, kwargs], (Value, _Lost))))
        lost = next(leaves([args, kwargs], _Lost), None)
        handler = from_outside(layer) or (None if layer.custom else HANDLERS.get(layer.kind))
        b = self.builder
        before = len(b.graph.nodes)
        try:
            if handler is None:
                raise _no_handler(layer)
            if lost is not None:
                return LOST
            b.begin(layer.path, layer.kind)
            made = handler(b, Call(layer, tuple(args), kwargs, self.convert, b.graph.notes))
        except RefusedError as refusal:
            if layer.path not in self.refused:  # a shared layer is refused once
                self.refused.add(layer.path)
                self.refusals.add(layer.path, layer.kind, refusal.reason, refusal.fix, ())
            return LOST
        except (ModelError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            # Anything but a ModelError comes of options and inputs that the layer cannot have.
            if self.refusals.items:  # what was refused before may be the reason
                return LOST
            text = str(error) if isinstance(error, ModelError) else f"its configuration is damaged ({error})"
            if isinstance(error, ModelError) and text.startswith("layer "):
                raise
            raise ModelError(f"layer {layer.path!r} ({layer.kind}): {text}") from error
        self.name(layer, made, before)
        return made

    def name(self, layer: Layer, made: Any, before: int) -> None:
        """Gives the first value that the layer made the layer's name."""
        fresh = {value for node in self.builder.graph.nodes[before:] for value in node.outputs}
        first = next((value for value in leaves(made, Value) if value in fresh), None)
        if first is not None and layer.path not in self.named:
            self.named.add(layer.path)
            first.name = layer.path


def _paths(layer: Layer) -> list[str]:
    inner = [*layer.children.values(), *(layer.body.layers.values() if layer.body else ())]
    return [layer.path, *(path for child in inner for path in _paths(child))]


def _no_handler(layer: Layer) -> RefusedError:
    if layer.custom:
        return RefusedError("a class of the author's own, whose code is not in the file", GENERAL_ADVICE)
    if layer.kind == "Lambda":
        return RefusedError("its code is Python's and may do anything", ADVICE["Lambda"])
    return RefusedError("there is no such layer in edgert", ADVICE.get(layer.kind, GENERAL_ADVICE))


def _order(
    body: Model, sites: Mapping[tuple[str, int], CallSite], given: Mapping[tuple[str, int], Any]
) -> list[tuple[str, int]]:
    """The calls that a model's outputs need, each after those that it reads; ModelError for a cycle."""
    position = {name: at for at, name in enumerate(body.layers)}
    calls: dict[tuple[str, int], set[tuple[str, int]]] = {}
    waiting = [(tensor.layer, tensor.call) for tensor in leaves(body.outputs, Tensor)]
    while waiting:
        call = waiting.pop()
        if call in calls or call in given or call not in sites:
            continue
        site = sites[call]
        calls[call] = {(tensor.layer, tensor.call) for tensor in leaves([site.args, site.kwargs], Tensor)}
        waiting.extend(calls[call])
    readers: dict[tuple[str, int], list[tuple[str, int]]] = {}
    missing: dict[tuple[str, int], int] = {}
    for call, sources in calls.items():
        needed = [source for source in sources if source not in given]
        missing[call] = len(needed)
        for source in needed:
            if source not in calls:
                raise ModelError(f"layer {call[0]!r} reads {source[0]!r}, call {source[1]}, which nothing makes")
            readers.setdefault(source, []).append(call)
    ready = [(position[call[0]], call[1], call[0]) for call, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, number, name = heapq.heappop(ready)
        order.append((name, number))
        for reader in readers.get((name, number), ()):
            missing[reader] -= 1
            if missing[reader] == 0:
                heapq.heappush(ready, (position[reader[0]], reader[1], reader[0]))
    if len(order) < len(calls):
        stuck = next(call for call, count in missing.items() if count > 0)
        raise ModelError(f"layers depend on one another in a circle: {stuck[0]!r} is one of them")
    return order


def _filled(tree: Any, results: Mapping[tuple[str, int], list[Any]]) -> Any:
    """The tree with what the layers gave in the places of Tensors."""

    def look(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        made = results.get((leaf.layer, leaf.call))
        if made is None:
            raise ModelError(f"nothing makes {leaf.layer!r}, call {leaf.call}")
        if any(item is LOST for item in made):
            return LOST
        if leaf.index >= len(made):
            raise ModelError(f"layer {leaf.layer!r} has {len(made)} outputs, and number {leaf.index} is read")
        return made[leaf.index]

    return mapped(tree, look)


def _output_names(body: Model) -> list[str]:
    """As Keras names them: after their layers, counted where a layer has several."""
    names: list[str] = []
    for tensor in leaves(body.outputs, Tensor):
        name, count = tensor.layer, 0
        while name in names:
            count += 1
            name = f"{tensor.layer}_{count}"
        names.append(name)
    return names


def _stated_shape(layer: Layer) -> list[int] | None:
    """Sizes, 0 for an open one; None when the file does not say."""
    shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
    if shape is None and layer.config.get("input_shape") is not None:
        shape = [None, *layer.config["input_shape"]]
    if shape is None:
        return None
    if not isinstance(shape, (list, tuple)) or not all(
        size is None or (isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 31) for size in shape
    ):
        raise ModelError(f"input {layer.name!r} has the shape {shape!r}, needed positive integers")
    return [0 if size is None else size for size in shape]


def _dtype(layer: Layer, notes: list[str]) -> DType:
    found = layer.config.get("dtype") or layer.config.get("input_dtype") or "float32"
    if isinstance(found, Mapping):  # a dtype policy
        policy = found.get("config")
        found = policy.get("name", "float32") if isinstance(policy, Mapping) else "float32"
    if layer.config.get("sparse") or layer.config.get("ragged"):
        raise InputError(f"input {layer.name!r} is sparse or ragged, needed a dense tensor: save it with sparse=False")
    if str(found) in ("float64", "float16", "bfloat16") or "mixed" in str(found):
        notes.append(f"Input {layer.name!r}: {found} in the source, float32 here.")
        return DType.FLOAT32
    try:
        return DType.of(str(found))
    except KeyError:
        raise InputError(
            f"input {layer.name!r} is {found}, needed float32, int32, int64, int8, uint8 or bool"
        ) from None
