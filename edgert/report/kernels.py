"""The speed of every kernel of this processor on typical layers, beside the peak of its instruction set."""

from __future__ import annotations

from typing import Any

from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.report.console import print_table, tracked
from edgert.runtime import _native
from edgert.runtime.core import measure_core


def measure_kernels(text: str, shown: bool) -> dict[str, Any]:
    """Measures all cases whose layer or kernel contains `text`, on one thread, some 15 ms each; the environment's
    ERT_ISA_MAX caps the instruction set. shown: whether a progress bar may be drawn.

    Raises InputError when there is no such case, or no such instruction set.
    """
    cases = [case for case in _native.kernel_cases() if text in case[2] or text in case[3]]
    if not cases:
        raise InputError(
            f"no kernel of this processor and no layer contains {text!r}; edgert bench --kernels measures all of them"
        )
    core = measure_core()
    bench = _native.KernelBench()
    found = []
    for index, family, layer, kernel, isa, code, selected, counts_macs, operations in tracked(
        cases, "measuring", len(cases), shown
    ):
        seconds = bench.run(index) / 1e9
        rate = operations / seconds
        peak = core.peak(isa, DType(code)) if counts_macs else None
        found.append(
            {
                "family": family,
                "layer": layer,
                "kernel": kernel,
                "isa": isa,
                "dtype": DType(code).numpy_name,
                "selected": selected,
                "unit": "MAC" if counts_macs else "element",
                "operations": int(operations),
                "us": 1e6 * seconds,
                "giga_per_second": rate / 1e9,
                "per_cycle": rate / core.clock_hz,
                "percent_of_peak": 100 * rate / peak.macs_per_second if peak else None,
            }
        )
    return {**core.describe(), "kernels": found}


def print_kernels(facts: dict[str, Any]) -> None:
    """The facts of measure_kernels() as tables: the peaks, kernels of multiply-adds, and those of elements."""
    print_table(
        ("instruction set", "type", "G MAC/s", "MAC/cycle", "instructions"),
        [(peak["isa"], peak["dtype"], f"{peak['gmacs_per_second']:.1f}", f"{peak['macs_per_cycle']:.1f}",
          peak["instructions"]) for peak in facts["peaks"]],
        f"Peaks of a core, at {facts['clock_ghz']:.2f} GHz",
    )  # fmt: skip
    for unit, title in (("MAC", "Kernels"), ("element", "Kernels of elements")):
        rows = [_row(entry) for entry in facts["kernels"] if entry["unit"] == unit]
        if rows:
            names = (f"G {unit}/s", f"{unit}/cycle", "% of peak", "us")
            columns = ("layer", "kernel", "", *(names if unit == "MAC" else (names[0], names[1], names[3])))
            print_table(columns, rows, f"{title}; a star stands at the one that the layer gets")


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    rate, per_cycle = f"{entry['giga_per_second']:.2f}", f"{entry['per_cycle']:.2f}"
    start = (entry["layer"], entry["kernel"], "*" if entry["selected"] else "")
    time = f"{entry['us']:.2f}"
    if entry["unit"] == "element":
        return (*start, rate, per_cycle, time)
    percent = entry["percent_of_peak"]
    return (*start, rate, per_cycle, "" if percent is None else f"{percent:.1f}", time)
