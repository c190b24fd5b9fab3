"""broadcast_to."""

from __future__ import annotations

import pytest

from edgert.errors import ModelError
from ops.runner import check, f32, i8, i64, quant_i8, refused


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((), (2, 3)),
        ((1,), (4,)),
        ((3, 1), (3, 5)),
        ((1, 5), (3, 5)),
        ((2, 1, 4, 1), (2, 3, 4, 5)),
        ((4,), (2, 3, 4)),
        ((3, 4), (3, 4)),
        ((1, 1, 1, 64), (1, 60, 60, 64)),
    ],
)
def test_shapes(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    check("broadcast_to", {"shape": wanted}, [f32(*shape)])
    check("broadcast_to", {"shape": wanted}, [i8(*shape)], quant=quant_i8())
    check("broadcast_to", {"shape": wanted}, [i64(*shape)])


@pytest.mark.parametrize("wanted", [(3,), (2, 4), (3, -1), (3, 3, 2)])
def test_refuses_what_does_not_repeat(wanted: tuple[int, ...]) -> None:
    refused("broadcast_to", {"shape": wanted}, [f32(2, 3, 5)], [f32(*map(abs, wanted))], "shape")
    with pytest.raises(ModelError, match="cannot be repeated"):
        check("broadcast_to", {"shape": wanted}, [f32(2, 3, 5)])
