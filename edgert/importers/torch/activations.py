"""PyTorch handlers: activation functions."""

from __future__ import annotations

from functools import partial

from edgert.importers.layers.elementwise import clamp
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, UnaryFunction


def gelu(b: Builder, call: Call) -> Value:
    tanh = call.text("approximate", "none") == "tanh"
    return b.unary(UnaryFunction.GELU_TANH if tanh else UnaryFunction.GELU, b.value(call, "self"))


def hardsigmoid(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.HARD_SIGMOID, b.value(call, "self"), 1 / 6, 0.5)


def leaky_relu(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.LEAKY_RELU, b.value(call, "self"), call.number("negative_slope", 0.01))


def rrelu(b: Builder, call: Call) -> Value:
    """In use (not in training) the slope is the middle of its range."""
    if call.flag("training"):
        raise RefusedError("it draws slopes at random, as in training", "export the model after module.eval()")
    slope = (call.number("lower", 1 / 8) + call.number("upper", 1 / 3)) / 2
    return b.unary(UnaryFunction.LEAKY_RELU, b.value(call, "self"), slope)


def rrelu_with_noise(b: Builder, call: Call) -> list[Value]:
    y = rrelu(b, call)
    return [y, y]


def elu(b: Builder, call: Call) -> Value:
    """scale * (x if x > 0 else alpha * (exp(input_scale * x) - 1))."""
    x, alpha = b.value(call, "self"), call.number("alpha", 1.0)
    scale, inner = call.number("scale", 1.0), call.number("input_scale", 1.0)
    if inner != 1.0:
        y = b.unary(UnaryFunction.ELU, b.mul(x, inner), alpha)
        above = b.emit("compare", [x, 0.0], {"function": CompareFunction.GREATER})
        y = b.emit("select", [above, x, y])
    else:
        y = b.unary(UnaryFunction.ELU, x, alpha)
    return y if scale == 1.0 else b.mul(y, scale)


def celu(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.CELU, b.value(call, "self"), call.number("alpha", 1.0))


def selu(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.SELU, b.value(call, "self"), 1.6732632423543772, 1.0507009873554805)


def softplus(b: Builder, call: Call) -> Value:
    """log(1 + exp(beta * x)) / beta."""
    x, beta = b.value(call, "self"), call.number("beta", 1.0)
    if beta == 1.0:
        return b.unary(UnaryFunction.SOFTPLUS, x)
    return b.mul(b.unary(UnaryFunction.SOFTPLUS, b.mul(x, beta)), 1 / beta)


def log_sigmoid(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return b.unary(UnaryFunction.NEG, b.unary(UnaryFunction.SOFTPLUS, b.unary(UnaryFunction.NEG, x)))


def log_sigmoid_forward(b: Builder, call: Call) -> list[Value]:
    y = log_sigmoid(b, call)
    return [y, y]


def softsign(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.SOFTSIGN, b.value(call, "self"))


def tanhshrink(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return b.sub(x, b.unary(UnaryFunction.TANH, x))


def threshold(b: Builder, call: Call) -> Value:
    """x where x > threshold, else value."""
    x = b.value(call, "self")
    above = b.emit("compare", [x, call.number("threshold")], {"function": CompareFunction.GREATER})
    return b.emit("select", [above, x, b.number(call.number("value"), x.dtype)])


def shrink(soft: bool, b: Builder, call: Call) -> Value:
    """0 within lambda of 0; beyond, x, or x less lambda towards 0 (soft)."""
    x, bound = b.value(call, "self"), call.number("lambd", 0.5)
    size = b.unary(UnaryFunction.ABS, x)
    if soft:
        return b.mul(b.unary(UnaryFunction.SIGN, x), b.unary(UnaryFunction.RELU, b.sub(size, bound)))
    beyond = b.emit("compare", [size, bound], {"function": CompareFunction.GREATER})
    return b.emit("select", [beyond, x, 0.0])


def glu(b: Builder, call: Call) -> Value:
    """The first half times the sigmoid of the second."""
    x = b.value(call, "self")
    axis = call.integer("dim", -1) % len(x.shape)
    half = x.shape[axis] // 2
    left, right = b.slice(x, axis, 0, half), b.slice(x, axis, half, 2 * half)
    return b.mul(left, b.unary(UnaryFunction.SIGMOID, right))


def prelu(b: Builder, call: Call) -> Value:
    """One slope, or one for each channel (axis 1)."""
    x, slope = b.value(call, "self"), b.value(call, "weight")
    if slope.constant and slope.data is not None and slope.data.size == 1:
        return b.unary(UnaryFunction.LEAKY_RELU, x, float(slope.data.reshape(-1)[0]))
    if len(slope.shape) == 1 and len(x.shape) > 1:
        slope = b.reshape(slope, (slope.shape[0], *(1,) * (len(x.shape) - 2)))
    return b.emit("prelu", [x, slope])


def hardtanh(b: Builder, call: Call) -> Value:
    return clamp(b, b.value(call, "self"), call.number("min_val", -1.0), call.number("max_val", 1.0))


HANDLERS: dict[str, Handler] = {
    "aten.gelu": gelu,
    "aten.hardsigmoid": hardsigmoid,
    "aten.leaky_relu": leaky_relu,
    "aten.rrelu": rrelu,
    "aten.rrelu_with_noise": rrelu,
    "aten.rrelu_with_noise_functional": rrelu_with_noise,
    "aten.elu": elu,
    "aten.celu": celu,
    "aten.selu": selu,
    "aten.softplus": softplus,
    "aten.log_sigmoid": log_sigmoid,
    "aten.log_sigmoid_forward": log_sigmoid_forward,
    "aten.softsign": softsign,
    "aten.tanhshrink": tanhshrink,
    "aten.threshold": threshold,
    "aten.softshrink": partial(shrink, True),
    "aten.hardshrink": partial(shrink, False),
    "aten.glu": glu,
    "aten.prelu": prelu,
    "aten._prelu_kernel": prelu,
    "aten.hardtanh": hardtanh,
}
