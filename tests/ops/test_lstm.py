"""lstm in float32; test_lstm_int8.py has the other form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert.errors import ModelError
from edgert.ops._enums import UnaryFunction
from ops.recurrent_inputs import LARGE, SIZES, lengths, sequence, weights
from ops.runner import Input, check, f32, refused


def operands(
    size: tuple[int, int, int, int], batch_major: bool = False, coupled: bool = False, out: int = 0
) -> list[Input | None]:
    """All eleven; projection to `out` unless it is 0. The tests take away what they do not want."""
    steps, batch, width, units = size
    rows, outputs = (3 if coupled else 4) * units, out or units
    projection = [weights(out, units), weights(out)] if out else [None, None]
    return [
        sequence(steps, batch, width, batch_major), weights(rows, width), weights(rows, outputs), weights(rows),
        f32(batch, outputs, low=-1, high=1), f32(batch, units, low=-1, high=1), weights(3, units), *projection,
        lengths(batch, steps), f32(rows // units, units, constant=True, low=0.5, high=1.5),
    ]  # fmt: skip


PEEPHOLE, PROJECTION, PROJECTION_BIAS, LENGTHS, NORM = 6, 7, 8, 9, 10


@pytest.mark.parametrize(("reverse", "batch_major"), [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: tuple[int, int, int, int], reverse: bool, batch_major: bool) -> None:
    attrs = {"reverse": reverse, "batch_major": batch_major}
    inputs = operands(size, batch_major)
    check("lstm", attrs, inputs[:3])
    inputs[NORM] = inputs[PEEPHOLE] = None
    check("lstm", attrs, inputs, seed=1)


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("out", [0, 3])
@pytest.mark.parametrize("extras", [(), (PEEPHOLE,), (NORM,), (PEEPHOLE, NORM, LENGTHS)])
def test_extras(extras: tuple[int, ...], out: int, coupled: bool) -> None:
    inputs = operands((6, 3, 5, 7), True, coupled, out)
    for index in (PEEPHOLE, LENGTHS, NORM):
        inputs[index] = inputs[index] if index in extras else None
    attrs = {"batch_major": True, "coupled": coupled, "reverse": out > 0}
    check("lstm", attrs, inputs)
    if NORM in extras:
        inputs[3] = None  # normalised, and no bias
    check("lstm", {**attrs, "cell_clip": 0.25, "projection_clip": 0.125}, inputs)


FUNCTIONS: list[dict[str, Any]] = [
    {"gate": UnaryFunction.HARD_SIGMOID, "gate_alpha": 0.2, "gate_beta": 0.5},
    {"activation": UnaryFunction.RELU, "output_activation": UnaryFunction.SIGMOID},
    {"activation": UnaryFunction.CLIP, "output_activation": UnaryFunction.TANH, "alpha": -0.5, "beta": 0.25},
    {"clip": 0.3},
]


@pytest.mark.parametrize("attrs", FUNCTIONS)
def test_functions(attrs: dict[str, Any]) -> None:
    inputs = operands((5, 2, 6, 9))
    inputs[NORM] = inputs[LENGTHS] = None
    check("lstm", attrs, inputs)


def test_on_several_threads() -> None:
    inputs = operands((LARGE[0], 1, LARGE[2], 150), out=140)
    inputs[LENGTHS] = inputs[NORM] = None
    check("lstm", {}, inputs, absolute=1e-5)


def test_computed_weights() -> None:
    """Packed in every run."""
    inputs = operands((3, 2, 6, 9), out=4)
    inputs[LENGTHS] = inputs[NORM] = None
    computed = [
        None if spec is None else Input(spec.shape, spec.dtype, low=spec.low, high=spec.high) for spec in inputs
    ]
    check("lstm", {}, computed)


def test_steps_one_by_one_are_the_sequence() -> None:
    """The state of a run, given to the next, is what streaming needs."""
    rng = np.random.default_rng(0)
    x, w, r = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 1, 3), (20, 3), (20, 5)))

    def run(x: Any, *state: Any) -> list[Any]:
        given = [Input(item.shape, data=item, constant=True) for item in (w, r)]
        states = [Input(item.shape, data=item) for item in state]
        return check("lstm", {}, [Input(x.shape, data=x), *given, None, *states])

    whole = run(x)
    state: list[Any] = []
    for t in range(4):
        y, *state = run(x[t : t + 1], *state)
        np.testing.assert_allclose(y[0], whole[0][t], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state[1], whole[2], rtol=1e-5, atol=1e-6)


def test_refuses_what_does_not_fit() -> None:
    x, w, r = f32(3, 2, 4), weights(20, 4), weights(20, 5)
    y, h, c = f32(3, 2, 5), f32(2, 5), f32(2, 5)
    outputs = [y, h, c]
    refused("lstm", {}, [x, weights(21, 4), weights(21, 5)], outputs, "21 rows, needed a multiple of 4")
    refused("lstm", {}, [x, w, weights(20, 4)], outputs, "recurrent weights have 4 columns")
    refused("lstm", {}, [x, w, r, *[None] * 5, weights(5)], outputs, "projection bias and no projection")
    refused("lstm", {}, [x, w, r, *[None] * 3, weights(2, 5)], outputs, "peephole has the shape")
    refused("lstm", {}, [x, w, r, *[None] * 7, weights(3, 5)], outputs, "norm has the shape")
    refused("lstm", {"cell_clip": -1.0}, [x, w, r], outputs, "cell_clip is -1")
    refused("lstm", {"output_activation": UnaryFunction.ERF}, [x, w, r], outputs, "output_activation is function 21")
    refused("lstm", {}, [x, w, r], [y, h, f32(2, 4)], "has shape")
    refused("lstm", {}, [Input((3, 2, 4), w.dtype.INT32), w, r], outputs, "input is int32")
    with pytest.raises(ModelError, match="needed a multiple of 4"):
        check("lstm", {}, [x, weights(21, 4), r])
    with pytest.raises(ModelError, match="projection bias and no projection"):
        check("lstm", {}, [x, w, r, *[None] * 5, weights(5)])
