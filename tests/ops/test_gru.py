"""gru."""

from __future__ import annotations

from typing import Any

import pytest

from edgert.errors import ModelError
from edgert.ops._enums import UnaryFunction
from ops.recurrent_inputs import LARGE, SIZES, lengths, sequence, weights
from ops.runner import check, f32, refused


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize(("reverse", "batch_major"), [(False, False), (True, True)])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: tuple[int, int, int, int], reverse: bool, batch_major: bool, reset_after: bool) -> None:
    steps, batch, width, units = size
    attrs = {"reverse": reverse, "batch_major": batch_major, "reset_after": reset_after}
    inputs = [sequence(steps, batch, width, batch_major), weights(3 * units, width), weights(3 * units, units)]
    check("gru", attrs, inputs)
    inputs += [weights(3 * units), weights(3 * units), f32(batch, units, low=-1, high=1), lengths(batch, steps)]
    check("gru", attrs, inputs, seed=1)


FUNCTIONS: list[dict[str, Any]] = [
    {"gate": UnaryFunction.HARD_SIGMOID, "gate_alpha": 0.2, "gate_beta": 0.5, "activation": UnaryFunction.RELU},
    {"activation": UnaryFunction.SIGMOID, "reset_after": True},
    {"clip": 0.3},
    {"clip": 0.3, "reset_after": True},
]


@pytest.mark.parametrize("attrs", FUNCTIONS)
def test_functions(attrs: dict[str, Any]) -> None:
    check("gru", attrs, [sequence(4, 2, 6, False), weights(27, 6), weights(27, 9), weights(27), weights(27)])


@pytest.mark.parametrize("reset_after", [False, True])
def test_on_several_threads(reset_after: bool) -> None:
    steps, batch, width, _ = LARGE
    inputs = [sequence(steps, batch, width, False), weights(600, width), weights(600, 200), weights(600)]
    check("gru", {"reset_after": reset_after}, inputs, absolute=1e-5)


@pytest.mark.parametrize("reset_after", [False, True])
def test_computed_weights(reset_after: bool) -> None:
    """Packed in every run."""
    inputs = [weights(*shape, constant=False) for shape in ((27, 6), (27, 9), (27,), (27,))]
    check("gru", {"reset_after": reset_after}, [sequence(3, 2, 6, False), *inputs])


def test_refuses_what_does_not_fit() -> None:
    x, w, r = f32(3, 2, 4), weights(15, 4), weights(15, 5)
    y, h = f32(3, 2, 5), f32(2, 5)
    refused("gru", {}, [x, weights(16, 4), weights(16, 5)], [y, h], "16 rows, needed a multiple of 3")
    refused("gru", {}, [x, w, weights(15, 4)], [y, h], "recurrent weights have 4 columns")
    refused("gru", {}, [x, w, r, None, weights(14)], [y, h], "recurrent bias has the shape")
    refused("gru", {"gate": UnaryFunction.SIN}, [x, w, r], [y, h], "gate is function 19")
    attrs = {"activation": UnaryFunction.CLIP, "alpha": 1.0, "beta": -1.0}
    refused("gru", attrs, [x, w, r], [y, h], "activation clips")
    with pytest.raises(ModelError, match="gate is SIN"):
        check("gru", {"gate": UnaryFunction.SIN}, [x, w, r])
