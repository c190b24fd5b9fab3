"""Indices from data that lie outside: an error of the run, whatever they are, and the next run is fine again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from edgert import Interpreter
from edgert.errors import InvokeError
from edgert.pack.writer import write
from ops.runner import THREADS, Input, make_case

OUTSIDE = (2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 1000, -1000)


def check_hostile(op: str, attrs: Mapping[str, Any], inputs: Sequence[Input]) -> None:
    """The second input holds the indices, of which one after the other becomes a bad one."""
    case = make_case(op, attrs, inputs)
    package = write(case.graph)
    wide = np.iinfo(case.feeds[1].dtype)
    for threads in THREADS:
        interpreter = Interpreter(model_content=package, num_threads=threads)
        numbers = [details["index"] for details in interpreter.get_input_details()]
        for number, feed in zip(numbers, case.feeds, strict=True):
            interpreter.set_tensor(number, feed)
        for place in (0, case.feeds[1].size // 2, case.feeds[1].size - 1):
            for index in OUTSIDE:
                if wide.min <= index <= wide.max:
                    bad = case.feeds[1].copy()
                    bad.reshape(-1)[place] = index
                    interpreter.set_tensor(numbers[1], bad)
                    with pytest.raises(InvokeError):
                        interpreter.invoke()
        interpreter.set_tensor(numbers[1], case.feeds[1])
        interpreter.invoke()
