"""Runs of a model as a trace for Perfetto (ui.perfetto.dev) or chrome://tracing.

The format is the Trace Event Format: complete events ("ph": "X") with times in microseconds. Each invoke is an event,
and its operators are events within it; operators that run together are one event, with all of them in its arguments.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgert import __version__
from edgert.report.expansion import expansion
from edgert.report.profile import Work, model_work
from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo

INVOKES = 5
_THREAD = {"pid": 1, "tid": 1}


def trace(model: Model, title: str) -> dict[str, Any]:
    """The trace of INVOKES invokes, after two that warm up. The operators' arguments are what is known of them: number,
    type, name, kernel, inputs, outputs, multiply-adds, bytes moved."""
    work = [_arguments(item) for item in model_work(model)]
    expanded = expansion(model.session)
    for _ in range(2):
        model.session.time_ops()
    runs = [model.session.time_ops() for _ in range(INVOKES)]
    zero = next((run[0][2] for run in runs if run), 0)
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", **_THREAD, "args": {"name": title}},
        {"ph": "M", "name": "thread_name", **_THREAD, "args": {"name": "the caller's thread"}},
    ]
    for number, run in enumerate(runs):
        if run:
            events.append(_event("invoke", f"invoke {number}", run[0][2] - zero, run[-1][3] - zero, {"number": number}))
        for op, count, start, end in run:
            name = " + ".join(item["type"] for item in work[op : op + count])
            arguments = work[op] if count == 1 else {"operators": work[op : op + count]}
            events.append(_event("operator", name, start - zero, end - zero, arguments))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "model": title,
            "isa": model.session.isa,
            "edgert": __version__,
            "expanded_at_opening": expanded.describe() if expanded else None,
        },
    }


def write_trace(path: Path, facts: dict[str, Any]) -> None:
    """One event a line. Raises OSError."""
    events = ",\n".join(json.dumps(event) for event in facts["traceEvents"])
    rest = json.dumps({key: value for key, value in facts.items() if key != "traceEvents"})
    path.write_text(f'{{"traceEvents": [\n{events}\n],\n{rest[1:]}\n')


def _event(category: str, name: str, start_ns: int, end_ns: int, arguments: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": start_ns / 1000, "dur": (end_ns - start_ns) / 1000}
    return {"ph": "X", "cat": category, "name": name, **times, **_THREAD, "args": arguments}


def _arguments(item: Work) -> dict[str, Any]:
    return {
        "operator": item.index,
        "type": item.type,
        "name": item.name,
        "kernel": item.kernel,
        "inputs": [_tensor(info) for info in item.inputs],
        "outputs": [_tensor(info) for info in item.outputs],
        "macs": item.macs,
        "bytes": item.moved_bytes,
    }


def _tensor(info: TensorInfo) -> str:
    return f"{info.dtype.numpy_name}{list(info.shape)}"
