"""OpDef.macs against counts by hand."""

from __future__ import annotations

import pytest

from edgert.ops import ALL_OPS, OPS_BY_NAME, QuantRule

CASES = [
    # Every output of a 3x3 convolution of 8 channels: 72 products; 4 groups of 2 channels: 18.
    ("conv2d", [(1, 5, 7, 8), (16, 3, 3, 8), (16,)], (1, 5, 7, 16), 5 * 7 * 16 * 72),
    ("conv2d", [(2, 5, 7, 8), (16, 3, 3, 2)], (2, 3, 5, 16), 2 * 3 * 5 * 16 * 18),
    # Multiplier 2: the weights have the output's channels.
    ("depthwise_conv2d", [(1, 6, 6, 4), (5, 3, 8), (8,)], (1, 2, 4, 8), 2 * 4 * 8 * 15),
    ("fully_connected", [(3, 2, 10), (7, 10), (7,)], (3, 2, 7), 6 * 7 * 10),
    ("matmul", [(4, 5), (5, 6)], (4, 6), 4 * 5 * 6),
    ("matmul", [(5, 4), (6, 5)], (4, 6), 4 * 5 * 6),  # both transposed
    ("matmul", [(3, 1, 4, 5), (2, 5, 6)], (3, 2, 4, 6), 3 * 2 * 4 * 5 * 6),  # broadcast
]

# (operator, inputs, outputs, products): 3 steps of 2 sequences of 4 features, 5 units.
SEVERAL = [
    ("rnn", [(3, 2, 4), (5, 4), (5, 5)], [(3, 2, 5), (2, 5)], 6 * (20 + 25)),
    ("gru", [(3, 2, 4), (15, 4), (15, 5), (15,)], [(3, 2, 5), (2, 5)], 6 * (60 + 75)),
    ("lstm", [(3, 2, 4), (20, 4), (20, 5), (2, 5)], [(3, 2, 5), (2, 5), (2, 5)], 6 * (80 + 100)),
    ("lstm", [(3, 2, 4), (20, 4), (20, 3), (3, 5)], [(3, 2, 3), (2, 3), (2, 5)], 6 * (80 + 60 + 15)),
    ("svdf", [(2, 4), (6, 4), (6, 7), (2, 6, 7)], [(2, 3), (2, 6, 7)], 2 * (24 + 42)),
]


@pytest.mark.parametrize(("name", "inputs", "output", "macs"), CASES)
def test_macs(name: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], macs: int) -> None:
    count = OPS_BY_NAME[name].macs
    assert count is not None
    assert count(inputs, [output]) == macs


@pytest.mark.parametrize(("name", "inputs", "outputs", "macs"), SEVERAL)
def test_macs_of_several_outputs(
    name: str, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]], macs: int
) -> None:
    count = OPS_BY_NAME[name].macs
    assert count is not None
    assert count(inputs, outputs) == macs


def test_every_operator_with_weights_counts_its_multiply_adds() -> None:
    counted = {op.name for op in ALL_OPS if op.macs is not None}
    assert counted == {op.name for op in ALL_OPS if op.quant is QuantRule.WEIGHTED} | {
        "matmul",
        "lstm",
        "gru",
        "rnn",
        "svdf",
    }
