"""reshape."""

from __future__ import annotations

import pytest

from edgert.errors import ModelError
from ops.runner import check, f32, i8, i64, quant_i8, refused


@pytest.mark.parametrize("shape", [(24,), (-1,), (2, -1), (0, 12), (0, 0, -1), (1, 24, 1), (4, 3, 2, 1, 1, 1, 1, 1)])
def test_shapes(shape: tuple[int, ...]) -> None:
    check("reshape", {"shape": shape}, [f32(2, 3, 4)])
    check("reshape", {"shape": shape}, [i8(2, 3, 4)], quant=quant_i8())


def test_scalar_and_wide_types() -> None:
    check("reshape", {"shape": ()}, [i64(1, 1)])
    check("reshape", {"shape": (1, 1)}, [i64()])


@pytest.mark.parametrize("shape", [(-1, -1), (5, -1), (25,), (-2, 12), (2, 3, 4, 0), (1,) * 9])
def test_refuses_what_does_not_fit(shape: tuple[int, ...]) -> None:
    refused("reshape", {"shape": shape}, [f32(2, 3, 4)], [f32(24)], "shape|elements")
    with pytest.raises(ModelError):
        check("reshape", {"shape": shape}, [f32(2, 3, 4)])
