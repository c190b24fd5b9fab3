"""Where a model's time goes: every operator's time beside the work it does and what the core could do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgert.dtypes import DType
from edgert.ops import OPS_BY_NAME
from edgert.report.console import print_table, short_name
from edgert.report.expansion import Expansion, expansion, of_operator
from edgert.runtime import _native
from edgert.runtime.core import Core, measure_core
from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo, tensor_info


@dataclass(frozen=True)
class Work:
    """What an operator does in one run.

    inputs, outputs: its tensors, constants among the inputs. macs: multiply-adds; 0 for operators of another kind.
    moved_bytes: of all these tensors, each once, as an operator moves them that reads and writes nothing twice.
    isa: the instruction set of its kernel. group: the operators that it runs together with, itself among them.
    """

    index: int
    type: str
    name: str
    kernel: str
    isa: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    macs: int
    moved_bytes: int
    group: range

    @property
    def dtype(self) -> DType | None:
        return self.inputs[0].dtype if self.inputs else None


def model_work(model: Model) -> list[Work]:
    """What each operator of a model does, in the order of execution."""
    session, native = model.session, model.session.model
    kernel_isa = {kernel: isa for _, _, _, kernel, isa, *_ in _native.kernel_cases(session.isa)}
    found = []
    for i in range(native.op_count):
        kind, name, inputs, outputs = native.op(i)
        ins = tuple(tensor_info(session, at) for at in inputs if at >= 0)
        outs = tuple(tensor_info(session, at) for at in outputs)
        definition = OPS_BY_NAME.get(kind)
        count = definition.macs if definition is not None else None
        kernel = session.kernel(i)
        first, members = session.group(i)
        found.append(
            Work(
                index=i, type=kind, name=name, kernel=kernel, isa=kernel_isa.get(kernel, session.isa),
                inputs=ins, outputs=outs,
                macs=count([info.shape for info in ins], [info.shape for info in outs]) if count else 0,
                moved_bytes=sum({info.index: _bytes(info) for info in (*ins, *outs)}.values()),
                group=range(first, first + members),
            )
        )  # fmt: skip
    return found


def _bytes(info: TensorInfo) -> int:
    return math.prod(info.shape) * info.dtype.itemsize


def profile(model: Model, threads: int = 1, seconds: float = 1.0) -> dict[str, Any]:
    """The least time of every operator over many runs, with its work; "types" and "total" sum up. Operators that
    expanded weights when the model was opened are listed with what that took ("expansion"), and take no part in runs.

    Stepping costs a little for each operator, some tens of nanoseconds. Operators that run together share their time in
    the proportion of their times alone; "groups" has both sums. percent_of_peak compares the time with that
    of as many multiply-adds at the peak of the kernel's instruction set, on as many cores as there are threads: of an
    operator, of all of a type, or of the whole model.
    """
    work = model_work(model)
    at_opening = [of_operator(model.session, item.index) for item in work]
    running = [item.index for item, found in zip(work, at_opening, strict=True) if found is None]
    together = least_times(model, seconds)
    grouped = [item.group for item in work if len(item.group) > 1 and item.index == item.group[0]]
    alone = least_times(model, seconds, fused=False) if grouped else together
    least = _shared_out(work, together, alone)
    groups = [
        {
            "operators": [group[0], group[-1]],
            "us": 1e6 * together[group[0]],
            "us_alone": 1e6 * sum(alone[i] for i in group),
        }
        for group in grouped
    ]
    core = measure_core(model.session.isa)
    total = sum(least)
    at_peak = [_seconds_at_peak(item, core, threads) for item in work]
    operators = [
        {"index": item.index, "type": item.type, "name": item.name, "kernel": item.kernel,
         "group": [item.group[0], item.group[-1]] if len(item.group) > 1 else None, "expansion": opening,
         "percent": 100 * time / total if total else 0.0, **_figures([item], [time], [ideal], core)}
        for item, time, ideal, opening in zip(work, least, at_peak, at_opening, strict=True)
    ]  # fmt: skip
    types: list[dict[str, Any]] = []
    for kind in dict.fromkeys(work[i].type for i in running):
        own = [i for i in running if work[i].type == kind]
        times = [least[i] for i in own]
        types.append(
            {"type": kind, "count": len(own), "percent": 100 * sum(times) / total if total else 0.0,
             **_figures([work[i] for i in own], times, [at_peak[i] for i in own], core)}
        )  # fmt: skip
    types.sort(key=lambda entry: -entry["us"])
    expanded = expansion(model.session)
    return {
        "isa": model.session.isa,
        "total_us": 1e6 * total,
        "operators": operators,
        "types": types,
        "groups": groups,
        "total": _figures([work[i] for i in running], [least[i] for i in running], [at_peak[i] for i in running], core),
        "expansion": expanded.describe() if expanded else None,
        **core.describe(),
    }


def least_times(model: Model, seconds: float, fused: bool = True) -> list[float]:
    """Seconds of every operator, the least over runs for about so long, at least 10. Operators that run together (when
    `fused`) have the time of all of them at the first one; 0 for an operator that does not run by itself."""
    from time import perf_counter

    session = model.session
    best = [math.inf] * session.model.op_count
    end, runs = perf_counter() + seconds, 0
    while runs < 10 or (perf_counter() < end and runs < 10000):
        for op, _count, start, stop in session.time_ops(fused):
            best[op] = min(best[op], (stop - start) / 1e9)
        runs += 1
    return [time if time < math.inf else 0.0 for time in best]


def _shared_out(work: Sequence[Work], together: Sequence[float], alone: Sequence[float]) -> list[float]:
    """Seconds of every operator: of those that run together, parts of their time in the proportion of those alone."""
    found = list(together)
    for item in work:
        sum_alone = sum(alone[i] for i in item.group)
        if len(item.group) > 1:
            share = alone[item.index] / sum_alone if sum_alone else 1 / len(item.group)
            found[item.index] = together[item.group[0]] * share
    return found


def _seconds_at_peak(item: Work, core: Core, threads: int) -> float | None:
    peak = core.peak(item.isa, item.dtype) if item.macs and item.dtype is not None else None
    return item.macs / (peak.macs_per_second * threads) if peak else None


def _figures(
    work: Iterable[Work], times: Iterable[float], at_peak: Sequence[float | None], core: Core
) -> dict[str, float | int | None]:
    time, macs = sum(times), 0
    moved = 0
    for item in work:
        macs += item.macs
        moved += item.moved_bytes
    known = [ideal for ideal in at_peak if ideal is not None]
    return {
        "us": 1e6 * time,
        "macs": macs,
        "bytes": moved,
        "macs_per_cycle": macs / (time * core.clock_hz) if macs and time else None,
        "percent_of_peak": 100 * sum(known) / time if known and time else None,
    }


def print_profile(facts: dict[str, Any]) -> None:
    """The facts of profile(), with "model" beside them, as tables. "+": it runs together with the operator above."""
    running = [op for op in facts["operators"] if op["expansion"] is None]
    print_table(
        ("#", "operator", "us", "%", "MAC", "MAC/cycle", "% of peak", "bytes", "kernel", "name"),
        [(_number_in_group(op), op["type"], f"{op['us']:.2f}", f"{op['percent']:.1f}", *_columns(op), op["kernel"],
          short_name(op["name"])) for op in running],
        f"{facts['model']}, {facts['total_us']:.1f} us on {facts['isa']}, {facts['clock_ghz']:.2f} GHz",
    )  # fmt: skip
    rows = [(entry["type"], entry["count"], f"{entry['us']:.2f}", f"{entry['percent']:.1f}", *_columns(entry))
            for entry in facts["types"]]  # fmt: skip
    total = facts["total"]
    rows.append(("all", len(running), f"{total['us']:.2f}", "100.0", *_columns(total)))
    print_table(("operator", "count", "us", "%", "MAC", "MAC/cycle", "% of peak", "bytes"), rows)
    if facts["groups"]:
        print_table(
            ("run together", "us", "us alone", "ratio"),
            [(_group_text(group, facts["operators"]), f"{group['us']:.2f}", f"{group['us_alone']:.2f}",
              f"{group['us'] / group['us_alone']:.3f}") for group in facts["groups"]],
        )  # fmt: skip
    if facts["expansion"]:
        print(f"expanded: {Expansion(**facts['expansion']).text()}")


def _number_in_group(op: dict[str, Any]) -> str:
    follows = op["group"] is not None and op["group"][0] != op["index"]
    return f"+ {op['index']}" if follows else str(op["index"])


def _group_text(group: dict[str, Any], operators: Sequence[dict[str, Any]]) -> str:
    first, last = group["operators"]
    return f"{first}-{last}: {' + '.join(op['type'] for op in operators[first : last + 1])}"


def _columns(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    return (
        f"{entry['macs']:,}" if entry["macs"] else "",
        _number(entry["macs_per_cycle"]),
        _number(entry["percent_of_peak"]),
        f"{entry['bytes']:,}",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
