"""Caffe networks -> Graph: the layers of the phase TEST, of both generations (V1 and V2).

The handlers stand in one table a theme: elementwise, movement, norm, spatial, detection. Losses and measures of
accuracy are left out. Blobs that a layer overwrites in place are new Values here; the last one bears the blob's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, Refusals, RefusedError
from edgert.importers.caffe import detection, elementwise, movement, norm, spatial
from edgert.importers.caffe.inputs import DATA_LAYERS, input_shapes
from edgert.importers.caffe.layer import Handler, SourceLayer
from edgert.importers.caffe.outside import from_outside
from edgert.importers.caffe.read import Layer, Network, read
from edgert.ir import Graph, Value

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **movement.HANDLERS,
    **norm.HANDLERS,
    **spatial.HANDLERS,
    **detection.HANDLERS,
}

# Layers that only training and testing need.
LEFT_OUT = {"Accuracy", "DetectionEvaluate", "HDF5Output", "SegAccuracy"}

ADVICE = {
    "DummyData": "declare its blobs as inputs",
    "Im2col": "use Convolution",
    "PSROIPooling": "cut the network before it: the number of regions is known only when it runs",
    "Proposal": "cut the network before it and choose regions in the application",
    "Python": "its code is not in the model: cut the network before it, or write it with other layers",
    "ROIPooling": "cut the network before it: the number of regions is known only when it runs",
    "SPP": "use Pooling layers and Concat",
}
GENERAL_ADVICE = "cut the network before it, or replace it by supported layers"


def load(path: Path, input_shapes: Mapping[str, tuple[int, ...]] | None = None, weights: Path | None = None) -> Graph:
    """The graph of a network: a .prototxt with its .caffemodel.

    path is either file; the other one is `weights`, or stands beside it under the same name, or is the only such file
    there. Inputs and outputs keep the names of their blobs and the layout [N, C, H, W]. input_shapes settles the inputs
    of networks that read data bases, and changes those of others.

    Raises FileFormatError (not Caffe's, or damaged), InputError (a file is missing, dimensions are open, input_shapes
    do not fit), UnsupportedError (all layers that cannot be converted) and ModelError (shapes that do not fit).
    """
    network = read(Path(path), weights)
    graph = _convert(network, input_shapes)
    graph.files = network.files
    return graph


def _left_out(layer: Layer) -> bool:
    return layer.type in LEFT_OUT or layer.type.endswith("Loss")


def _convert(network: Network, given: Mapping[str, tuple[int, ...]] | None) -> Graph:
    layers, notes = _kept(network)
    first_read: set[str] = set()
    written: set[str] = set()
    for layer in layers:
        if layer.type not in DATA_LAYERS:
            first_read |= set(layer.bottoms) - written
            written |= set(layer.tops)
    names = {name for layer in layers for name in (*layer.bottoms, *layer.tops)}
    builder = GraphBuilder(network.name, names | set(network.declared))
    values = {}
    for name, shape in input_shapes(network, first_read, given, notes).items():
        values[name] = builder.input(name, shape, DType.FLOAT32)
    builder.graph.notes += notes
    last = {top: index for index, layer in enumerate(layers) for top in layer.tops}
    refusals = Refusals()
    unread: set[str] = set()
    named: set[Value] = set()
    for index, layer in enumerate(layers):
        if layer.type in DATA_LAYERS:
            continue
        unread -= set(layer.bottoms)
        if layer.type == "Silence":
            continue
        _add(builder, layer, values, refusals)
        unread |= set(layer.tops)
        for top in layer.tops:
            if last[top] == index and top in values and values[top] not in named:
                named.add(builder.name(values[top], top))
    refusals.check()
    if not unread:
        raise ModelError("the network has no outputs")
    for name in sorted(unread):  # Caffe's order
        builder.output(name, values[name])
    return builder.graph


def _kept(network: Network) -> tuple[list[Layer], list[str]]:
    """The layers that inference needs, and what to say of the others. What hangs on a loss goes with it."""
    layers: list[Layer] = []
    dropped: list[str] = []
    lost: set[str] = set()
    for layer in network.layers:
        if _left_out(layer) or lost & set(layer.bottoms):
            dropped.append(f"{layer.name} ({layer.type})")
            lost |= set(layer.tops) - set(layer.bottoms)
        else:
            layers.append(layer)
    notes = [f"Layers of training and testing are left out: {', '.join(dropped)}."] if dropped else []
    return layers, notes


def _add(builder: GraphBuilder, layer: Layer, values: dict[str, Value], refusals: Refusals) -> None:
    """Converts one layer and books its tops."""
    handler = from_outside(layer.type) or HANDLERS.get(layer.type)
    if refusals.depends(layer.bottoms):
        if handler is None:
            refusals.add(layer.name, layer.type, *_no_handler(layer.type), layer.tops)
        refusals.lose(layer.tops)
        return
    missing = [name for name in layer.bottoms if name not in values]
    where = f"{layer.type} {layer.name!r}"
    if missing:
        raise ModelError(f"{where} reads {missing[0]!r}, which nothing before it writes")
    builder.begin(layer.name, layer.type)
    bottoms = tuple(values[name] for name in layer.bottoms)
    try:
        if handler is None:
            raise RefusedError(*_no_handler(layer.type))
        source = SourceLayer(layer.name, layer.type, bottoms, len(layer.tops), layer.blobs, layer.proto)
        result = handler(builder, source)
        outputs = [result] if isinstance(result, Value) else list(result)
        if len(outputs) != len(layer.tops):
            raise ModelError(f"it has {len(layer.tops)} outputs, needed {len(outputs)}")
    except RefusedError as refusal:
        refusals.add(layer.name, layer.type, refusal.reason, refusal.fix, layer.tops)
        return
    except (ModelError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        # Anything but a ModelError comes of parameters that the layer cannot have.
        text = error if isinstance(error, ModelError) else f"its parameters or weights are damaged ({error})"
        raise ModelError(f"{where}: {text}") from error
    values.update(zip(layer.tops, outputs, strict=True))


def _no_handler(kind: str) -> tuple[str, str]:
    return "there is no such layer in edgert", ADVICE.get(kind, GENERAL_ADVICE)
