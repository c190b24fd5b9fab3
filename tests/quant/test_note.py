"""What a package says of how it was quantised."""

from __future__ import annotations

import json
import math

from edgert.quant.choices import Choice
from edgert.quant.note import note
from edgert.quant.schemes import FLOAT, INT8, INT16, Plan


def test_what_is_empty_is_left_out() -> None:
    assert json.loads(note(Plan(), Choice(), ())) == {"scheme": "int8", "ranges": "minmax"}
    assert json.loads(note(Plan(FLOAT), Choice(sqnr=math.inf), ())) == {"scheme": "float", "ranges": "minmax"}


def test_everything_that_was_chosen_is_stated_in_one_order() -> None:
    plan = Plan(INT8, {"b": INT16, "a": FLOAT, "c": INT8})
    choice = Choice(
        strength=0.5, ranges="mse", exceptions={"y": "ema", "x": "minmax"}, compensate=True, correct=True, fine=("z",),
        sqnr=31.4159,
    )  # fmt: skip
    text = note(plan, choice, ("q", "p"))
    assert json.loads(text) == {
        "scheme": "int8",
        "layers": {"a": "float", "b": "int16"},
        "ranges": "mse",
        "ranges_of": {"x": "minmax", "y": "ema"},
        "equalised": 0.5,
        "rescaled": ["p", "q"],
        "corrected": True,
        "compensated": True,
        "two_terms": ["z"],
        "sqnr_db": 31.42,
    }
    assert text == note(Plan(INT8, {"a": FLOAT, "b": INT16}), choice, ("p", "q"))
