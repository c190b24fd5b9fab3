"""From the configuration in a Keras file to Layers and Models, whichever version wrote it.

The configuration is data: code that it may carry (Lambda layers) is never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgert.errors import ModelError
from edgert.importers.keras import keras1
from edgert.importers.keras.layer import CallSite, Layer, Model, Origin, Tensor, leaves, mapped

DEEPEST = 40  # models and wrappers within one another
CELLS = {
    "LSTM": "LSTMCell", "GRU": "GRUCell", "SimpleRNN": "SimpleRNNCell",
    "ConvLSTM1D": "ConvLSTMCell", "ConvLSTM2D": "ConvLSTMCell", "ConvLSTM3D": "ConvLSTMCell",
    "CuDNNLSTM": "LSTMCell", "CuDNNGRU": "GRUCell",
}  # fmt: skip
OWN_MODULES = ("keras", "tf_keras", "tensorflow", "builtins", "tf.keras")


def build(source: Mapping[str, Any], origin: Origin) -> Layer:
    """The outermost model. Raises ModelError for a configuration that means none."""
    try:
        layer = _layer(source, origin, "", 0)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"the model's configuration is damaged ({error!r})") from error
    if layer.body is None:
        raise ModelError(
            f"the file holds a {layer.kind!r}, which is no Sequential or Functional model: its layers are code, not "
            f"data; save a model that is made with keras.Sequential or keras.Model(inputs, outputs)"
        )
    return layer


def _layer(source: Any, origin: Origin, prefix: str, depth: int, name: str | None = None) -> Layer:
    if depth > DEEPEST:
        raise ModelError(f"models lie more than {DEEPEST} deep within one another")
    if not isinstance(source, Mapping) or not isinstance(source.get("class_name"), str):
        raise ModelError("a layer's configuration has no class_name")
    kind, config = source["class_name"], source.get("config")
    if isinstance(config, list):  # Sequential before Keras 2.2.3
        config = {"layers": config, "name": source.get("name")}
    if not isinstance(config, Mapping):
        config = {}
    found = name or config.get("name") or source.get("name") or kind.lower()
    if not isinstance(found, str):
        raise ModelError(f"a layer's name is {found!r}, needed text")
    path = f"{prefix}/{found}" if prefix else found
    folder = kind
    if custom := _custom(source):
        return Layer(custom, found, path, config, origin, folder=folder, custom=True)
    if "layers" in config and kind != "Merge":
        layer = Layer("Functional" if "input_layers" in config else "Sequential", found, path, config, origin)
        layer.folder = folder
        inner = path if depth else ""
        layer.body = (
            _functional(config, origin, inner, depth) if layer.kind == "Functional"
            else _sequential(source, config, origin, inner, depth)
        )  # fmt: skip
        return layer
    if origin.version == 1:
        kind, config = keras1.translated(kind, config, origin.channels_first)
    operation = _is_operation(source, config, origin)
    if operation:
        kind = f"ops.{kind}"
    if kind in ("TFOpLambda", "SlicingOpLambda") and isinstance(config.get("function"), str):
        kind = f"tf.{_short(config['function'])}"
    layer = Layer(kind, found, path, config, origin, folder=folder, operation=operation)
    layer.children = _children(layer, depth)
    return layer


def _short(function: str) -> str:
    """A function of TensorFlow without its module: tf.math.add and tf.__operators__.add are tf.add."""
    prefixes = ("compat.v1.", "__operators__.", "math.", "nn.", "linalg.")
    for prefix in prefixes:
        function = function.removeprefix(prefix)
    return function


def _is_operation(source: Mapping[str, Any], config: Mapping[str, Any], origin: Origin) -> bool:
    """Of keras.ops: some are called as a layer is. Old files do not say where a class is from, but layers alone can be
    trained or not."""
    if isinstance(source.get("module"), str):
        return ".ops" in source["module"]
    named = isinstance(source.get("inbound_nodes"), list) and source["class_name"] != "InputLayer"
    return origin.version == 3 and named and "module" not in source and not {"trainable", "dtype"} & config.keys()


def _custom(source: Mapping[str, Any]) -> str:
    """The name of a class that is not Keras' own; "" for one that is."""
    module, registered = source.get("module"), source.get("registered_name")
    if isinstance(registered, str) and ">" in registered and not registered.startswith("keras"):
        return registered
    if isinstance(module, str) and module.split(".")[0] not in OWN_MODULES:
        return f"{module}.{source['class_name']}"
    if "module" in source and module is None:
        return str(source["class_name"])
    return ""


