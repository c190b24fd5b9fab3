"""edgert convert: a trained model to an .ert package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgert.cli._goal import GOAL_WORDS, fail, goal_of, goal_options, print_outcome
from edgert.cli._shared import (
    FILE,
    cache_option,
    check_output,
    executor_options,
    json_option,
    print_json,
    size_text,
)
from edgert.cli._source import report_check, source_arguments, source_options
from edgert.errors import InputError
from edgert.quant.schemes import SCHEMES

if TYPE_CHECKING:
    from edgert.compile import Conversion
    from edgert.data import Normalisation
    from edgert.data.sources import Arrays


@click.command("convert")
@click.argument("source", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="OUT.ert", help="The package to write.")
@click.option("--check", is_flag=True, help="Write nothing; say what can be converted and what cannot, and why.")
@click.option("--calibrate", metavar="DATA", help="Samples: .npz, .npy, a folder of images or .bin, module:function.")
@click.option("--quantize", metavar="SCHEME", help=f"none, {', '.join(SCHEMES)}. Default: int8 with --calibrate.")
@click.option(
    "--layer", "layers", multiple=True, metavar="NAME=SCHEME", callback=lambda context, option, given: _layers(given),
    help="Another scheme for the layers whose output or node has this name; * fits any text. May be repeated.",
)  # fmt: skip
@click.option("--labels", type=FILE, metavar="FILE", help="Class names, one a line.")
@click.option("--mean", metavar="A[,B,C]", help="Per channel, in units of pixels: x = (pixel - mean) / std.")
@click.option("--std", metavar="A[,B,C]", help="See --mean.")
@click.option("--io", type=click.Choice(["float", "int8"]), help="Element type of inputs and outputs.")
@click.option(
    "--target", "targets", multiple=True, metavar="NAME",
    help="Pack weights for NAME too, where the package then opens quicker (edgert targets). May be repeated.",
)  # fmt: skip
@click.option(
    "--golden", type=click.IntRange(0, 64), default=0, metavar="N",
    help="Record N runs, of calibration samples or seeded inputs, by which a device checks itself.",
)  # fmt: skip
@click.option("--report", type=FILE, metavar="OUT.html", help="What quantising did, as edgert report writes it.")
@goal_options
@executor_options
@cache_option
@source_options
@json_option
def command(
    source: Path,
    output: Path | None,
    check: bool,
    calibrate: str | None,
    quantize: str | None,
    layers: tuple[tuple[str, str], ...],
    labels: Path | None,
    mean: str | None,
    std: str | None,
    io: Literal["float", "int8"] | None,
    targets: tuple[str, ...],
    golden: int,
    report: Path | None,
    jobs: int,
    scheduler: str | None,
    cache: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Convert SOURCE, a trained model of PyTorch, TensorFlow, Keras, TFLite, ONNX, Caffe, MXNet or Torch7, into an .ert
    package; --calibrate quantises a float model to int8. `edgert ops` lists what each format's importer knows."""
    from edgert.cache import open_cache
    from edgert.compile import convert
    from edgert.executors import open_executor
    from edgert.quant.budget.verdict import BudgetError
    from edgert.report.console import print_facts, stages
    from edgert.runtime.model import Model
    from edgert.targets import target

    wanted = {name: words.pop(name) for name in GOAL_WORDS}
    reading = source_arguments(**words)
    if check:
        report_check(source, reading, as_json)
        return
    if output is None:
        raise InputError("name the package to write with -o OUT.ert; --check alone writes none")
    check_output(output, [path for path in (source, labels, calibrate and Path(calibrate)) if path])
    if calibrate is not None and quantize == "none":
        raise InputError("--calibrate is for quantising, which --quantize none forbids: leave one of them out")
    for name in targets:
        target(name)  # an unknown one is reported before anything takes long
    if report is not None:
        check_output(report, [path for path in (source, output) if path])
        if calibrate is None:
            raise InputError("--report compares with the float model on the samples of --calibrate: give them too")
    goal = goal_of(**wanted)
    normalisation = _normalisation(mean, std)
    samples = None
    if calibrate is not None:
        samples = _samples(source, calibrate, normalisation, reading)
    try:
        with stages(not as_json) as bar, open_executor(jobs, scheduler) as executor:
            result = convert(
                source,
                quantize=quantize,
                calibrate=samples,
                layers=dict(layers),
                labels=_labels(labels),
                mean=normalisation[0],
                std=normalisation[1],
                io=io,
                targets=targets,
                golden=golden,
                goal=goal and replace(goal, executor=executor),
                cache=open_cache(cache),
                progress=bar,
                **reading,
            )
    except BudgetError as error:
        fail(error, as_json)
    model = Model(result.data)  # what is written has been opened once
    _write(output, result.data)
    if report is not None:
        assert samples is not None
        plain = convert(source, quantize="none", **reading).data
        _write_report(report, (source, plain), (output, result), samples, not as_json)
    facts = {
        "output": str(output),
        "source": str(source),
        "source_format": result.source_format,
        "source_bytes": result.source_bytes,
        "bytes": len(result.data),
        "operators": len(result.graph.nodes),
        "quantized_here": result.quantized_here,
        "calibration_samples": result.calibration_samples,
        "inputs": [str(info) for info in model.inputs],
        "outputs": [str(info) for info in model.outputs],
        "targets": list(targets),
        "golden": golden,
        "notes": list(result.notes),
        "report": report and str(report),
        "budget": result.budget and result.budget.as_json(),
    }
    if as_json:
        print_json(facts)
        return
    calibrated = f"on {result.calibration_samples} sample{'s'[: result.calibration_samples != 1]}"
    print_facts(
        [
            ("wrote", f"{output} ({size_text(len(result.data))}, from {size_text(result.source_bytes)})"),
            ("operators", len(result.graph.nodes)),
            ("calibrated", calibrated if result.calibration_samples else None),
            *(("input", info) for info in model.inputs),
            *(("output", info) for info in model.outputs),
            ("packed for", ", ".join(dict.fromkeys(targets)) or None),
            ("golden runs", golden or None),
            ("report", report),
            *(("note", note) for note in result.notes),
        ]
    )
    if result.budget is not None:
        print_outcome(result.budget)


