"""Which variables each layer has, and where the files of each Keras version keep them.

Keras 3 files (model.weights.h5) have a folder for every layer, called after its class and counted within its model,
with variables by number. Older files have a group for every layer of the outermost model, by name, with all variables
below it in one list: those that can be trained first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from edgert.errors import ModelError
from edgert.importers.builder import Array
from edgert.importers.keras import keras1
from edgert.importers.keras.hdf5 import Hdf5
from edgert.importers.keras.layer import Layer, Model, brought

Config = Mapping[str, object]
Reader = Callable[[], Array]


class Slot(NamedTuple):
    """One variable of a layer."""

    layer: Layer
    name: str
    trainable: bool


def _on(config: Config, name: str, default: bool = True) -> bool:
    found = config.get(name)
    return default if found is None else bool(found)


def _kernel(*kernels: str) -> Callable[[Config], list[str]]:
    return lambda config: [*kernels, *(["bias"] if _on(config, "use_bias") else [])]


def _normalised(*statistics: str) -> Callable[[Config], list[str]]:
    def names(config: Config) -> list[str]:
        scaled = _on(config, "scale") or bool(config.get("rms_scaling"))
        shifted = _on(config, "center") and not config.get("rms_scaling")
        return [*(["gamma"] if scaled else []), *(["beta"] if shifted else []), *statistics]

    return names


def _statistics(config: Config) -> list[str]:
    return [] if config.get("mean") is not None else ["mean", "variance", "count"]


def _einsum(config: Config) -> list[str]:
    return ["kernel", "bias"] if config.get("bias_axes") else ["kernel"]


def _attention(config: Config) -> list[str]:
    scale = ["scale"] if config.get("use_scale") else []
    return [*scale, "concat_score_weight"] if config.get("score_mode") == "concat" else scale


def _additive(config: Config) -> list[str]:
    return ["scale"] if _on(config, "use_scale") else []


CELL = _kernel("kernel", "recurrent_kernel")

# Kind of layer -> names of its own variables, in Keras' order. A number at the end: how many of them, counted from the
# end, are never trained.
VARIABLES: dict[str, tuple[Callable[[Config], list[str]], int]] = {
    **{
        kind: (_kernel("kernel"), 0)
        for kind in ("Dense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
                     "DepthwiseConv1D", "DepthwiseConv2D", "LocallyConnected1D", "LocallyConnected2D", "MaxoutDense")
    },
    "SeparableConv1D": (_kernel("depthwise_kernel", "pointwise_kernel"), 0),
    "SeparableConv2D": (_kernel("depthwise_kernel", "pointwise_kernel"), 0),
    "EinsumDense": (_einsum, 0),
    "Embedding": (lambda config: ["embeddings"], 0),
    "BatchNormalization": (_normalised("moving_mean", "moving_variance"), 2),
    "SyncBatchNormalization": (_normalised("moving_mean", "moving_variance"), 2),
    "LayerNormalization": (_normalised(), 0),
    "GroupNormalization": (_normalised(), 0),
    "RMSNormalization": (lambda config: ["scale"], 0),
    "Normalization": (_statistics, 3),
    "SpectralNormalization": (lambda config: ["vector_u"], 1),
    "PReLU": (lambda config: ["alpha"], 0),
    "LayerScale": (lambda config: ["gamma"], 0),
    "Attention": (_attention, 0),
    "AdditiveAttention": (_additive, 0),
    "Highway": (keras1.highway_variables, 0),
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell"), (CELL, 0)),
}  # fmt: skip


def slots(layer: Layer, trainable: bool = True) -> Iterator[Slot]:
    """Every variable of a layer and of what it is made of, in Keras' order; a shared layer once."""
    yield from _slots(layer, trainable, set())


def _slots(layer: Layer, trainable: bool, seen: set[int]) -> Iterator[Slot]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    trainable = trainable and bool(layer.config.get("trainable", True))
    inner = [*layer.children.values(), *(layer.body.layers.values() if layer.body else ())]
    if layer.kind == "SpectralNormalization":  # a wrapper: what it wraps comes first
        for child in inner:
            yield from _slots(child, trainable, seen)
        inner = []
    names, fixed = own_variables(layer)
    for index, name in enumerate(names):
        yield Slot(layer, name, trainable and index < len(names) - fixed)
    for child in inner:
        yield from _slots(child, trainable, seen)


def own_variables(layer: Layer) -> tuple[list[str], int]:
    if layer.origin.version == 1:
        names = keras1.variables(layer.kind, layer.config)
        if names is not None:
            return names, 0
    found = VARIABLES.get(layer.kind)
    return ([], 0) if found is None else (found[0](layer.config), found[1])