def _children(layer: Layer, depth: int) -> dict[str, Layer]:
    """The layers that a layer is made of, by role, in the order of their variables."""
    config, origin = layer.config, layer.origin
    if layer.kind in CELLS:
        cudnn = {"cudnn": True} if layer.kind.startswith("CuDNN") else {}
        return {"cell": Layer(CELLS[layer.kind], "cell", layer.path, {**config, **cudnn}, origin)}
    if layer.kind == "Bidirectional":
        forward = _layer(config.get("layer"), origin, layer.path, depth + 1)
        backward = config.get("backward_layer")
        if not isinstance(backward, Mapping):
            inner = dict(config["layer"])
            inner["config"] = {**inner["config"], "go_backwards": not inner["config"].get("go_backwards", False)}
            backward = inner
        return {"forward_layer": forward, "backward_layer": _layer(backward, origin, layer.path, depth + 1)}
    if layer.kind == "StackedRNNCells":
        cells = config.get("cells")
        if not isinstance(cells, list):
            raise ModelError(f"{layer.path!r}: cells is {cells!r}, needed a list")
        return {f"cells/{index}": _layer(cell, origin, layer.path, depth + 1) for index, cell in enumerate(cells)}
    if layer.kind == "Merge" and isinstance(config.get("layers"), list):
        return {f"branch/{i}": _layer(item, origin, "", depth + 1) for i, item in enumerate(config["layers"])}
    if layer.kind in ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"):
        biased = {"bias_axes": "e" if config.get("use_bias", True) else None}
        parts = {"query": "query", "key": "key", "value": "value", "output": "attention_output"}
        if config.get("use_gate"):
            parts["gate"] = "gate"
        return {
            role: Layer("EinsumDense", part, f"{layer.path}/{part}", biased, origin) for role, part in parts.items()
        }
    for role in ("layer", "cell"):
        if isinstance(config.get(role), Mapping):
            return {role: _layer(config[role], origin, layer.path, depth + 1)}
    return {}


# --- Sequential ---


def _sequential(source: Mapping[str, Any], config: Mapping[str, Any], origin: Origin, prefix: str, depth: int) -> Model:
    sources = config["layers"]
    if not isinstance(sources, list) or not sources:
        raise ModelError(f"the Sequential model {config.get('name')!r} has no layers")
    layers: dict[str, Layer] = {}
    repeated: list[Layer] = []
    for item in sources:
        layer = _layer(item, origin, prefix, depth + 1)
        if layer.name in layers and layer.body is not None:  # a model without a name of its own
            layer = _layer(item, origin, prefix, depth + 1, f"{layer.name}_{len(layers)}")
        repeated.append(layers.setdefault(layer.name, layer))
    first = repeated[0]
    inputs: list[Layer] = []
    if first.kind != "InputLayer":
        build_config = source.get("build_config")
        built = config.get("build_input_shape") or (
            build_config.get("input_shape") if isinstance(build_config, Mapping) else None
        )
        inputs = _implied_inputs(first, built, prefix)
        layers = {**{layer.name: layer for layer in inputs}, **layers}
    else:
        inputs = [repeated.pop(0)]
    calls: dict[str, list[CallSite]] = {}
    tensors: Any = [Tensor(layer.name, 0, 0) for layer in inputs]
    current = tensors if len(tensors) > 1 else tensors[0]
    for layer in repeated:
        sites = calls.setdefault(layer.name, [])
        sites.append(CallSite((current,), {}))
        current = Tensor(layer.name, len(sites) - 1, 0)
    return Model(layers, calls, tensors if len(tensors) > 1 else tensors[0], current)


