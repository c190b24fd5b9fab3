"""ONNX handlers: Einsum, as matrix products with transposes and reshapes around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction

WRITE_OUT = "write it as MatMul, Transpose and Reshape"


class Term(NamedTuple):
    """An operand and the letter of each of its axes."""

    value: Value
    letters: str

    def size(self, letter: str) -> int:
        return self.value.shape[self.letters.index(letter)]

    def sizes(self, letters: str) -> tuple[int, ...]:
        return tuple(map(self.size, letters))


def einsum(b: Builder, node: SourceNode) -> Value:
    """One operand: sums and a transpose. Two: letters of both that the result keeps are the product's leading axes,
    those that it does not keep are summed by it. Constant weights without shared axes make a fully connected layer."""
    letters, kept = _parsed(node.text("equation", ""))
    if len(letters) != len(node.inputs) or not 1 <= len(letters) <= 2:
        raise RefusedError(f"{len(node.inputs)} operands", "split it into several of two operands each")
    terms = [Term(b.value(node, index), item) for index, item in enumerate(letters)]
    for index, term in enumerate(terms):
        if len(term.value.shape) != len(term.letters):
            raise ModelError(f"operand {index} has {len(term.value.shape)} dimensions, needed {len(term.letters)}")
        if term.value.dtype != DType.FLOAT32:
            raise RefusedError(f"operands of {term.value.dtype.name}", "cast to float32 before it")
    needed = [set(kept).union(*letters[:index], *letters[index + 1 :]) for index in range(len(letters))]
    terms = [_summed(b, term, others) for term, others in zip(terms, needed, strict=True)]
    if len(terms) == 1:
        return _ordered(b, terms[0], kept)
    return _ordered(b, _product(b, terms[0], terms[1], kept), kept)


def _parsed(equation: str) -> tuple[list[str], str]:
    """The letters of each operand and of the result, which by default has those that occur once, sorted."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    letters = left.split(",")
    if "." in equation:
        raise RefusedError("an ellipsis in its equation", "write a letter for every axis")
    if any(len(set(item)) != len(item) for item in letters):
        raise RefusedError("it takes a diagonal (a letter twice in one operand)", WRITE_OUT)
    every = "".join(letters)
    kept = right if arrow else "".join(sorted(letter for letter in set(every) if every.count(letter) == 1))
    if len(set(kept)) != len(kept) or not set(kept) <= set(every):
        raise ModelError(f"the equation {equation!r} has a result that its operands cannot give")
    return letters, kept


def _summed(b: Builder, term: Term, needed: set[str]) -> Term:
    """The operand without the axes that nobody else mentions."""
    axes = [axis for axis, letter in enumerate(term.letters) if letter not in needed]
    total = b.reduce(ReduceFunction.SUM, term.value, axes, keep_dims=False)
    return Term(total, "".join(letter for letter in term.letters if letter in needed))


def _ordered(b: Builder, term: Term, order: str) -> Value:
    return b.transpose(term.value, [term.letters.index(letter) for letter in order])


def _product(b: Builder, first: Term, second: Term, kept: str) -> Term:
    for letter in set(first.letters) & set(second.letters):
        if first.size(letter) != second.size(letter):
            raise RefusedError(f"axis {letter!r} is broadcast", "expand the operand before it")
    if first.value.constant and not second.value.constant:
        first, second = second, first
    batch = "".join(letter for letter in kept if letter in first.letters and letter in second.letters)
    inner = "".join(letter for letter in first.letters if letter in second.letters and letter not in kept)
    rows = "".join(letter for letter in first.letters if letter not in second.letters)
    columns = "".join(letter for letter in second.letters if letter not in first.letters)
    letters = batch + rows + columns
    shape = (*first.sizes(batch + rows), *second.sizes(columns))
    left, right = _ordered(b, first, batch + rows + inner), second
    if not inner:
        right_value = _ordered(b, second, batch + columns)
        left = b.reshape(left, (*first.sizes(batch + rows), *[1] * len(columns)))
        right_value = b.reshape(right_value, (*second.sizes(batch), *[1] * len(rows), *second.sizes(columns)))
        return Term(b.mul(left, right_value), letters)
    depth, width = math.prod(first.sizes(inner)), math.prod(second.sizes(columns))
    if not batch and second.value.data is not None:
        order = [second.letters.index(letter) for letter in columns + inner]
        weights = np.ascontiguousarray(second.value.data.transpose(order).reshape(width, depth))
        left = b.reshape(left, (*(first.sizes(rows) or (1,)), depth))
        return Term(b.reshape(b.emit("fully_connected", [left, weights]), shape), letters)
    leading: Sequence[int] = first.sizes(batch)
    if len(leading) > 2:
        leading = (math.prod(leading),)
    left = b.reshape(left, (*leading, math.prod(first.sizes(rows)), depth))
    across = b.reshape(_ordered(b, right, batch + inner + columns), (*leading, depth, width))
    return Term(b.reshape(b.emit("matmul", [left, across]), shape), letters)


HANDLERS: dict[str, Handler] = {"Einsum": einsum}
