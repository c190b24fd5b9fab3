"""Operators that only move elements take every element type, plain and quantised, whatever its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgert.dtypes import DType
from edgert.ops._enums import PadMode
from ops.runner import Input, boolean, check, i8, i32, quant_i8

Make = Callable[..., Input]
CASES: dict[str, Callable[[Make], tuple[dict[str, Any], list[Input]]]] = {
    "gather": lambda x: ({"axis": 1}, [x(3, 4, 5), i32(2, low=-4, high=3)]),
    "concat": lambda x: ({"axis": 1}, [x(3, 4), x(3, 2)]),
    "slice": lambda x: ({"begin": (1, 3), "end": (3, -1), "strides": (1, -1)}, [x(3, 4)]),
    "transpose": lambda x: ({"perm": (2, 0, 1)}, [x(3, 4, 5)]),
    "reshape": lambda x: ({"shape": (4, -1)}, [x(3, 4, 5)]),
    "pad": lambda x: ({"before": (1, 0), "after": (0, 2)}, [x(3, 4)]),
    "pad reflect": lambda x: ({"before": (1, 0), "after": (0, 2), "mode": PadMode.REFLECT}, [x(3, 4)]),
    "select": lambda x: ({}, [boolean(3, 4), x(3, 4), x(4)]),
    "broadcast_to": lambda x: ({"shape": (2, 3, 4)}, [x(3, 1)]),
    "copy": lambda x: ({}, [x(3, 4)]),
    "depth_to_space": lambda x: ({}, [x(1, 2, 2, 8)]),
    "space_to_depth": lambda x: ({}, [x(1, 4, 4, 2)]),
    "resize": lambda x: ({"out_h": 4, "out_w": 6}, [x(1, 2, 3, 2)]),
}


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
@pytest.mark.parametrize("case", CASES)
def test_every_type(case: str, dtype: DType) -> None:
    attrs, inputs = CASES[case](lambda *shape: Input(shape, dtype, low=0, high=9))
    check(case.split()[0], attrs, inputs)


@pytest.mark.parametrize("case", CASES)
def test_quantised(case: str) -> None:
    attrs, inputs = CASES[case](i8)
    check(case.split()[0], attrs, inputs, quant=quant_i8())
