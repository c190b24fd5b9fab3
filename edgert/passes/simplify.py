"""Replaces groups of arithmetic by the one function that they compute, and removes arithmetic that does nothing.

Cases, x being float32:
- x * c and x / c in any order with factors below: hard_swish as x * relu6(x + 3) / 6, hard_sigmoid as relu6(x + 3) / 6,
  gelu as 0.5 * x * (1 + erf(x / sqrt 2)) and with tanh(sqrt(2/pi) * (x + 0.044715 x^3)), silu as x * sigmoid(x),
  hard_swish as x * hard_sigmoid(x) with 1/6 and 1/2, mish as x * tanh(softplus(x));
- x / c -> x * (1/c), a product that later folds into weights or has an int8 form;
- x * x -> square;
- x * 1, x / 1, x + 0, x - 0, pow(x, 1), copy, cast to the same type, quantize to the scale that it has;
- max(x, c * x) with 0 <= c <= 1 -> leaky_relu;
- a broadcast_to of an operand that the operator broadcasts anyway;
- where(isnan(softmax), c, softmax) -> softmax, where no row can be -inf throughout: softmax of a product, scaled or
  with a finite constant added (attention as exporters write it, which guards against rows that are masked throughout).
Runs before fuse_activations, which would take the relu6 out of these groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation, BinaryFunction, CompareFunction, UnaryFunction
from edgert.passes._rewrite import Sweep, first_input, scalar_of

TOLERANCE = 1e-3  # of the constants that exporters round (0.7071, 0.7978)


def simplify(graph: Graph) -> bool:
    """Applies them; True when anything changed."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op in ("copy", "cast", "quantize"):
        return _same(sweep, node)
    if node.op in BROADCASTS and _broadcasts_anyway(sweep, node):
        return True
    if node.op == "select":
        return _guarded_softmax(sweep, node)
    if len(node.inputs) != 2 or node.output.dtype != DType.FLOAT32:
        return False
    if node.attrs.get("activation", Activation.NONE) != Activation.NONE:
        return False
    if _neutral(sweep, node):
        return True
    if node.op == "mul" or _is_binary(node, BinaryFunction.DIV):
        return _product(sweep, node)
    return _leaky(sweep, node)


def _same(sweep: Sweep, node: Node) -> bool:
    """copy, and casts and requantisations to what their input is."""
    x = node.inputs[0]
    if x is None or x.dtype != node.output.dtype or x.variable or x.quant != node.output.quant:
        return False
    return sweep.replace(node.output, x)


BROADCASTS = ("add", "sub", "mul", "binary", "compare", "select")


def _broadcasts_anyway(sweep: Sweep, node: Node) -> bool:
    """Operands as they were before a broadcast_to, if the result has the same shape."""
    inputs = list(node.inputs)
    for index, value in enumerate(inputs):
        above = None if value is None else sweep.producer.get(value)
        if above is None or above.op != "broadcast_to":
            continue
        narrow = [*inputs[:index], above.inputs[0], *inputs[index + 1 :]]
        if np.broadcast_shapes(*(item.shape for item in narrow if item is not None)) == node.output.shape:
            inputs = narrow
    if inputs == node.inputs:
        return False
    sweep.emit(node.op, inputs, node.attrs, node, output=node.output)
    return True


def _guarded_softmax(sweep: Sweep, node: Node) -> bool:
    """select(x != x, c, x), x being a softmax that is no NaN unless its input is."""
    condition, _, x = node.inputs
    test = None if condition is None else sweep.producer.get(condition)
    softmax = None if x is None else sweep.producer.get(x)
    if x is None or test is None or softmax is None or softmax.op != "softmax" or x.shape != node.output.shape:
        return False
    if test.op != "compare" or test.attrs["function"] != CompareFunction.NOT_EQUAL or list(test.inputs) != [x, x]:
        return False
    made = sweep.producer.get(first_input(softmax))
    while made is not None and made.op in ("mul", "add", "sub"):
        left, right = made.inputs[:2]
        constant, varying = (left, right) if left is not None and left.data is not None else (right, left)
        if constant is None or constant.data is None or not np.isfinite(constant.data).all():
            return False
        made = None if varying is None else sweep.producer.get(varying)
    return made is not None and made.op in ("matmul", "fully_connected") and sweep.replace(node.output, x)


