"""Keras handlers: activation functions, as layers and as options of others, and layers that do nothing at inference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, Handler, Layer, Origin, real
from edgert.importers.layers import cells, elementwise, movement
from edgert.importers.layers.attention import MASKED
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

Function = Callable[[GraphBuilder, Value], Value]

SELU = (1.6732632423543772, 1.0507009873554805)
PLAIN = {
    "relu": UnaryFunction.RELU, "relu6": UnaryFunction.RELU6, "sigmoid": UnaryFunction.SIGMOID,
    "tanh": UnaryFunction.TANH, "softplus": UnaryFunction.SOFTPLUS, "softsign": UnaryFunction.SOFTSIGN,
    "exponential": UnaryFunction.EXP, "swish": UnaryFunction.SILU, "silu": UnaryFunction.SILU,
    "hard_silu": UnaryFunction.HARD_SWISH, "hard_swish": UnaryFunction.HARD_SWISH, "mish": UnaryFunction.MISH,
    "hard_tanh": UnaryFunction.RELU_N1_TO_1, "gelu": UnaryFunction.GELU, "sin": UnaryFunction.SIN,
    "abs": UnaryFunction.ABS, "exp": UnaryFunction.EXP,
}  # fmt: skip


def unary(function: UnaryFunction, b: GraphBuilder, x: Value, alpha: float = 0.0, beta: float = 0.0) -> Value:
    return b.unary(function, x, alpha, beta)


def softmax(b: GraphBuilder, x: Value, axis: int = -1) -> Value:
    if not -len(x.shape) <= axis < len(x.shape):
        raise ModelError(f"axis is {axis}, needed one of {len(x.shape)} dimensions")
    return b.emit("softmax", [x], {"axis": axis % len(x.shape)})


def log_softmax(b: GraphBuilder, x: Value, axis: int = -1) -> Value:
    return b.emit("log_softmax", [x], {"axis": axis % len(x.shape)})


def log_sigmoid(b: GraphBuilder, x: Value) -> Value:
    return b.unary(UnaryFunction.NEG, b.unary(UnaryFunction.SOFTPLUS, b.unary(UnaryFunction.NEG, x)))


def glu(b: GraphBuilder, x: Value, axis: int = -1) -> Value:
    at = axis % len(x.shape)
    left, gate = movement.split(b, x, at, movement.equal_parts(x.shape[at], 2))
    return b.mul(left, b.unary(UnaryFunction.SIGMOID, gate))


def hard_shrink(b: GraphBuilder, x: Value, limit: float = 0.5) -> Value:
    far = b.emit("compare", [b.unary(UnaryFunction.ABS, x), limit], {"function": CompareFunction.GREATER})
    return b.emit("select", [far, x, 0.0])


def soft_shrink(b: GraphBuilder, x: Value, limit: float = 0.5) -> Value:
    """x less what lies within the limits."""
    return b.sub(x, b.unary(UnaryFunction.CLIP, x, -limit, limit))


def sparse_plus(b: GraphBuilder, x: Value) -> Value:
    """0 up to -1, (x + 1)^2 / 4 up to 1, and x."""
    near = b.mul(b.unary(UnaryFunction.SQUARE, b.add(b.unary(UnaryFunction.RELU_N1_TO_1, x), 1.0)), 0.25)
    return b.add(near, b.unary(UnaryFunction.RELU, b.sub(x, 1.0)))


def squareplus(b: GraphBuilder, x: Value, breadth: float = 4.0) -> Value:
    root = b.unary(UnaryFunction.SQRT, b.add(b.unary(UnaryFunction.SQUARE, x), breadth))
    return b.mul(b.add(x, root), 0.5)


def tanh_shrink(b: GraphBuilder, x: Value) -> Value:
    return b.sub(x, b.unary(UnaryFunction.TANH, x))


FUNCTIONS: dict[str, Function] = {
    **{name: partial(unary, function) for name, function in PLAIN.items()},
    "linear": lambda b, x: x,
    "elu": lambda b, x: b.unary(UnaryFunction.ELU, x, 1.0),
    "selu": lambda b, x: b.unary(UnaryFunction.SELU, x, *SELU),
    "celu": lambda b, x: b.unary(UnaryFunction.CELU, x, 1.0),
    "leaky_relu": lambda b, x: elementwise.leaky_relu(b, x, 0.2),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "log_sigmoid": log_sigmoid,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "soft_shrink": soft_shrink,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": lambda b, x: b.unary(UnaryFunction.HARD_SIGMOID, x, 0.5, 0.5),
    "squareplus": squareplus,
    "tanh_shrink": tanh_shrink,
}


def activation_name(found: Any) -> str:
    """The name of an activation, or the class of a layer that serves as one."""
    if found is None:
        return "linear"
    if isinstance(found, str):
        return found
    if isinstance(found, Mapping):
        if found.get("class_name") == "function" and isinstance(found.get("config"), str):
            name = str(found["config"])
            if found.get("module") in ("builtins", None) and name not in FUNCTIONS and name != "hard_sigmoid":
                raise RefusedError(f"the activation {name!r} is a function of the author's own", KNOWN)
            return name
        return str(found.get("class_name"))
    raise ModelError(f"activation is {found!r}, needed a name")


KNOWN = "use one of Keras' own activations, or write it with layers"


def function_of(found: Any, version: int) -> Function:
    """What an activation computes. Keras 3 has another hard sigmoid than those before it."""
    name = activation_name(found)
    if name == "hard_sigmoid":
        slope = 1 / 6 if version >= 3 else 0.2
        return lambda b, x: b.unary(UnaryFunction.HARD_SIGMOID, x, slope, 0.5)
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if isinstance(found, Mapping) and name in AS_OPTION:
        config = found.get("config")
        layer = found_layer(name, config if isinstance(config, Mapping) else {}, version)
        return lambda b, x: AS_OPTION[name](b, x, layer)
    raise RefusedError(f"the activation {name!r} is not known", KNOWN)


def found_layer(kind: str, config: Mapping[str, Any], version: int) -> Layer:
    return Layer(kind, kind.lower(), kind.lower(), config, Origin(version, ""))


def activated(b: GraphBuilder, layer: Layer, x: Value, option: str = "activation", default: str = "linear") -> Value:
    """x through the activation that an option of the layer names."""
    return function_of(layer.get(option, default), layer.origin.version)(b, x)


def for_gate(found: Any, version: int) -> cells.Function:
    """An activation of a recurrent layer."""
    known = {"sigmoid": cells.SIGMOID, "tanh": cells.TANH, "relu": cells.RELU, "linear": cells.LINEAR}
    name = activation_name(found)
    if name == "hard_sigmoid":
        return cells.hard_sigmoid(1 / 6 if version >= 3 else 0.2)
    if name in known:
        return known[name]
    return cells.Function(None, emit=function_of(found, version))


# --- Layers ---


def relu(b: GraphBuilder, x: Value, layer: Layer) -> Value:
    """max_value from there on, x above the threshold, negative_slope * (x - threshold) below it."""
    most = layer.number("max_value") if layer.get("max_value") is not None else math.inf
    slope, limit = layer.number("negative_slope", 0.0), layer.number("threshold", 0.0)
    if limit == 0 and slope == 0:
        return elementwise.clamp(b, x, 0.0, most)
    if limit == 0 and most == math.inf:
        return elementwise.leaky_relu(b, x, slope)
    above = b.emit("compare", [x, limit], {"function": CompareFunction.GREATER_EQUAL})
    high = x if most == math.inf else b.emit("binary", [x, most], {"function": BinaryFunction.MINIMUM})
    return b.emit("select", [above, high, b.mul(b.sub(x, limit), slope)])


def leaky_relu(b: GraphBuilder, x: Value, layer: Layer) -> Value:
    return elementwise.leaky_relu(b, x, layer.number("negative_slope", layer.number("alpha", 0.3)))


def elu(b: GraphBuilder, x: Value, layer: Layer) -> Value:
    return b.unary(UnaryFunction.ELU, x, layer.number("alpha", 1.0))


def thresholded_relu(b: GraphBuilder, x: Value, layer: Layer) -> Value:
    return elementwise.threshold(b, x, layer.number("theta", 1.0), 0.0)


def softmax_layer(b: GraphBuilder, x: Value, layer: Layer) -> Value:
    axis = layer.get("axis", -1)
    if isinstance(axis, (list, tuple)) and len(axis) > 1:
        axes = sorted(item % len(x.shape) for item in axis)
        if axes != list(range(axes[0], axes[0] + len(axes))):
            raise RefusedError(f"softmax over the axes {axes}", "transpose them next to one another before it")
        flat = movement.flatten(b, x, axes[0], axes[-1] + 1)
        return b.reshape(softmax(b, flat, axes[0]), x.shape)
    return softmax(b, x, layer.integer("axis", -1))


AS_OPTION: dict[str, Callable[[GraphBuilder, Value, Layer], Value]] = {
    "ReLU": relu, "LeakyReLU": leaky_relu, "ELU": elu, "ThresholdedReLU": thresholded_relu, "Softmax": softmax_layer,
}  # fmt: skip


def softmax_call(b: GraphBuilder, call: Call) -> Value:
    """A mask of it is True where an element counts."""
    values = call.inputs()
    if len(values) == 2:
        mask = values[1] if values[1].dtype == DType.BOOL else b.emit("cast", [values[1]], dtype=DType.BOOL)
        return softmax_layer(b, b.emit("select", [mask, values[0], MASKED]), call.layer)
    return softmax_layer(b, call.only(), call.layer)


def as_layer(function: Callable[[GraphBuilder, Value, Layer], Value], b: GraphBuilder, call: Call) -> Value:
    return function(b, call.only(), call.layer)


def activation(b: GraphBuilder, call: Call) -> Value:
    return activated(b, call.layer, real(b, call.input))


def prelu(b: GraphBuilder, call: Call) -> Value:
    """One slope for every element of a sample; axes that share it have size 1."""
    x, slopes = call.only(), call.layer.weight("alpha")
    if slopes.size == 1:
        return elementwise.leaky_relu(b, x, float(slopes.reshape(-1)[0]))
    return b.emit("prelu", [x, slopes])


def layer_scale(b: GraphBuilder, call: Call) -> Value:
    """Of keras.applications' ConvNeXt: a factor for every channel."""
    return b.mul(call.only(), call.layer.weight("gamma"))


