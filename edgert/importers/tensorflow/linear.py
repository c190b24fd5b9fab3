"""TensorFlow handlers: matrix products, softmax."""

from __future__ import annotations

import math

from edgert.errors import ModelError
from edgert.importers.builder import QuantizedConstant
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.ir import Value


def matmul(b: Builder, node: SourceNode) -> Value:
    """MatMul, BatchMatMul and its versions. A constant matrix on the right makes a fully connected layer."""
    first, second = ("adj_x", "adj_y") if node.op.startswith("Batch") else ("transpose_a", "transpose_b")
    transpose_a, transpose_b = node.flag(first), node.flag(second)
    matrix = node.inputs[1] if len(node.inputs) > 1 else None
    x = b.value(node, 0)
    if len(x.shape) < 2:
        raise ModelError(f"it multiplies a tensor {list(x.shape)}, needed 2 dimensions at least")
    data = matrix.data if isinstance(matrix, QuantizedConstant) else b.constant(node, 1)
    if data is not None and data.ndim == 2 and not (x.constant and isinstance(matrix, Value)):
        if transpose_a:
            x = b.transpose(x, (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2))
        if isinstance(matrix, QuantizedConstant):
            weights = b.dequantized(matrix if transpose_b else matrix.transposed((1, 0)))
        else:
            weights = b.const(data if transpose_b else data.transpose())
        return b.emit("fully_connected", [x, weights])
    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return b.emit("matmul", [x, b.value(node, 1)], attrs)


def softmax(b: Builder, node: SourceNode) -> Value:
    return b.emit("softmax", [b.value(node, 0)], {"axis": -1})


def log_softmax(b: Builder, node: SourceNode) -> Value:
    return b.emit("log_softmax", [b.value(node, 0)], {"axis": -1})


def einsum(b: Builder, node: SourceNode) -> Value:
    """Products of two tensors: axes that both have and the result has not are summed over. Each operand becomes
    [shared, own, summed]; then it is one matrix product."""
    equation = node.text("equation", "").replace(" ", "")
    left, _, wanted = equation.partition("->")
    terms = left.split(",")
    if len(terms) != 2 or "->" not in equation:
        raise ModelError(f"the equation {equation!r} is no product of two tensors")
    operands = [b.value(node, 0), b.value(node, 1)]
    terms, wanted = _spelled(terms, wanted, operands)
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        if len(set(term)) != len(term) or len(term) != len(operand.shape):
            raise ModelError(f"the equation {equation!r} does not fit {list(operand.shape)}")
        for letter, size in zip(term, operand.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ModelError(f"axis {letter!r} has the sizes {sizes[letter]} and {size}")
    if len(set(wanted)) != len(wanted) or not set(wanted) <= set(sizes):
        raise ModelError(f"the equation {equation!r} does not say what to compute")
    one, two = terms
    for index, (mine, other) in enumerate(((one, two), (two, one))):  # axes that one operand alone has, and no result
        alone = [at for at, letter in enumerate(mine) if letter not in other and letter not in wanted]
        if alone:
            from edgert.ops._enums import ReduceFunction

            operands[index] = b.reduce(ReduceFunction.SUM, operands[index], alone, keep_dims=False)
            mine = "".join(letter for letter in mine if letter in other or letter in wanted)
        one, two = (mine, two) if index == 0 else (one, mine)
    shared = [letter for letter in one if letter in two and letter in wanted]
    summed = [letter for letter in one if letter in two and letter not in wanted]
    rows = [letter for letter in one if letter not in two]
    columns = [letter for letter in two if letter not in one]

    def size_of(letters: list[str]) -> int:
        return math.prod(sizes[letter] for letter in letters)

    a = b.transpose(operands[0], [one.index(letter) for letter in (*shared, *rows, *summed)])
    c = b.transpose(operands[1], [two.index(letter) for letter in (*shared, *columns, *summed)])
    c = b.reshape(c, (*([size_of(shared)] if shared else []), size_of(columns), size_of(summed)))
    if c.constant and not shared:
        a = b.reshape(a, (*(sizes[letter] for letter in rows), size_of(summed)))
        y = b.emit("fully_connected", [a, c])
    else:
        a = b.reshape(a, (*([size_of(shared)] if shared else []), size_of(rows), size_of(summed)))
        y = b.emit("matmul", [a, c], {"transpose_b": True})
    made = [*shared, *rows, *columns]
    y = b.reshape(y, [sizes[letter] for letter in made])
    return b.transpose(y, [made.index(letter) for letter in wanted])


def _spelled(terms: list[str], wanted: str, operands: list[Value]) -> tuple[list[str], str]:
    """The terms with letters in place of the dots that stand for all other axes (as many in both, or in one alone)."""
    spare = [letter for letter in "ZYXWVUTS" if letter not in "".join(terms)]
    widths = [len(x.shape) - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)]
    widths = [width for term, width in zip(terms, widths, strict=True) if "..." in term]
    if len(set(widths)) > 1 or any(width < 0 or width > len(spare) for width in widths):
        raise ModelError("the operands differ in the number of axes that '...' stands for")
    letters = "".join(spare[: widths[0]]) if widths else ""
    return [term.replace("...", letters) for term in terms], wanted.replace("...", letters)


HANDLERS: dict[str, Handler] = {
    "MatMul": matmul,
    "BatchMatMul": matmul,
    "BatchMatMulV2": matmul,
    "BatchMatMulV3": matmul,
    "Einsum": einsum,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
}
