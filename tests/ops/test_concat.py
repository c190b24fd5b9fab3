"""concat."""

from __future__ import annotations

import pytest

from edgert.errors import ModelError
from edgert.ops._enums import Activation
from ops.runner import Input, check, f32, i8, i64, quant_i8, refused


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_axes(axis: int) -> None:
    shapes = []
    for size in (1, 5, 2):
        shape = [2, 3, 4, 5]
        shape[axis] = size
        shapes.append(shape)
    check("concat", {"axis": axis}, [f32(*shape) for shape in shapes])
    check("concat", {"axis": axis}, [i8(*shape) for shape in shapes], quant=quant_i8())
    check("concat", {"axis": axis}, [i64(*shape) for shape in shapes])


def test_one_input_many_inputs_and_constants() -> None:
    check("concat", {"axis": 0}, [f32(3)])
    check("concat", {"axis": 1}, [f32(2, 1, constant=i % 2 == 0) for i in range(100)])


def test_large_on_several_threads() -> None:
    check("concat", {"axis": 3}, [i8(1, 96, 96, 24), i8(1, 96, 96, 40)], quant=quant_i8())


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1])
def test_activations(activation: Activation) -> None:
    check("concat", {"axis": 1, "activation": activation}, [f32(3, 4), f32(3, 5)])
    quant = quant_i8(0.06, -20)
    inputs = [i8(3, 4, quant=quant), i8(3, 5, quant=quant)]
    check("concat", {"axis": 1, "activation": activation}, inputs, quant=quant)


def test_refuses_shapes_types_and_scales_that_differ() -> None:
    refused("concat", {"axis": 2}, [f32(2, 3)], [f32(2, 3)], "axis is 2")
    refused("concat", {"axis": 0}, [f32(2, 3), f32(2, 4)], [f32(4, 3)], "dimension 1 of input 1 is 4, needed 3")
    refused("concat", {"axis": 0}, [f32(2, 3), f32(2)], [f32(4, 3)], "input 1 has 1 dimensions")
    refused("concat", {"axis": 0}, [f32(2), i64(2)], [f32(4)], "output is float32, needed the input's int64")
    refused("concat", {"axis": 0}, [i8(2), i8(2, quant=quant_i8(1.0))], [i8(4)], "scale or zero point")
    refused("concat", {"axis": 0, "activation": Activation.RELU}, [i64(2)], [i64(2)], "activation on int64")
    with pytest.raises(ModelError, match="input 1"):
        check("concat", {"axis": 0}, [f32(2, 3), Input((2, 4))])
