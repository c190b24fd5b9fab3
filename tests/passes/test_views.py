"""Chains of reshape, transpose and slice against NumPy, and what they shrink to."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from edgert.passes import _views


def run(x, op, attrs):
    if op == "transpose":
        return x.transpose(attrs["perm"])
    if op == "reshape":
        return x.reshape(attrs["shape"])
    index = tuple(slice(*item) for item in zip(attrs["begin"], attrs["end"], attrs["strides"], strict=True))
    return x[index]


def random_step(rng, shape):
    kind = rng.choice(("transpose", "reshape", "reshape", "slice"))
    if kind == "transpose":
        return kind, {"perm": tuple(rng.sample(range(len(shape)), len(shape)))}
    if kind == "slice":
        begin = [rng.randrange(size) if rng.random() < 0.3 else 0 for size in shape]
        return kind, {
            "begin": tuple(begin),
            "end": tuple(
                rng.randrange(b, size) + 1 if rng.random() < 0.3 else size for b, size in zip(begin, shape, strict=True)
            ),
            "strides": tuple(rng.choice((1, 1, 1, 2, 3)) for _ in shape),
        }
    rest, new = math.prod(shape), []
    while rest > 1:
        factor = rng.choice([d for d in range(1, rest + 1) if rest % d == 0])
        new.append(factor)
        rest //= factor
    return kind, {"shape": tuple(new) or (1,)}


@pytest.mark.parametrize("seed", range(300))
def test_view_and_steps_equal_numpy(seed):
    rng = random.Random(seed)
    source = tuple(rng.choice((1, 2, 3, 4, 6)) for _ in range(rng.randrange(1, 5)))
    x = np.arange(math.prod(source)).reshape(source)
    view, y = _views.whole(source), x
    for _ in range(rng.randrange(1, 6)):
        op, attrs = random_step(rng, y.shape)
        y = run(y, op, attrs)
        view = _views.apply(view, op, attrs, y.shape)
        if view is None:
            return  # the reshape copies
        strided = np.lib.stride_tricks.as_strided(
            x.reshape(-1)[view.offset :], view.shape, [stride * x.itemsize for stride in view.strides]
        )
        np.testing.assert_array_equal(strided, y)
    steps = _views.steps(source, view)
    if steps is None:
        return
    assert len(steps) <= 4
    again = x
    for op, attrs in steps:
        again = run(again, op, attrs)
    np.testing.assert_array_equal(again, y)


def chain(source, *steps):
    view, x = _views.whole(source), np.empty(source, np.int8)
    for op, attrs in steps:
        x = run(x, op, attrs)
        view = _views.apply(view, op, attrs, x.shape)
        assert view is not None
    return _views.steps(source, view)


def test_channel_shuffle_is_a_strided_slice():
    """[1,H,W,C] -> NCHW -> two halves interleaved -> the first: every second channel."""
    steps = chain(
        (1, 5, 7, 8),
        ("transpose", {"perm": (0, 3, 1, 2)}),
        ("reshape", {"shape": (4, 2, 35)}),
        ("transpose", {"perm": (1, 0, 2)}),
        ("reshape", {"shape": (2, 1, 4, 5, 7)}),
        ("slice", {"begin": (1, 0, 0, 0, 0), "end": (2, 1, 4, 5, 7), "strides": (1, 1, 1, 1, 1)}),
        ("reshape", {"shape": (1, 4, 5, 7)}),
    )
    assert steps == [
        ("slice", {"begin": (0, 0, 0, 1), "end": (1, 5, 7, 8), "strides": (1, 1, 1, 2)}),
        ("transpose", {"perm": (0, 3, 1, 2)}),
    ]


def test_inverse_transposes_are_nothing():
    assert chain((2, 3, 4, 5), ("transpose", {"perm": (0, 3, 1, 2)}), ("transpose", {"perm": (0, 2, 3, 1)})) == []


@pytest.mark.parametrize("source", [(1, 1, 1, 9), (1, 6, 7, 1), (3, 1, 1, 4)])
def test_transpose_that_moves_only_ones_is_a_reshape(source):
    (step,) = chain(source, ("transpose", {"perm": (0, 3, 1, 2)}))
    assert step[0] == "reshape"
