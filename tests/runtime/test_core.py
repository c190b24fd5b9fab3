"""Measures of the core, single kernels and single operators: what is there, not how fast it is."""

from __future__ import annotations

import numpy as np
import pytest
from runtime.models import gather, pooled

from edgert.dtypes import DType
from edgert.errors import InputError, InvokeError
from edgert.runtime import _native
from edgert.runtime.core import Core, Peak, measure_core
from edgert.runtime.model import Model


def test_every_instruction_set_has_a_peak() -> None:
    core = measure_core()
    assert core.clock_hz > 1e6
    assert all(peak.macs_per_second > 0 and peak.instructions for peak in core.peaks)
    isas = _native.cpu_isas()
    assert {peak.isa for peak in core.peaks if peak.dtype == DType.INT8} == set(isas)
    for isa in isas:
        for dtype in (DType.INT8, DType.FLOAT32):
            peak = core.peak(isa, dtype)
            assert peak is not None
            assert isas.index(peak.isa) <= isas.index(isa)
    assert core.peak("scalar", DType.INT32) is None
    assert core.peak("", DType.INT8) is None


def test_peak_of_a_set_that_adds_nothing_is_that_below() -> None:
    isas = _native.cpu_isas()
    if len(isas) < 2:
        pytest.skip("this processor has plain C alone")
    low, high = Peak(isas[0], DType.FLOAT32, "a", 1.0), Peak(isas[1], DType.INT8, "b", 2.0)
    core = Core(1.0, (low, high))
    assert core.peak(isas[1], DType.FLOAT32) == low
    assert core.peak(isas[1], DType.INT8) == high
    assert core.peak(isas[0], DType.INT8) is None


def test_peaks_keep_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {isa for isa, *_ in _native.peaks("scalar")} == {"scalar"}
    monkeypatch.setenv("ERT_ISA_MAX", "scalar")
    assert {peak.isa for peak in measure_core().peaks} == {"scalar"}
    with pytest.raises(InputError, match="'avx3' is no instruction set"):
        measure_core("avx3")


def test_kernel_cases() -> None:
    scalar = {case[0] for case in _native.kernel_cases("scalar")}
    assert {case[0] for case in _native.kernel_cases() if case[4] == "scalar"} == scalar
    index = next(case[0] for case in _native.kernel_cases() if case[2] == "ad fc 128-8" and case[4] == "scalar")
    bench = _native.KernelBench("scalar")
    assert bench.run(index, 1) > 0
    beyond = [case[0] for case in _native.kernel_cases() if case[4] != "scalar"]
    for wrong in (*beyond[:1], 100000):
        with pytest.raises(IndexError, match="no case"):
            bench.run(wrong)


def test_time_ops_runs_the_model() -> None:
    timed, plain = Model(pooled()), Model(pooled())
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    expected = plain(image)
    timed.view("image")[...] = image
    timed.session.step()  # it starts over, wherever the session was
    for _ in range(2):
        times = timed.session.time_ops()
        assert [(op, count) for op, count, _, _ in times] == [(0, 1), (1, 1)]
        (_, _, start, end), (_, _, start_of_next, last) = times
        assert start <= end == start_of_next <= last
    np.testing.assert_array_equal(timed.view("scores"), expected)
    assert timed.session.step() == 0


def test_time_ops_reports_an_operator_that_fails() -> None:
    model = Model(gather())
    model.view(model.inputs[-1].name)[...] = 100
    with pytest.raises(InvokeError, match="operator 0 'pick'"):
        model.session.time_ops()
    model.view(model.inputs[-1].name)[...] = 0
    assert len(model.session.time_ops()) == model.session.model.op_count