def _is_binary(node: Node | None, function: BinaryFunction) -> bool:
    return node is not None and node.op == "binary" and node.attrs["function"] == function


def _neutral(sweep: Sweep, node: Node) -> bool:
    """Arithmetic with a neutral constant."""
    for index, neutral in ((1, _right_neutral(node)), (0, _left_neutral(node))):
        constant, x = node.inputs[index], node.inputs[1 - index]
        if neutral is None or constant is None or not constant.constant or x is None or constant.data is None:
            continue
        if np.all(constant.data == neutral) and x.shape == node.output.shape and sweep.replace(node.output, x):
            return True
    return False


def _right_neutral(node: Node) -> float | None:
    if node.op == "mul" or _is_binary(node, BinaryFunction.DIV) or _is_binary(node, BinaryFunction.POW):
        return 1.0
    return 0.0 if node.op in ("add", "sub") else None


def _left_neutral(node: Node) -> float | None:
    return {"mul": 1.0, "add": 0.0}.get(node.op)


def _leaky(sweep: Sweep, node: Node) -> bool:
    """max(x, c * x)."""
    if not _is_binary(node, BinaryFunction.MAXIMUM):
        return False
    for x, scaled in (node.inputs, node.inputs[::-1]):
        factor, factors = _factors(sweep, scaled)
        if x is not None and factors == [x] and 0.0 <= factor <= 1.0 and x.shape == node.output.shape:
            return _emit(sweep, node, UnaryFunction.LEAKY_RELU, x, factor)
    return False


def _product(sweep: Sweep, node: Node) -> bool:
    """A product of one or two factors and a number that is a function of one tensor; else x / c -> x * (1/c)."""
    number, factors = _factors(sweep, node.output, node)
    for match in PATTERNS:
        found = match(sweep, number, factors)
        if found is not None:
            function, source = found
            alpha, beta = (1 / 6, 0.5) if function == UnaryFunction.HARD_SIGMOID else (0.0, 0.0)
            return source.shape == node.output.shape and _emit(sweep, node, function, source, alpha, beta)
    x, divisor = node.inputs
    if node.op == "mul" and x is not None and divisor is x:
        return _emit(sweep, node, UnaryFunction.SQUARE, x)
    if node.op == "mul" or x is None or divisor is None or not divisor.constant or divisor.data is None:
        return False
    with np.errstate(all="ignore"):
        inverse = np.float32(1.0) / divisor.data
    if not np.isfinite(inverse).all():
        return False
    sweep.emit("mul", [x, sweep.constant(np.asarray(inverse, np.float32), divisor)], {}, node, output=node.output)
    return True


def _emit(sweep: Sweep, node: Node, function: UnaryFunction, x: Value, alpha: float = 0.0, beta: float = 0.0) -> bool:
    attrs = {"function": function, "alpha": alpha, "beta": beta}
    sweep.emit("unary", [x], attrs, node, output=node.output)
    return True


def _factors(sweep: Sweep, value: Value | None, node: Node | None = None) -> tuple[float, list[Value]]:
    """A product taken apart, through mul and division by numbers: the number, and the tensors in it."""
    if value is None:
        return 1.0, []
    scalar = scalar_of(value)
    if scalar is not None:
        return scalar, []
    node = node or sweep.producer.get(value)
    if node is not None and node.attrs.get("activation", Activation.NONE) == Activation.NONE:
        if node.op == "mul":
            left, right = (_factors(sweep, item) for item in node.inputs)
            return left[0] * right[0], left[1] + right[1]
        divisor = scalar_of(node.inputs[1]) if _is_binary(node, BinaryFunction.DIV) else None
        if divisor:
            number, factors = _factors(sweep, node.inputs[0])
            return number / divisor, factors
    return 1.0, [value]


def _close(number: float, wanted: float) -> bool:
    return math.isclose(number, wanted, rel_tol=TOLERANCE)


def _unary_of(sweep: Sweep, value: Value, function: UnaryFunction) -> Node | None:
    node = sweep.producer.get(value)
    return node if node is not None and node.op == "unary" and node.attrs["function"] == function else None