def _implied_inputs(first: Layer, built: Any, prefix: str) -> list[Layer]:
    """Inputs of a Sequential model that has no InputLayer: its first layer states their shape."""
    if first.kind == "Merge":
        return [item for branch in first.children.values() for item in model_inputs(branch, prefix)]
    if first.body is not None and not any(name in first.config for name in ("batch_input_shape",)):
        return model_inputs(first, prefix)
    name = f"{first.name}_input"
    shape = first.config.get("batch_input_shape") or built
    if shape is None and first.children:
        inner = next(iter(first.children.values()))
        shape = inner.config.get("batch_input_shape")
    if shape is None and first.kind == "Embedding":
        length = first.config.get("input_length")
        shape = [None, length] if isinstance(length, int) else [None, None]
    dtype = first.config.get("input_dtype") or first.config.get("dtype") or "float32"
    config = {"batch_input_shape": shape, "dtype": dtype, "name": name}
    path = f"{prefix}/{name}" if prefix else name
    return [Layer("InputLayer", name, path, config, first.origin)]


def model_inputs(layer: Layer, prefix: str = "") -> list[Layer]:
    """Copies of a model's InputLayers."""
    if layer.body is None:
        raise ModelError(f"layer {layer.name!r} is a {layer.kind}, needed a model")
    found = [layer.body.layers[tensor.layer] for tensor in leaves(layer.body.inputs, Tensor)]
    return [
        Layer("InputLayer", item.name, f"{prefix}/{item.name}" if prefix else item.name, item.config, item.origin)
        for item in found
    ]


# --- Functional ---


def _functional(config: Mapping[str, Any], origin: Origin, prefix: str, depth: int) -> Model:
    sources = config["layers"]
    if not isinstance(sources, list):
        raise ModelError("the model's layers are no list")
    layers: dict[str, Layer] = {}
    calls: dict[str, list[CallSite]] = {}
    for item in sources:
        if not isinstance(item, Mapping):
            raise ModelError("a layer's configuration is no object")
        name = item.get("name")
        layer = _layer(item, origin, prefix, depth + 1, name if isinstance(name, str) else None)
        if layer.name in layers:
            raise ModelError(f"two layers have the name {layer.name!r}")
        layers[layer.name] = layer
        nodes = item.get("inbound_nodes") or []
        if not isinstance(nodes, list):
            raise ModelError(f"the inbound_nodes of {layer.name!r} are no list")
        calls[layer.name] = [_call_site(node, layer) for node in nodes]
    inputs, outputs = (mapped_ends(config.get(key), key) for key in ("input_layers", "output_layers"))
    model = Model(layers, calls, inputs, outputs)
    _count_from_zero(model, origin.version)
    return model


def mapped_ends(tree: Any, key: str) -> Any:
    """The tree of a model's inputs or outputs: [name, call, index] are its leaves."""
    if _is_history(tree):
        return Tensor(tree[0], tree[1], tree[2])
    if isinstance(tree, (list, tuple)):
        return [mapped_ends(item, key) for item in tree]
    if isinstance(tree, Mapping):
        return {name: mapped_ends(item, key) for name, item in tree.items()}
    raise ModelError(f"{key} holds {tree!r}, needed [layer, call, output]")


def _is_history(item: Any) -> bool:
    return (
        isinstance(item, (list, tuple))
        and len(item) >= 3
        and isinstance(item[0], str)
        and all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in item[1:3])
    )


def _call_site(node: Any, layer: Layer) -> CallSite:
    if isinstance(node, Mapping):  # Keras 3
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, Mapping):
            raise ModelError(f"a call of {layer.name!r} has no arguments")
        return CallSite(tuple(plain(item) for item in args), {name: plain(item) for name, item in kwargs.items()})
    if isinstance(node, Mapping) or not isinstance(node, (list, tuple)):
        raise ModelError(f"a call of {layer.name!r} is {node!r}, needed a list")
    entries = [node] if _is_history(node) or _is_constant(node) else node
    tensors: list[Any] = []
    kwargs_found: dict[str, Any] = {}
    for entry in entries:
        if _is_history(entry):
            tensors.append(Tensor(entry[0], entry[1], entry[2]))
        elif _is_constant(entry):
            tensors.append(entry[2])
        else:
            raise ModelError(f"a call of {layer.name!r} reads {entry!r}, needed [layer, call, output]")
        if len(entry) > 3 and isinstance(entry[3], Mapping):
            kwargs_found.update({name: _old_argument(item) for name, item in entry[3].items()})
    first = tensors[0] if len(tensors) == 1 else tensors
    return CallSite((first,), kwargs_found)