def _write_report(
    path: Path, exact: tuple[Path, bytes], made: tuple[Path, Conversion], samples: Arrays, shown: bool
) -> None:
    """exact: the source's file, and its float package. made: the file that was written, and what is in it."""
    from edgert.report.console import stages
    from edgert.report.quantisation import quantisation_report, write_report

    files = (exact[0].name, made[0].name)
    with stages(shown) as bar:
        report = quantisation_report(
            exact[1], made[1].data, lambda: samples, files=files, notes=made[1].notes, progress=bar
        )
        write_report(report, html=path)


def _samples(source: Path, data: str, normalisation: Normalisation, reading: dict[str, Any]) -> Arrays:
    """The model is converted once without quantising, to learn what its inputs take."""
    from edgert.compile import convert
    from edgert.data import load_samples
    from edgert.runtime.model import Model

    plain = Model(convert(source, quantize="none", **reading).data)
    return load_samples(data, plain.inputs, normalisation).arrays()


def _layers(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The last = parts a layer's name from its scheme: names may hold one."""
    pairs = [word.rpartition("=")[::2] for word in given]
    wrong = [word for word, (name, scheme) in zip(given, pairs, strict=True) if not name or scheme not in SCHEMES]
    if wrong:
        raise InputError(f"--layer is {wrong[0]!r}, needed NAME=SCHEME with one of {', '.join(SCHEMES)}")
    return tuple(pairs)


def _numbers(text: str | None, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError as error:
        raise InputError(f"{option} is {text!r}, needed numbers separated by commas") from error


def _normalisation(mean: str | None, std: str | None) -> Normalisation:
    """Both per channel; one that is left out is 0 or 1."""
    means, stds = _numbers(mean, "--mean"), _numbers(std, "--std")
    channels = max(len(means), len(stds))
    means, stds = means or (0.0,) * channels, stds or (1.0,) * channels
    if len(means) != len(stds):
        raise InputError(f"--mean has {len(means)} channels and --std has {len(stds)}")
    return means, stds


def _labels(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{path} holds no labels; needed one a line")
    return tuple(line.strip() for line in lines)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: a device must not find half a package."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
