"""edgert bench: how long a model, its operators, or single kernels take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgert.cli._shared import FILE, check_output, fusion_option, json_option, print_json, threads_option
from edgert.errors import InputError

if TYPE_CHECKING:
    from edgert.runtime.model import Model

PEERS = {  # and the file that one runs where none is named: the first that lies beside MODEL
    "litert": (".tflite",),
    "tflite-runtime": (".tflite",),
    "onnxruntime": (".onnx",),
    "openvino": (".tflite", ".onnx"),
}


@click.command("bench")
@click.argument("model", type=FILE, required=False)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Rounds; engines take turns.")
@click.option("--seconds", type=click.FloatRange(0.01), default=0.3, show_default=True, help="Length of a round.")
@click.option(
    "--profile", is_flag=True,
    help="Show every operator's time, multiply-adds, share of the core's peak, and bytes moved.",
)  # fmt: skip
@click.option(
    "--start", is_flag=True,
    help="Show instead how long opening and the first invoke take, each time in a new process, and how much memory.",
)  # fmt: skip
@click.option("--trace", type=FILE, metavar="FILE", help="Write some invokes as a Chrome or Perfetto trace (JSON).")
@click.option(
    "--against", multiple=True, metavar="ENGINE[=FILE]",
    help=f"Another engine ({', '.join(PEERS)}), on FILE or the .tflite or .onnx beside MODEL.",
)  # fmt: skip
@click.option(
    "--kernels", is_flag=False, flag_value="", metavar="[TEXT]",
    help="Instead of a MODEL: measure every kernel of this processor on typical layers, or those with TEXT in the name"
    " of layer or kernel.",
)  # fmt: skip
@threads_option
@fusion_option
@json_option
def command(
    model: Path | None, rounds: int, seconds: float, profile: bool, start: bool, trace: Path | None,
    against: tuple[str, ...], kernels: str | None, threads: int, no_fusion: bool, as_json: bool,
) -> None:  # fmt: skip
    """Measure MODEL's speed at batch 1, or with --kernels that of single kernels.

    Each engine runs in a process of its own; engines take turns in short rounds, so that a noisy machine disturbs all
    alike. Quote the ratio of the best rounds, not a time.
    """
    if kernels is not None:
        _bench_kernels(kernels, as_json)
    elif model is None:
        raise click.UsageError("Missing argument 'MODEL', or --kernels.", click.get_current_context())
    elif start:
        if profile or trace is not None or against:
            raise InputError("--start goes alone: leave --profile, --trace and --against out")
        _bench_start(model, rounds, threads, as_json)
    else:
        _bench_model(model, rounds, seconds, profile, trace, against, threads, not no_fusion, as_json)


def _bench_kernels(text: str, as_json: bool) -> None:
    from edgert.report.kernels import measure_kernels, print_kernels

    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in ("kernels", "as_json") or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        what = parameter.opts[0] if isinstance(parameter, click.Option) else "MODEL"
        raise InputError(
            f"--kernels measures single kernels on one thread, without a model; {what} does not go with it"
        )
    facts = measure_kernels(text, shown=not as_json)
    if as_json:
        print_json(facts)
    else:
        print_kernels(facts)


def _bench_start(model: Path, processes: int, threads: int, as_json: bool) -> None:
    from edgert.report.start import measure_start, print_start

    facts = measure_start(model, threads, processes)
    if as_json:
        print_json(facts)
    else:
        print_start(facts)


def _bench_model(
    model: Path, rounds: int, seconds: float, profile: bool, trace: Path | None, against: tuple[str, ...],
    threads: int, fusion: bool, as_json: bool,
) -> None:  # fmt: skip
    contenders = [("edgert", model), *(_peer(text, model) for text in against)]
    if trace is not None:
        check_output(trace, [path for _engine, path in contenders])
    facts: dict[str, Any] = {"model": str(model), "threads": threads, "fusion": fusion}
    if trace is not None:
        facts["trace"] = _write_trace(model, threads, fusion, trace)
    profiled = _profile(model, threads, fusion) if profile else {}
    if against or not (profile or trace):
        facts["rounds"] = rounds
        facts["engines"] = _measure(contenders, threads, fusion, rounds, seconds, as_json)
        if profile:
            facts["profile"] = profiled
    else:
        facts |= profiled
    if as_json:
        print_json(facts)
        return
    if "engines" in facts:
        _print_engines(facts, seconds)
    if profile:
        from edgert.report.profile import print_profile

        print_profile(profiled)
    if trace is not None:
        written = facts["trace"]
        print(f"{trace}: {written['invokes']} invokes; open it in ui.perfetto.dev or chrome://tracing")


def _profile(path: Path, threads: int, fusion: bool) -> dict[str, Any]:
    from edgert.report.profile import profile

    model = _filled(path, threads, fusion)
    return {"model": str(path), "threads": threads, "fusion": fusion, **profile(model, threads)}


def _write_trace(path: Path, threads: int, fusion: bool, output: Path) -> dict[str, Any]:
    from edgert.report.trace import INVOKES, trace, write_trace

    facts = trace(_filled(path, threads, fusion), path.name)
    write_trace(output, facts)
    return {"file": str(output), "invokes": INVOKES}


def _filled(path: Path, threads: int, fusion: bool) -> Model:
    """The model, open, with random inputs."""
    import numpy as np

    from edgert.engines import open_model, random_inputs

    model = open_model(path, threads=threads, fusion=fusion)
    for name, array in random_inputs(model.inputs, np.random.default_rng(0)).items():
        model.view(name)[...] = array
    return model


def _print_engines(facts: dict[str, Any], seconds: float) -> None:
    from edgert.report.console import print_table

    results, threads = facts["engines"], facts["threads"]
    own = results[0]["best_ms"]
    print_table(
        ("engine", "best ms", "median ms", "edgert / engine"),
        [
            (entry["engine"], f"{entry['best_ms']:.4f}", f"{entry['median_ms']:.4f}", f"{own / entry['best_ms']:.3f}")
            for entry in results
        ],
        f"{facts['model']}, {threads} thread{'s' if threads > 1 else ''}, {facts['rounds']} rounds of {seconds:g} s",
    )


def _peer(text: str, model: Path) -> tuple[str, Path]:
    """An engine and the file that it runs."""
    engine, _, file = text.partition("=")
    if engine not in PEERS:
        raise InputError(f"--against {engine!r}: there is no such engine; there are {', '.join(PEERS)}")
    paths = [Path(file)] if file else [model.with_suffix(suffix) for suffix in PEERS[engine]]
    for path in paths:
        if path.is_file():
            return engine, path
    raise InputError(f"{paths[0]}: there is no such file; say which one {engine} runs: --against {engine}=FILE")


def _measure(
    contenders: list[tuple[str, Path]], threads: int, fusion: bool, rounds: int, seconds: float, quiet: bool
) -> list[dict[str, Any]]:
    from contextlib import ExitStack
    from statistics import median

    from edgert.cli.bench_worker import Worker
    from edgert.report.console import tracked

    times: list[list[float]] = [[] for _ in contenders]
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(engine, path, threads, fusion=fusion)) for engine, path in contenders]
        for worker in workers:
            worker.round(min(seconds, 0.2))  # warm-up
        for _ in tracked(range(rounds), "measuring", rounds, not quiet):
            for worker, found in zip(workers, times, strict=True):
                found.append(worker.round(seconds))
    own = min(times[0])
    return [
        {
            "engine": engine,
            "model": str(path),
            "best_ms": 1e3 * min(found),
            "median_ms": 1e3 * median(found),
            "ratio": own / min(found),
        }
        for (engine, path), found in zip(contenders, times, strict=True)
    ]
