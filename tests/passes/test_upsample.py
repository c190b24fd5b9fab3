"""Pictures enlarged by repeated pixels."""

from __future__ import annotations

import pytest

from edgert.dtypes import DType, QuantParams
from edgert.ir import Value
from edgert.ops._enums import NearestMode, ResizeMode
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.merge_movement import merge_movement
from edgert.passes.upsample import upsample
from passes.graphs import Maker, ops, run_kept

INT8 = {"dtype": DType.INT8, "quant": QuantParams((0.05,), (3,))}
PASSES = (merge_movement, upsample, remove_dead_code) * 5  # each round brings the next one within reach


def rows(m: Maker, x: Value, times: int) -> Value:
    n, height, width, channels = x.shape
    wide = m.op("broadcast_to", m.op("reshape", x, shape=(n, height, 1, width, channels)),
                shape=(n, height, times, width, channels))  # fmt: skip
    return m.op("reshape", wide, shape=(n, height * times, width, channels))


def columns(m: Maker, x: Value, times: int) -> Value:
    n, height, width, channels = x.shape
    wide = m.op("broadcast_to", m.op("reshape", x, shape=(n * height * width, 1, channels)),
                shape=(n * height * width, times, channels))  # fmt: skip
    return m.op("reshape", wide, shape=(n, height, width * times, channels))


@pytest.mark.parametrize("times", [(2, 2), (3, 5), (41, 7)])
@pytest.mark.parametrize("kind", [{}, INT8], ids=["float32", "int8"])
def test_rows_and_columns_are_one_resize(times, kind):
    m = Maker()
    graph = m.outputs(columns(m, rows(m, m.input(2, 5, 3, 4, **kind), times[0]), times[1]))
    assert run_kept(graph, *PASSES, exact=True)
    assert ops(graph) == {"resize": 1}


@pytest.mark.parametrize("repeat", [rows, columns])
def test_one_direction_alone(repeat):
    m = Maker()
    graph = m.outputs(m.op("unary", repeat(m, m.input(1, 4, 3, 2), 3), function=0))
    assert run_kept(graph, *PASSES, exact=True)
    assert ops(graph) == {"resize": 1, "unary": 1}


def test_repeated_as_a_whole_stays():
    m = Maker()
    x = m.op("reshape", m.input(1, 4, 3, 2), shape=(1, 1, 4, 3, 2))
    tiled = m.op("reshape", m.op("broadcast_to", x, shape=(1, 3, 4, 3, 2)), shape=(1, 12, 3, 2))
    graph = m.outputs(tiled)
    run_kept(graph, *PASSES, exact=True)
    assert ops(graph)["broadcast_to"] == 1


def test_channels_repeated_stay():
    m = Maker()
    x = m.op("reshape", m.input(1, 4, 3, 2), shape=(1, 4, 3, 2, 1))
    graph = m.outputs(m.op("reshape", m.op("broadcast_to", x, shape=(1, 4, 3, 2, 3)), shape=(1, 4, 3, 6)))
    run_kept(graph, *PASSES, exact=True)
    assert ops(graph)["broadcast_to"] == 1


def test_resizes_of_another_kind_stay():
    m = Maker()
    odd = {"mode": ResizeMode.NEAREST, "nearest": NearestMode.CEIL}
    x = m.op("resize", m.input(1, 4, 3, 2), out_h=8, out_w=3, **odd)
    graph = m.outputs(m.op("resize", x, out_h=8, out_w=6, **odd))
    assert not upsample(graph)
