"""edgert inspect: what a model holds."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import FILE, json_option, print_json, size_text
from edgert.errors import EdgertError

if TYPE_CHECKING:
    from edgert.runtime import _native
    from edgert.runtime.model import Model


@click.command("inspect")
@click.argument("model", type=FILE)
@json_option
def command(model: Path, as_json: bool) -> None:
    """Show MODEL's inputs, outputs, operators, memory and metadata (.ert; .tflite and .onnx as they would convert)."""
    from edgert.engines import open_model

    opened = open_model(model)
    facts = _facts(model, opened)
    if as_json:
        print_json(facts)
    else:
        _print(facts, opened)


def _facts(path: Path, model: Model) -> dict[str, Any]:
    from edgert.report.expansion import expansion, of_operator
    from edgert.runtime.tensors import tensor_info

    session, native = model.session, model.session.model
    tensors = [tensor_info(session, i) for i in range(native.tensor_count)]
    operators = []
    computed: set[int] = set()  # constants that are not in the file, but expanded from others
    counted: set[int] = set()  # those whose numbers are not parameters, or are those of other constants
    for i in range(native.op_count):
        kind, name, inputs, outputs = native.op(i)
        at_opening = of_operator(session, i)
        if at_opening is not None:
            computed.update(outputs)
            counted.update(
                inputs if kind == "unpack_int4" else outputs
            )  # two parameters a byte: count what is unpacked
        operators.append(
            {
                "index": i,
                "type": kind,
                "name": name,
                "kernel": session.kernel(i),
                "packed_in_file": session.packed_in_file(i),
                "expansion": at_opening,
                "inputs": [tensors[at].name if at >= 0 else None for at in inputs],
                "outputs": [tensors[at].name for at in outputs],
                "output": f"{tensors[outputs[0]].dtype.numpy_name}{list(tensors[outputs[0]].shape)}" if outputs else "",
            }
        )
    mean, std = model.normalisation
    constants = [info for info in tensors if info.kind == "constant"]
    expanded = expansion(session)
    return {
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "name": model.name,
        "inputs": [_tensor(info) for info in model.inputs],
        "outputs": [_tensor(info) for info in model.outputs],
        "operators": operators,
        "parameters": sum(math.prod(info.shape) for info in constants if info.index not in counted),
        "constant_bytes": sum(
            math.prod(info.shape) * info.dtype.itemsize for info in constants if info.index not in computed
        ),
        "arena_bytes": session.arena_bytes,
        "session_bytes": session.total_bytes,
        "peak_bytes": session.peak_bytes,
        "expansion": expanded.describe() if expanded else None,
        "isa": session.isa,
        "targets": [_target(native, i) for i in range(len(native.targets))],
        "labels": list(model.labels),
        "mean": list(mean),
        "std": list(std),
        "metadata": {key: model.metadata(key) for key in native.metadata_keys},
    }


def _target(model: _native.Model, index: int) -> dict[str, Any]:
    """What the package brings for a target, compared with packing its weights anew; fresh, stale and wrong count
    operators, and are None where that cannot be done on this machine."""
    name, architecture, instruction_sets, operators, packed_bytes = model.targets[index]
    fresh = stale = wrong = None
    with suppress(EdgertError):
        fresh, stale, wrong = model.check_target(index)
    return {
        "name": name,
        "architecture": architecture,
        "instruction_sets": instruction_sets.split(),
        "operators": operators,
        "bytes": packed_bytes,
        "fresh": fresh,
        "stale": stale,
        "wrong": wrong,
    }


def _target_text(target: dict[str, Any]) -> str:
    text = f"{target['name']} ({target['architecture']}: {' '.join(target['instruction_sets'])}): "
    text += f"{target['operators']} operators, {size_text(target['bytes'])}"
    if target["fresh"] is None:
        return f"{text}, not checked: this machine cannot pack for it"
    if target["wrong"]:
        return f"{text}; {target['wrong']} of them ARE NOT the weights packed: the file is damaged or forged"
    if target["stale"]:
        return f"{text}; {target['stale']} of them stale, packed when the model is opened: convert it again"
    return text


def _tensor(info: Any) -> dict[str, Any]:
    per_tensor = info.quant is not None and not info.quant.per_channel
    return {
        "name": info.name,
        "dtype": info.dtype.numpy_name,
        "shape": list(info.shape),
        "scale": info.quant.scale if per_tensor else None,
        "zero_point": info.quant.zero_point if per_tensor else None,
    }


def _memory_text(facts: dict[str, Any]) -> str:
    text = f"{size_text(facts['session_bytes'])}, of which the arena {size_text(facts['arena_bytes'])}"
    peak = facts["peak_bytes"]
    return f"{text}; {size_text(peak)} while it opens" if peak > facts["session_bytes"] else text


def _kernel_text(op: dict[str, Any]) -> str:
    if op["expansion"] is not None:
        return "at opening" if op["expansion"]["bytes"] else "not needed: packed in the file"
    return f"{op['kernel']}{' (packed)' if op['packed_in_file'] else ''}"


def _clipped(text: str, most: int = 400) -> str:
    """Notes of the quantiser name every tensor that it rescaled; --json has all of it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _print(facts: dict[str, Any], model: Model) -> None:
    from edgert.report.console import print_facts, print_table, short_name
    from edgert.report.expansion import Expansion

    kinds = Counter(op["type"] for op in facts["operators"])
    labels = facts["labels"]
    print_facts(
        [
            ("model", f"{facts['name'] or facts['path']} ({size_text(facts['file_bytes'])})"),
            *(("input", info) for info in model.inputs),
            *(("output", info) for info in model.outputs),
            ("parameters", f"{facts['parameters']:,} ({size_text(facts['constant_bytes'])})"),
            ("memory", _memory_text(facts)),
            ("expanded", Expansion(**facts["expansion"]).text() if facts["expansion"] else None),
            ("instructions", facts["isa"]),
            *(("packed for", _target_text(target)) for target in facts["targets"]),
            ("operators", ", ".join(f"{kind} x{count}" for kind, count in kinds.most_common())),
            (
                "labels",
                f"{len(labels)} ({', '.join(labels[:4])}{', ...' if len(labels) > 4 else ''})" if labels else None,
            ),
            ("normalisation", f"(pixel - {facts['mean']}) / {facts['std']}" if facts["mean"] else None),
            *((key, _clipped(value)) for key, value in facts["metadata"].items() if value and key != "name"),
        ]
    )
    rows = [
        (op["index"], op["type"], op["output"], _kernel_text(op), short_name(op["name"]))
        for op in facts["operators"]
    ]  # fmt: skip
    print_table(("#", "operator", "output", "kernel", "name"), rows)
