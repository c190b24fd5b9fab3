from __future__ import annotations

import numpy as np
import pytest

from edgert.errors import ModelError
from ops.runner import check, f32, i32, make_case, of_data, refused


@pytest.mark.parametrize(
    ("x", "slope"),
    [
        ((6,), (6,)),
        ((2, 5, 7, 3), (3,)),
        ((2, 5, 7, 3), (1, 1, 3)),
        ((1, 40, 50, 16), (1,)),
        ((1, 40, 50, 16), (40, 50, 1)),
        ((2, 3), ()),
        ((1, 1, 1), (1,)),
    ],
    ids=str,
)
def test_prelu(x: tuple[int, ...], slope: tuple[int, ...]) -> None:
    check("prelu", {}, [f32(*x), f32(*slope, low=-1, high=1, constant=True)], relative=1e-6, absolute=0)


def test_nan_and_zero() -> None:
    x = np.array([np.nan, -0.0, 0.0, -np.inf, np.inf, -1], np.float32)
    (y,) = check("prelu", {}, [of_data(x), f32(1, low=0.5, high=0.5)])
    assert np.isnan(y[0])


def test_refused() -> None:
    refused("prelu", {}, [f32(3), f32(2, 3)], [f32(2, 3)], "a dimension that the input lacks")
    refused("prelu", {}, [f32(1, 3), f32(2, 3)], [f32(2, 3)], "a dimension that the input lacks")
    refused("prelu", {}, [f32(3), f32(2)], [f32(3)], "does not broadcast")
    refused("prelu", {}, [i32(3), f32(3)], [f32(3)], "input is int32")
    refused("prelu", {}, [f32(3), i32(3)], [f32(3)], "slope is int32")
    with pytest.raises(ModelError, match="does not broadcast to the input"):
        make_case("prelu", {}, [f32(1, 3), f32(2, 3)])
