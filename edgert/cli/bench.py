"""edgert bench: how long a model takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgert.cli._shared import FILE, json_option, print_json, threads_option
from edgert.errors import InputError

PEERS = ("litert", "tflite-runtime", "onnxruntime")


@click.command("bench")
@click.argument("model", type=FILE)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Rounds; engines take turns.")
@click.option("--seconds", type=click.FloatRange(0.01), default=0.3, show_default=True, help="Length of a round.")
@click.option("--profile", is_flag=True, help="Show the time of every operator.")
@click.option(
    "--against", multiple=True, metavar="ENGINE[=FILE]",
    help="Another engine (litert, tflite-runtime, onnxruntime), on FILE or the .tflite or .onnx beside MODEL.",
)  # fmt: skip
@threads_option
@json_option
def command(
    model: Path, rounds: int, seconds: float, profile: bool, against: tuple[str, ...], threads: int, as_json: bool
) -> None:
    """Measure MODEL's speed at batch 1.

    Each engine runs in a process of its own; engines take turns in short rounds, so that a noisy machine disturbs all
    alike. Quote the ratio of the best rounds, not a time.
    """
    from edgert.report.console import print_table

    contenders = [("edgert", model), *(_peer(text, model) for text in against)]
    if profile:
        facts = _profile(model, threads)
        if not against:
            if as_json:
                print_json(facts)
            else:
                _print_profile(facts)
            return
    results = _measure(contenders, threads, rounds, seconds, as_json)
    if as_json:
        print_json(
            {"model": str(model), "threads": threads, "rounds": rounds, "engines": results}
            | ({"profile": facts} if profile else {})
        )
        return
    own = results[0]["best_ms"]
    print_table(
        ("engine", "best ms", "median ms", "edgert / engine"),
        [
            (entry["engine"], f"{entry['best_ms']:.4f}", f"{entry['median_ms']:.4f}", f"{own / entry['best_ms']:.3f}")
            for entry in results
        ],
        f"{model}, {threads} thread{'s' if threads > 1 else ''}, {rounds} rounds of {seconds:g} s",
    )
    if profile:
        _print_profile(facts)


def _peer(text: str, model: Path) -> tuple[str, Path]:
    """An engine and the file that it runs."""
    engine, _, file = text.partition("=")
    if engine not in PEERS:
        raise InputError(f"--against {engine!r}: there is no such engine; there are {', '.join(PEERS)}")
    suffix = ".onnx" if engine == "onnxruntime" else ".tflite"
    path = Path(file) if file else model.with_suffix(suffix)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; say which one {engine} runs: --against {engine}=FILE")
    return engine, path


def _measure(
    contenders: list[tuple[str, Path]], threads: int, rounds: int, seconds: float, quiet: bool
) -> list[dict[str, Any]]:
    from contextlib import ExitStack
    from statistics import median

    from edgert.cli.bench_worker import Worker
    from edgert.report.console import tracked

    times: list[list[float]] = [[] for _ in contenders]
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(engine, path, threads)) for engine, path in contenders]
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


def _profile(path: Path, threads: int) -> dict[str, Any]:
    """The least time of every operator over many runs, in steps; stepping itself costs a little for each."""
    from time import perf_counter

    import numpy as np

    from edgert.engines import open_model, random_inputs

    model = open_model(path, threads=threads)
    for name, array in random_inputs(model.inputs, np.random.default_rng(0)).items():
        model.view(name)[...] = array
    session, native = model.session, model.session.model
    best = [float("inf")] * native.op_count
    end = perf_counter() + 1.0
    runs = 0
    while runs < 10 or (perf_counter() < end and runs < 1000):
        session.rewind()
        start = perf_counter()
        while (op := session.step()) is not None:
            now = perf_counter()
            best[op] = min(best[op], now - start)
            start = perf_counter()
        runs += 1
    total = sum(best)
    operators = []
    for i, time in enumerate(best):
        kind, name, _inputs, _outputs = native.op(i)
        operators.append(
            {"index": i, "type": kind, "name": name, "kernel": session.kernel(i), "us": 1e6 * time,
             "percent": 100 * time / total if total else 0.0}
        )  # fmt: skip
    return {"model": str(path), "threads": threads, "isa": session.isa, "total_us": 1e6 * total, "operators": operators}


def _print_profile(facts: dict[str, Any]) -> None:
    from edgert.report.console import print_table, short_name

    kinds: dict[str, float] = {}
    for op in facts["operators"]:
        kinds[op["type"]] = kinds.get(op["type"], 0.0) + op["us"]
    print_table(
        ("#", "operator", "us", "%", "kernel", "name"),
        [(op["index"], op["type"], f"{op['us']:.1f}", f"{op['percent']:.1f}", op["kernel"], short_name(op["name"]))
         for op in facts["operators"]],
        f"{facts['model']}, {facts['total_us']:.0f} us on {facts['isa']}",
    )  # fmt: skip
    total = facts["total_us"] or 1.0
    ranked = sorted(kinds.items(), key=lambda item: -item[1])
    print_table(("operator", "us", "%"), [(kind, f"{us:.1f}", f"{100 * us / total:.1f}") for kind, us in ranked])
