"""How convert reads its source: the options that settle what a model leaves open, and --check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgert.cli._shared import FILE, CheckFailedError, print_json
from edgert.errors import InputError, UnsupportedError

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--input-shape", "shapes", multiple=True, metavar="NAME=1,3,48,192",
        help="Sizes of an input that leaves some open. May be repeated.",
    ),
    click.option(
        "--constant", "constants", multiple=True, metavar="NAME=VALUE",
        help="An input that is known for good: numbers (sr=16000) or an .npy file. May be repeated.",
    ),
    click.option("--inputs", metavar="A[,B]", help="TensorFlow: the tensors to begin at."),
    click.option("--outputs", metavar="A[,B]", help="TensorFlow: the tensors to end at."),
    click.option("--signature", metavar="NAME", help="SavedModel: which of its signatures."),
    click.option("--entry", metavar="NAME", help="TorchScript: which of its submodules."),
    click.option("--weights", type=FILE, metavar="FILE", help="Caffe, MXNet: the weights, if not beside SOURCE."),
)  # fmt: skip


def source_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def source_arguments(
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    inputs: str | None,
    outputs: str | None,
    signature: str | None,
    entry: str | None,
    weights: Path | None,
) -> dict[str, Any]:
    """The options as edgert.convert takes them; those that were not given are left out."""
    arguments: dict[str, Any] = {
        "input_shapes": _shapes(shapes),
        "constants": _constants(constants),
        "inputs": inputs.split(",") if inputs else None,
        "outputs": outputs.split(",") if outputs else None,
        "signature": signature,
        "entry": entry,
        "weights": weights,
    }
    return {name: value for name, value in arguments.items() if value}


def _shapes(words: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for word in words:
        name, _, sizes = word.rpartition("=")
        parts = sizes.split(",")
        if not name or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            raise InputError(f"--input-shape is {word!r}, needed a name and sizes such as image=1,3,224,224")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


def _constants(words: tuple[str, ...]) -> dict[str, Any]:
    """Arrays by name: one number is a scalar; whole numbers are int64, others float32."""
    import numpy as np

    arrays: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if not name or not text:
            raise InputError(f"--constant is {word!r}, needed a name and numbers such as sr=16000, or an .npy file")
        if text.endswith(".npy"):
            try:
                arrays[name] = np.load(text, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise InputError(f"--constant {name}: {text} cannot be read as an .npy file: {error}") from error
            continue
        try:
            numbers: list[float] = [float(part) for part in text.split(",")]
        except ValueError:
            raise InputError(f"--constant is {word!r}, needed numbers separated by commas, or an .npy file") from None
        whole = all(number.is_integer() for number in numbers) and "." not in text
        array = np.asarray(numbers, np.int64 if whole else np.float32)
        arrays[name] = array if "," in text else array.reshape(())
    return arrays


def report_check(source: Path, reading: dict[str, Any], as_json: bool) -> None:
    """Converts and keeps nothing. Raises CheckFailedError with every operator that cannot be converted."""
    from edgert.compile import convert
    from edgert.report.console import print_facts, print_table

    try:
        result = convert(source, quantize="none", **reading)
    except UnsupportedError as error:
        if as_json:
            print_json({"convertible": False, "unsupported": [vars(item) for item in error.items]})
        raise CheckFailedError(str(error)) from error
    counts = Counter((node.source or node.op, node.op) for node in result.graph.nodes)
    facts = {
        "convertible": True,
        "source_format": result.source_format,
        "operators": [{"source": kind, "operator": op, "count": count} for (kind, op), count in sorted(counts.items())],
        "notes": list(result.notes),
    }
    if as_json:
        print_json(facts)
        return
    print_facts([("check", f"{source} can be converted"), *(("note", note) for note in result.notes)])
    rows = [(kind, op, str(count)) for (kind, op), count in sorted(counts.items())]
    print_table(("in the source", "operator", "count"), rows)