# --- Files of Keras 1 and 2 ---


def from_lists(model: Model, file: Hdf5, root: str) -> None:
    """Gives the layers of a model their variables from a file with a list for each layer.

    By name; by their order where a name is missing, as Keras itself does (Keras 1 does not save the names of Sequential
    models within others).
    """
    layers = [layer for layer in _flattened(model) if next(slots(layer), None) is not None]
    groups = [name for name in file.texts(root, "layer_names") if file.texts(f"{root}/{name}", "weight_names")]
    present = set(groups)
    for layer in _flattened(model):
        if brought(layer) is not None and layer.name in present:
            for index, name in enumerate(file.texts(f"{root}/{layer.name}", "weight_names")):
                at = f"{root}/{layer.name}/{name}"
                layer.weights[str(index)] = lambda at=at: file.array(at)  # type: ignore[misc]
    if len(groups) == len(layers) and any(layer.name not in present for layer in layers):
        for layer, group in zip(layers, groups, strict=True):
            _from_list(layer, file, f"{root}/{group}")
        return
    for layer in layers:
        if layer.name in present:
            _from_list(layer, file, f"{root}/{layer.name}")


def _flattened(model: Model) -> Iterator[Layer]:
    """The layers of a model; in place of a Merge those of the models that it joins (Keras 1)."""
    for layer in model.layers.values():
        branches = [child.body for child in layer.children.values() if child.body is not None]
        if layer.kind == "Merge":
            for branch in branches:
                yield from _flattened(branch)
        else:
            yield layer


def _from_list(layer: Layer, file: Hdf5, group: str) -> None:
    paths = [f"{group}/{name}" for name in file.texts(group, "weight_names")]
    wanted = sorted(slots(layer), key=lambda slot: not slot.trainable)
    if not paths or not wanted:
        return
    if len(paths) < len(wanted):
        raise ModelError(f"{layer.path!r}: the file holds {len(paths)} variables for it, needed {len(wanted)}")
    for slot, path in zip(wanted, paths, strict=False):  # states of a stateful layer may follow
        slot.layer.weights[slot.name] = lambda path=path: file.array(path)  # type: ignore[misc]


# --- Files of Keras 3, and of Keras 2.12 and later ---

CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}  # that files call otherwise than Keras' sources do
ROLES = {
    "query": ("query_dense", "_query_dense"),
    "key": ("key_dense", "_key_dense"),
    "value": ("value_dense", "_value_dense"),
    "output": ("output_dense", "_output_dense"),
}


def from_tree(layer: Layer, file: Hdf5, path: str = "") -> None:
    """Gives a layer, and all that it is made of, its variables from a file with a folder for each layer."""
    own = f"{path}/vars"
    names, _ = own_variables(layer)
    if brought(layer) is not None:  # nobody here knows their names
        names = [str(index) for index in range(len(file.names(own)))]
    first = len(file.names(own)) - len(names) if layer.kind == "SpectralNormalization" else 0
    for index, name in enumerate(names, start=max(first, 0)):
        if file.is_dataset(f"{own}/{index}"):
            layer.weights[name] = lambda at=f"{own}/{index}": file.array(at)  # type: ignore[misc]
    if layer.body is not None:
        for inner, name in _counted(layer.body.layers.values()):
            places = [f"{path}/{folder}/{name}" for folder in ("layers", "_layer_checkpoint_dependencies")]
            from_tree(inner, file, next((place for place in places if file.has(place)), places[0]))
    cells = [child for role, child in layer.children.items() if role.startswith("cells/")]
    for inner, name in _counted(cells):
        from_tree(inner, file, f"{path}/cells/{name}")
    for role, child in layer.children.items():
        if child not in cells:
            places = [f"{path}/{folder}" for folder in (role, *ROLES.get(role, ()))]
            from_tree(child, file, next((place for place in places if file.has(place)), places[0]))


def _counted(layers: Iterable[Layer]) -> Iterator[tuple[Layer, str]]:
    """Layers with the names of their folders: dense, dense_1, dense_2 ..."""
    used: dict[str, int] = {}
    for layer in layers:
        if layer.operation:  # of keras.ops: not counted
            continue
        name = snake_case(layer.folder or layer.kind)
        count = used.get(name)
        used[name] = 0 if count is None else count + 1
        yield layer, name if count is None else f"{name}_{count + 1}"


def snake_case(kind: str) -> str:
    """As Keras turns the name of a class into that of a folder."""
    kind = CLASSES.get(kind, kind)
    name = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