def _is_constant(entry: Any) -> bool:
    return isinstance(entry, (list, tuple)) and len(entry) >= 3 and entry[0] == "_CONSTANT_VALUE"


def _old_argument(item: Any) -> Any:
    """An argument of Keras 2: [layer, call, output] is a tensor there too."""
    if _is_constant(item):
        return item[2]
    if _is_history(item) and len(item) == 3:
        return Tensor(item[0], item[1], item[2])
    if isinstance(item, (list, tuple)):
        return [_old_argument(part) for part in item]
    if isinstance(item, Mapping):
        return {name: _old_argument(part) for name, part in item.items()}
    return item


def plain(item: Any, depth: int = 0) -> Any:
    """An argument of Keras 3 as a tree of Tensors and plain values: numbers, text, lists, slices, Ellipsis."""
    if depth > DEEPEST:
        raise ModelError("an argument is nested too deeply")
    if isinstance(item, list):
        return [plain(part, depth + 1) for part in item]
    if not isinstance(item, Mapping):
        return item
    kind, config = item.get("class_name"), item.get("config")
    if kind == "__keras_tensor__" and isinstance(config, Mapping):
        history = config.get("keras_history")
        if not _is_history(history):
            raise ModelError(f"a tensor's history is {history!r}, needed [layer, call, output]")
        assert history is not None
        return Tensor(history[0], history[1], history[2])
    if kind in ("__tensor__", "__numpy__") and isinstance(config, Mapping):
        return plain(config.get("value"), depth + 1)
    if kind == "__tuple__":
        return plain(item.get("items", config), depth + 1)
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__slice__" and isinstance(config, Mapping):
        return slice(*(plain(config.get(name), depth + 1) for name in ("start", "stop", "step")))
    if kind is not None and config is not None:
        return dict(item)  # an object: a dtype policy, a function
    return {name: plain(part, depth + 1) for name, part in item.items()}


def _count_from_zero(model: Model, version: int) -> None:
    """Calls of a model within a model, where its own inputs were call 0: tf.keras 2 counts all of them from 1, Keras 3
    those which give the outer model's outputs."""
    if version == 3:
        within = {name for name, layer in model.layers.items() if layer.body is not None and layer.kind == "Functional"}
        model.outputs = mapped(model.outputs, lambda leaf: _earlier(leaf, within))
        return
    highest: dict[str, int] = {}
    sites = [site for calls in model.calls.values() for site in calls]
    everything = [model.inputs, model.outputs, *(site.args for site in sites), *(site.kwargs for site in sites)]
    for tensor in leaves(everything, Tensor):
        highest[tensor.layer] = max(highest.get(tensor.layer, 0), tensor.call)
    late = {
        name
        for name, layer in model.layers.items()
        if layer.body is not None and model.calls.get(name) and highest.get(name, 0) == len(model.calls[name])
    }

    def moved(leaf: Any) -> Any:
        return _earlier(leaf, late)

    for name, calls in model.calls.items():
        model.calls[name] = [CallSite(tuple(mapped(list(s.args), moved)), mapped(s.kwargs, moved)) for s in calls]
    model.inputs, model.outputs = mapped(model.inputs, moved), mapped(model.outputs, moved)


def _earlier(leaf: Any, names: set[str]) -> Any:
    """One call earlier, for a Tensor that one of these layers gives."""
    if isinstance(leaf, Tensor) and leaf.layer in names:
        return Tensor(leaf.layer, max(leaf.call - 1, 0), leaf.index)
    return leaf