def identity(b: GraphBuilder, call: Call) -> Value:
    return call.inputs()[0]


def masking(b: GraphBuilder, call: Call) -> Value:
    call.note(
        f"Layer {call.layer.path!r}: masks are not carried on: steps that hold the mask value count like any other; "
        "give sequences without padding."
    )
    x = call.only()
    different = b.emit("compare", [x, call.layer.number("mask_value", 0.0)], {"function": CompareFunction.NOT_EQUAL})
    counts = b.emit("cast", [different], dtype=x.dtype)
    return b.mul(x, b.reduce(ReduceFunction.MAX, counts, [-1]))


AT_TRAINING_ALONE = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "ActivityRegularization", "Identity", "InputLayer", "StochasticDepth", "RandomFlip",
    "RandomRotation", "RandomZoom",
    "RandomContrast", "RandomBrightness", "RandomTranslation", "RandomHeight", "RandomWidth", "RandomHue",
    "RandomSaturation", "RandomSharpness", "RandomGrayscale", "RandomColorJitter", "RandomErasing", "RandomShear",
    "RandomPosterization", "RandomInvert", "RandomGaussianBlur", "RandomPerspective", "RandomElasticTransform",
    "RandomColorDegeneration", "RandAugment", "AugMix", "CutMix", "MixUp",
)  # fmt: skip

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(AT_TRAINING_ALONE, identity),
    **{kind: partial(as_layer, function) for kind, function in AS_OPTION.items()},
    "Softmax": softmax_call,
    "Activation": activation,
    "PReLU": prelu,
    "LayerScale": layer_scale,
    "Masking": masking,
}
