"""rnn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ops._enums import UnaryFunction
from ops.recurrent_inputs import LARGE, SIZES, lengths, sequence, weights
from ops.runner import Input, check, f32, of_data, refused


@pytest.mark.parametrize("batch_major", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: tuple[int, int, int, int], reverse: bool, batch_major: bool) -> None:
    steps, batch, width, units = size
    inputs = [sequence(steps, batch, width, batch_major), weights(units, width), weights(units, units)]
    attrs = {"reverse": reverse, "batch_major": batch_major}
    check("rnn", attrs, inputs)
    inputs += [weights(units), f32(batch, units, low=-1, high=1), lengths(batch, steps)]
    check("rnn", attrs, inputs, seed=1)


FUNCTIONS: list[dict[str, Any]] = [
    {"activation": UnaryFunction.SIGMOID},
    {"activation": UnaryFunction.RELU},
    {"activation": UnaryFunction.CLIP, "alpha": -0.5, "beta": 0.25},
    {"activation": UnaryFunction.CLIP, "alpha": -np.inf, "beta": np.inf},
    {"activation": UnaryFunction.HARD_SIGMOID, "alpha": 0.25, "beta": 0.5},
    {"activation": UnaryFunction.TANH, "clip": 0.5},
]


@pytest.mark.parametrize("attrs", FUNCTIONS)
def test_functions(attrs: dict[str, Any]) -> None:
    check("rnn", attrs, [sequence(4, 2, 6, False), weights(9, 6), weights(9, 9), weights(9)])


def test_on_several_threads() -> None:
    steps, batch, width, _ = LARGE
    check("rnn", {}, [sequence(steps, batch, width, False), weights(512, width), weights(512, 512)], absolute=1e-5)


def test_computed_weights() -> None:
    """Packed in every run."""
    inputs = [sequence(3, 2, 6, True), weights(9, 6, constant=False), weights(9, 9, constant=False)]
    check("rnn", {"batch_major": True}, [*inputs, weights(9, constant=False)])


def test_a_step_by_hand() -> None:
    x = of_data(np.array([[[2.0]], [[-3.0]]], np.float32))
    one, half = (of_data(np.array([[v]], np.float32), constant=True) for v in (1.0, 0.5))
    attrs = {"activation": UnaryFunction.RELU}
    y, h = check("rnn", attrs, [x, one, half])
    assert (y.ravel().tolist(), h.item()) == ([2.0, 0.0], 0.0)
    y, h = check("rnn", {**attrs, "reverse": True}, [x, one, half])
    assert (y.ravel().tolist(), h.item()) == ([2.0, 0.0], 2.0)
    count = of_data(np.array([1], np.int32))
    y, h = check("rnn", attrs, [x, one, half, None, of_data(np.array([[8.0]], np.float32)), count])
    assert (y.ravel().tolist(), h.item()) == ([6.0, 0.0], 6.0)


def test_refuses_what_does_not_fit() -> None:
    x, w, r = f32(3, 2, 4), weights(5, 4), weights(5, 5)
    y, h = f32(3, 2, 5), f32(2, 5)
    refused("rnn", {}, [x, w, weights(5, 4)], [y, h], "recurrent weights have 4 columns, needed 5")
    refused("rnn", {}, [x, weights(5, 3), r], [y, h], "weights has the shape")
    refused("rnn", {}, [f32(3, 4), w, r], [y, h], "input has 2 dimensions")
    refused("rnn", {}, [x, w, r, weights(4)], [y, h], "bias has the shape")
    refused("rnn", {}, [x, w, r, None, None, Input((2,), DType.INT64)], [y, h], "lengths is int64")
    refused("rnn", {}, [x, w, r], [f32(3, 2, 4), h], "has shape")
    refused("rnn", {"activation": UnaryFunction.EXP}, [x, w, r], [y, h], "function 9")
    refused("rnn", {"clip": -1.0}, [x, w, r], [y, h], "clip is -1")
    refused("rnn", {"clip": float("nan")}, [x, w, r], [y, h], "clip is nan")
    with pytest.raises(ModelError, match="activation is EXP"):
        check("rnn", {"activation": UnaryFunction.EXP}, [x, w, r])
