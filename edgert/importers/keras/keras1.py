"""Files of Keras 1 in the terms of Keras 2: classes, options, variables and the order of the kernels' axes.

Also the kernels of a Theano backend, which turns them over as it slides them, and of layers made for cuDNN.
Sources: keras 1.2.2, and what Keras 2 does when it loads such files (engine/saving.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array
from edgert.importers.keras.layer import Layer

KINDS = {
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D", "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D", "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose", "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution2D": "SeparableConv2D", "TimeDistributedDense": "Dense",
}  # fmt: skip

# Option -> its name in Keras 2, for all layers.
OPTIONS = {
    "border_mode": "padding", "nb_filter": "filters", "subsample": "strides", "subsample_length": "strides",
    "filter_length": "kernel_size", "atrous_rate": "dilation_rate", "bias": "use_bias", "p": "rate", "sigma": "stddev",
    "inner_activation": "recurrent_activation", "pool_length": "pool_size", "stride": "strides", "length": "size",
}  # fmt: skip
WITH_UNITS = ("Dense", "LSTM", "GRU", "SimpleRNN", "MaxoutDense")
MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot"}


def translated(kind: str, config: Mapping[str, Any], channels_first: bool) -> tuple[str, dict[str, Any]]:
    """Class and options as Keras 2 has them. (Merge stays: its modes are handled where layers are merged.)"""
    kind = KINDS.get(kind, kind)
    new = {OPTIONS.get(name, name): value for name, value in config.items() if name != "padding"}
    if kind.startswith("ZeroPadding"):
        new["padding"] = _zero_padding(config.get("padding"))
    if kind in WITH_UNITS and "output_dim" in config:
        new["units"] = config["output_dim"]
    if {"nb_row", "nb_col"} <= config.keys():
        new["kernel_size"] = [config["nb_row"], config["nb_col"]]
    if "kernel_dim1" in config:
        new["kernel_size"] = [config[f"kernel_dim{axis}"] for axis in (1, 2, 3) if f"kernel_dim{axis}" in config]
    if "dim_ordering" in config:
        channels_first = config["dim_ordering"] == "th"
    if kind != "Flatten" and not kind.endswith("1D"):
        new["data_format"] = "channels_first" if channels_first else "channels_last"
    if kind == "RepeatVector":
        new["n"] = config.get("n")
    return kind, new


def _zero_padding(found: Any) -> Any:
    """Keras 1 also has {"top_pad": 1, ...}, and four numbers in the order top, bottom, left, right."""
    if isinstance(found, Mapping):
        sides = [found.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
        return [sides[:2], sides[2:]] if "top_pad" in found or "bottom_pad" in found else sides[2:]
    if isinstance(found, (list, tuple)) and len(found) == 4:
        return [list(found[:2]), list(found[2:])]
    return found


GATES = {"LSTMCell": "icfo", "ConvLSTMCell": "icfo", "GRUCell": "zrh"}  # in the order of the file


def variables(kind: str, config: Mapping[str, Any]) -> list[str] | None:
    """Names of a layer's variables where Keras 1 has others than Keras 2."""
    if kind == "BatchNormalization":
        return ["gamma", "beta", "moving_mean", "moving_variance"]
    if kind == "ConvLSTMCell" or (kind in GATES and config.get("consume_less") != "gpu"):
        return [f"{part}_{gate}" for gate in GATES[kind] for part in ("kernel", "recurrent_kernel", "bias")]
    return None


def highway_variables(config: Mapping[str, Any]) -> list[str]:
    biased = config.get("use_bias", True)
    return ["kernel", "carry_kernel", *(["bias", "carry_bias"] if biased else [])]


def modernise(layer: Layer) -> None:
    """Makes a layer's variables those that Keras 2 with TensorFlow would have, and of what it is made of."""
    inner = [*layer.children.values(), *(layer.body.layers.values() if layer.body else ())]
    for child in inner:
        modernise(child)
    if layer.origin.version == 1:
        _joined_gates(layer)
        _reordered(layer)
    if layer.kind in ("LSTMCell", "GRUCell") and layer.config.get("cudnn"):
        _from_cudnn(layer)
    if layer.origin.backend == "theano" and layer.kind.startswith("Conv"):  # depthwise kernels are not turned over
        for name in ("kernel", "recurrent_kernel"):
            _change(layer, name, _turned)


def _change(layer: Layer, name: str, function: Callable[[Array], Array]) -> None:
    before = layer.weights.get(name)
    if before is not None:
        layer.weights[name] = lambda: np.ascontiguousarray(function(before()))


def _turned(kernel: Array) -> Array:
    """[*kernel, in, out] the other way round."""
    return kernel[tuple(slice(None, None, -1) for _ in kernel.shape[:-2])]


def _joined_gates(layer: Layer) -> None:
    if layer.kind not in GATES or "kernel" in layer.weights:
        return
    read = dict(layer.weights)
    order = "ifco" if "LSTM" in layer.kind else "zrh"

    first = layer.kind == "ConvLSTMCell" and not layer.channels_last()

    def joined(part: str) -> Callable[[], Array]:
        axis = 0 if first and part != "bias" else -1
        return lambda: np.concatenate([read[f"{part}_{gate}"]() for gate in order], axis=axis)

    if read:
        layer.weights = {part: joined(part) for part in ("kernel", "recurrent_kernel", "bias")}


def _reordered(layer: Layer) -> None:
    """Kernels as [*kernel, in, out]; those of a transposed convolution as [*kernel, out, in]."""
    if "Conv" not in layer.kind:
        return
    first = not layer.channels_last()
    if layer.kind == "Conv1D":
        _change(layer, "kernel", _sequence_kernel(layer))
    elif layer.kind.endswith("Transpose"):
        _change(layer, "kernel", lambda kernel: np.moveaxis(kernel, (0, 1), (-2, -1)) if first else _swapped(kernel))
    elif first:
        for name in ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel"):
            _change(layer, name, lambda kernel: np.moveaxis(kernel, (0, 1), (-1, -2)))


def _swapped(kernel: Array) -> Array:
    return np.swapaxes(kernel, -1, -2)


def _sequence_kernel(layer: Layer) -> Callable[[Array], Array]:
    length, filters = layer.sizes("kernel_size", 1)[0], layer.integer("filters")

    def function(kernel: Array) -> Array:
        if kernel.ndim != 4:
            raise ModelError(f"its kernel has the shape {list(kernel.shape)}, needed 4 dimensions")
        if kernel.shape[:2] != (length, 1) or kernel.shape[3] != filters:
            kernel = kernel.transpose(2, 3, 1, 0)  # before Keras 1.2: [filters, inputs, length, 1]
        return kernel[:, 0]

    return function


def _from_cudnn(layer: Layer) -> None:
    """CuDNNLSTM and CuDNNGRU: each gate's matrix transposed, and two biases."""
    gates = 4 if layer.kind == "LSTMCell" else 3

    def by_gate(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda kernel: np.hstack([function(part) for part in np.hsplit(kernel, gates)])

    def bias(both: Array) -> Array:
        halves = both.reshape(2, -1)
        return halves.sum(axis=0) if layer.kind == "LSTMCell" else halves

    _change(layer, "kernel", by_gate(lambda part: part.T.reshape(part.shape, order="F")))
    _change(layer, "recurrent_kernel", by_gate(lambda part: part.T))
    _change(layer, "bias", bias)


def written_with(names: Sequence[str]) -> str:
    """The backend of a file of Keras 1, which does not say: TensorFlow's variables have a number behind a colon."""
    return "tensorflow" if not names or any(name.endswith(":0") for name in names) else "theano"
