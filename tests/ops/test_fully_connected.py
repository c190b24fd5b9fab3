from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgert.dtypes import QuantParams
from edgert.ops._enums import Activation
from ops.runner import check, f32, i8, i32, refused
from ops.weighted_inputs import FORMS, inputs, output_quant


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("k", [1, 3, 4, 16, 63, 130])
@pytest.mark.parametrize("n", [1, 8, 10, 33])
@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (70,)])
def test_sizes(form: str, k: int, n: int, leading: tuple[int, ...]) -> None:
    case = inputs(form, (*leading, k), (n, k), 0)
    check("fully_connected", {}, case, quant=output_quant(form), relative=1e-4, absolute=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 9, 300])
def test_large_enough_for_threads(form: str, rows: int) -> None:
    case = inputs(form, (rows, 640), (500, 640), 0)
    check("fully_connected", {}, case, quant=output_quant(form), relative=1e-4, absolute=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("bias", [False, True])
def test_activation_and_bias(form: str, activation: Activation, bias: bool) -> None:
    case = inputs(form, (3, 20), (12, 20), 0, bias)
    attrs = {"activation": activation}
    check("fully_connected", attrs, case, quant=output_quant(form), relative=1e-4, absolute=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("rows", "k", "n"), [(1, 5, 3), (4, 64, 70), (40, 90, 100)])
def test_computed_weights(form: str, rows: int, k: int, n: int) -> None:
    x, w, bias = inputs(form, (rows, k), (n, k), 0)
    assert w is not None
    case = [x, replace(w, constant=False), bias]
    check("fully_connected", {}, case, quant=output_quant(form), relative=1e-4, absolute=1e-4)


def test_refused() -> None:
    x, y = i8(2, 4), i8(2, 3)
    w = i8(3, 4, quant=QuantParams((0.01,), (0,)), constant=True)

    def no(match: str, attrs: dict[str, Any] | None = None, **changed: Any) -> None:
        operands = {"x": x, "w": w, "bias": None, "y": y, **changed}
        inputs = [operands["x"], operands["w"], operands["bias"]]
        refused("fully_connected", attrs or {}, inputs, [operands["y"]], match)

    no("input has 5 as its last dimension, needed 4", x=i8(2, 5))
    no("input has 0 as its last dimension", x=i8())
    no("weights has 3 dimensions, needed 2", w=replace(w, shape=(3, 2, 2)))
    no("weights is float32, needed int8", w=f32(3, 4, constant=True))
    no("bias has 2 dimensions, needed 1", bias=i32(3, 1, constant=True))
    no("activation is 200", {"activation": 200})
    no("its inputs give", y=i8(3, 2))