def _sum_with(sweep: Sweep, value: Value | None, number: float) -> Value | None:
    """x where the value is x + number."""
    node = None if value is None else sweep.producer.get(value)
    if node is None or node.op != "add" or node.attrs["activation"] != Activation.NONE:
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        scalar = scalar_of(other)
        if scalar is not None and _close(scalar, number):
            return x
    return None


def _relu6_of_x_plus_3(sweep: Sweep, value: Value) -> Value | None:
    node = _unary_of(sweep, value, UnaryFunction.RELU6)
    return None if node is None else _sum_with(sweep, node.inputs[0], 3.0)


Match = tuple[UnaryFunction, Value] | None


def _hard_sigmoid(sweep: Sweep, number: float, factors: list[Value]) -> Match:
    x = _relu6_of_x_plus_3(sweep, factors[0]) if len(factors) == 1 and _close(number, 1 / 6) else None
    return None if x is None else (UnaryFunction.HARD_SIGMOID, x)


def _hard_swish(sweep: Sweep, number: float, factors: list[Value]) -> Match:
    for x, gate in _orders(factors):
        if _close(number, 1 / 6) and _relu6_of_x_plus_3(sweep, gate) is x:
            return UnaryFunction.HARD_SWISH, x
        node = _unary_of(sweep, gate, UnaryFunction.HARD_SIGMOID)
        if node is None or node.inputs[0] is not x or number != 1.0:
            continue
        if _close(node.attrs["alpha"], 1 / 6) and _close(node.attrs["beta"], 0.5):
            return UnaryFunction.HARD_SWISH, x
    return None


def _gated(sweep: Sweep, number: float, factors: list[Value]) -> Match:
    """silu and mish."""
    for x, gate in _orders(factors):
        if number != 1.0:
            return None
        sigmoid, tanh = (_unary_of(sweep, gate, f) for f in (UnaryFunction.SIGMOID, UnaryFunction.TANH))
        if sigmoid is not None and sigmoid.inputs[0] is x:
            return UnaryFunction.SILU, x
        inner = None if tanh is None or tanh.inputs[0] is None else tanh.inputs[0]
        softplus = None if inner is None else _unary_of(sweep, inner, UnaryFunction.SOFTPLUS)
        if softplus is not None and softplus.inputs[0] is x:
            return UnaryFunction.MISH, x
    return None


def _gelu(sweep: Sweep, number: float, factors: list[Value]) -> Match:
    for x, gate in _orders(factors):
        inner = _sum_with(sweep, gate, 1.0) if _close(number, 0.5) else None
        if inner is None:
            continue
        erf, tanh = (_unary_of(sweep, inner, f) for f in (UnaryFunction.ERF, UnaryFunction.TANH))
        if erf is not None:
            scale, inside = _factors(sweep, erf.inputs[0])
            if inside == [x] and _close(scale, math.sqrt(0.5)):
                return UnaryFunction.GELU, x
        if tanh is not None:
            scale, inside = _factors(sweep, tanh.inputs[0])
            if len(inside) == 1 and _close(scale, math.sqrt(2 / math.pi)) and _is_cubic(sweep, inside[0], x):
                return UnaryFunction.GELU_TANH, x
    return None


def _is_cubic(sweep: Sweep, value: Value, x: Value) -> bool:
    """Whether the value is x + 0.044715 * x^3."""
    node = sweep.producer.get(value)
    if node is None or node.op != "add" or x not in node.inputs:
        return False
    other = node.inputs[1] if node.inputs[0] is x else node.inputs[0]
    scale, factors = _factors(sweep, other)
    if not _close(scale, 0.044715):
        return False
    if factors == [x, x, x]:
        return True
    for power in factors:
        made = sweep.producer.get(power)
        if _is_binary(made, BinaryFunction.POW) and made is not None and made.inputs[0] is x:
            return len(factors) == 1 and scalar_of(made.inputs[1]) == 3.0
        square = _unary_of(sweep, power, UnaryFunction.SQUARE)
        if square is not None and square.inputs[0] is x:
            return len(factors) == 2 and x in factors
    return False


def _orders(factors: list[Value]) -> list[tuple[Value, Value]]:
    return [(factors[0], factors[1]), (factors[1], factors[0])] if len(factors) == 2 else []


PATTERNS: tuple[Callable[[Sweep, float, list[Value]], Match], ...] = (_hard_swish, _hard_sigmoid, _gelu, _gated)
