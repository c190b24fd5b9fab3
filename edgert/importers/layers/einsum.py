"""Einstein sums, two operands after two, as matrix products with transposes and reshapes around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction

WRITE_OUT = "write it with matrix products, transposes and reshapes"


class Term(NamedTuple):
    """An operand and the letter of each of its axes."""

    value: Value
    letters: str

    def size(self, letter: str) -> int:
        return self.value.shape[self.letters.index(letter)]

    def sizes(self, letters: str) -> tuple[int, ...]:
        return tuple(map(self.size, letters))


def einsum(b: GraphBuilder, equation: str, values: Sequence[Value]) -> Value:
    """As numpy.einsum, for float32 operands; an ellipsis stands for the same axes in each.

    Letters of both operands that the result keeps are the product's leading axes, those that it does not keep are
    summed by it. Constant weights without shared axes make a fully connected layer.

    Raises ModelError for what does not fit, RefusedError for diagonals and other types.
    """
    letters, kept = parsed(equation, [len(value.shape) for value in values])
    if len(values) > 2:  # the first two, with all letters that are still needed
        needed_later = set(kept).union(*letters[2:])
        between = "".join(sorted((set(letters[0]) | set(letters[1])) & needed_later))
        first = einsum(b, f"{letters[0]},{letters[1]}->{between}", values[:2])
        return einsum(b, f"{','.join([between, *letters[2:]])}->{kept}", [first, *values[2:]])
    if any(value.dtype != DType.FLOAT32 for value in values):
        raise RefusedError("operands that are not float32", "cast to float32 before it")
    terms = [Term(value, item) for value, item in zip(values, letters, strict=True)]
    needed = [set(kept).union(*letters[:index], *letters[index + 1 :]) for index in range(len(letters))]
    terms = [_summed(b, term, others) for term, others in zip(terms, needed, strict=True)]
    made = terms[0] if len(terms) == 1 else _product(b, terms[0], terms[1], kept)
    return _ordered(b, made, kept)


def parsed(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, which by default has those that occur once, sorted."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    letters = left.split(",")
    if len(letters) != len(ranks):
        raise ModelError(f"the equation {equation!r} has {len(letters)} operands, and there are {len(ranks)}")
    spare = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    hidden = [rank - len(item.replace("...", "")) for item, rank in zip(letters, ranks, strict=True) if "..." in item]
    if "..." in equation:
        if len(set(hidden)) != 1 or not 0 <= hidden[0] <= len(spare):
            raise RefusedError("an ellipsis that stands for different axes", "write a letter for every axis")
        for_dots = "".join(spare[: hidden[0]])
        letters = [item.replace("...", for_dots) for item in letters]
        right = right.replace("...", for_dots)
    if any(len(item) != rank for item, rank in zip(letters, ranks, strict=True)):
        raise ModelError(f"the equation {equation!r} does not fit operands of {list(ranks)} dimensions")
    if any(len(set(item)) != len(item) for item in letters):
        raise RefusedError("it takes a diagonal (a letter twice in one operand)", WRITE_OUT)
    every = "".join(letters)
    kept = right if arrow else "".join(sorted(letter for letter in set(every) if every.count(letter) == 1))
    if len(set(kept)) != len(kept) or not set(kept) <= set(every):
        raise ModelError(f"the equation {equation!r} has a result that its operands cannot give")
    return letters, kept


def _summed(b: GraphBuilder, term: Term, needed: set[str]) -> Term:
    """The operand without the axes that nobody else mentions."""
    axes = [axis for axis, letter in enumerate(term.letters) if letter not in needed]
    total = b.reduce(ReduceFunction.SUM, term.value, axes, keep_dims=False)
    return Term(total, "".join(letter for letter in term.letters if letter in needed))


def _ordered(b: GraphBuilder, term: Term, order: str) -> Value:
    return b.transpose(term.value, [term.letters.index(letter) for letter in order])


def _product(b: GraphBuilder, first: Term, second: Term, kept: str) -> Term:
    for letter in set(first.letters) & set(second.letters):
        if first.size(letter) != second.size(letter):
            raise ModelError(f"axis {letter!r} has the sizes {first.size(letter)} and {second.size(letter)}")
    if first.value.constant and not second.value.constant:
        first, second = second, first
    batch = "".join(letter for letter in kept if letter in first.letters and letter in second.letters)
    inner = "".join(letter for letter in first.letters if letter in second.letters and letter not in kept)
    rows = "".join(letter for letter in first.letters if letter not in second.letters)
    columns = "".join(letter for letter in second.letters if letter not in first.letters)
    letters = batch + rows + columns
    shape = (*first.sizes(batch + rows), *second.sizes(columns))
    left = _ordered(b, first, batch + rows + inner)
    if not inner:
        right = _ordered(b, second, batch + columns)
        left = b.reshape(left, (*first.sizes(batch + rows), *[1] * len(columns)))
        right = b.reshape(right, (*second.sizes(batch), *[1] * len(rows), *second.sizes(columns)))
        return Term(b.mul(left, right), letters)
    depth, width = math.prod(first.sizes(inner)), math.prod(second.sizes(columns))
    if not batch and second.value.constant and second.value.data is not None:
        order = [second.letters.index(letter) for letter in columns + inner]
        weights = np.ascontiguousarray(second.value.data.transpose(order).reshape(width, depth))
        left = b.reshape(left, (*(first.sizes(rows) or (1,)), depth))
        return Term(b.reshape(b.emit("fully_connected", [left, weights]), shape), letters)
    leading: Sequence[int] = first.sizes(batch)
    if len(leading) > 2:
        leading = (math.prod(leading),)
    left = b.reshape(left, (*leading, math.prod(first.sizes(rows)), depth))
    across = b.reshape(_ordered(b, second, batch + inner + columns), (*leading, depth, width))
    return Term(b.reshape(b.emit("matmul", [left, across]), shape), letters)
