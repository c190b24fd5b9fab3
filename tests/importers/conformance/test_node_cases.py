"""ONNX's own node test cases: all pass, but for those that left_out.toml lists with a reason.

A case that is listed and passes is a failure too, so that the list stays true.
"""

from __future__ import annotations

from collections import defaultdict

import onnx
import pytest
from importers.conformance.runner import Case, MismatchError, cases, left_out, run

from edgert.errors import EdgertError

VERSION = "1.23.2"  # whose cases left_out.toml names
pytestmark = pytest.mark.skipif(onnx.__version__ != VERSION, reason=f"onnx is {onnx.__version__}, needed {VERSION}")


def by_operator() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in cases():
        found[case.operator].append(case)
    return dict(sorted(found.items()))


@pytest.mark.parametrize("operator", by_operator())
def test_operator(operator, conformance_counts):
    """Every case of an operator, its expanded forms (ONNX's function bodies) among them."""
    wrong = []
    for case in by_operator()[operator]:
        reason = left_out().get(case.name)
        try:
            run(case)
        except (EdgertError, MismatchError) as error:
            if reason is None:
                wrong.append(f"{case.name}: {' '.join(str(error).split())}")
            conformance_counts.left_out(case, reason or "it fails")
            continue
        conformance_counts.passed(case)
        if reason is not None:
            wrong.append(f"{case.name} passes, and left_out.toml lists it: take it out of there")
    assert not wrong, "\n".join(wrong)


def test_the_table_names_cases_that_exist():
    unknown = set(left_out()) - {case.name for case in cases()}
    assert not unknown, f"left_out.toml lists {sorted(unknown)}, which this onnx does not have"


def test_how_many_pass():
    """The number that the project promises, of cases whose tensors have types that models have."""
    passing = [case for case in cases() if case.name not in left_out()]
    assert sum(case.common for case in passing) >= 1370
