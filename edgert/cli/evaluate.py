"""edgert evaluate: how good a model is on data, alone or beside another."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import (
    FILE,
    CheckFailedError,
    cache_option,
    executor_options,
    json_option,
    print_json,
    threads_option,
)
from edgert.errors import InputError

if TYPE_CHECKING:
    from edgert.cache import Cache
    from edgert.evaluation import Dataset
    from edgert.metrics import Drop, Evidence, Measurement, Metric
    from edgert.progress import Progress
    from edgert.runtime.model import Model


def _metrics_help() -> str:
    """The table of metrics, each on a line of its own."""
    from edgert.metrics import METRICS

    rows = [(kind.syntax, kind.text, kind.targets) for kind in METRICS]
    rows.append(("MODULE:FUNCTION", "function(outputs, targets) of yours: a number, or one a sample", "any"))
    width = max(len(row[0]) for row in rows)
    lines = "\n".join(f"  {syntax:<{width}}  {text} ({targets})" for syntax, text, targets in rows)
    return (
        f"\b\nMetrics, and what they are measured against:\n{lines}\n  METRIC@OUTPUT looks at one of several outputs."
    )


@click.command("evaluate", epilog=_metrics_help())
@click.argument("model", type=FILE)
@click.option("--data", required=True, metavar="DATA", help="A folder, .npz, .npy, or module:function.")
@click.option(
    "--labels", metavar="LABELS", help="A CSV of rows file,label; or a folder of YOLO .txt files or of masks."
)
@click.option("--metric", "specs", multiple=True, metavar="METRIC", help="See below. May be repeated.")
@click.option("--against", type=FILE, metavar="OTHER", help="A model to compare with, such as the float one.")
@click.option(
    "--held-back", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="SHARE",
    help="Measure on this share of the samples alone, by the rule that divides data for a budget (0.5).",
)  # fmt: skip
@click.option("--confusion", is_flag=True, help="Print the confusion matrix of a classifier.")
@click.option("--min", "bound", type=float, metavar="VALUE", help="Exit code 1 where the metric is worse than VALUE.")
@click.option("--min-top1", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit code 1 below this accuracy.")
@executor_options
@threads_option
@cache_option
@json_option
def command(
    model: Path,
    data: str,
    labels: str | None,
    specs: tuple[str, ...],
    against: Path | None,
    held_back: float | None,
    confusion: bool,
    bound: float | None,
    min_top1: float | None,
    jobs: int,
    scheduler: str | None,
    threads: int,
    cache: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on DATA, with 95 % confidence intervals.

    Labels stand beside the data (--labels), in them (an .npz with an array "labels", a function that yields samples
    with targets), or in the names of a folder's folders. Without any, --against OTHER says how far MODEL is from it.
    """
    from edgert.cache import open_cache
    from edgert.engines import package_of
    from edgert.evaluation import recordings, split
    from edgert.executors import open_executor
    from edgert.report.console import stages
    from edgert.runtime.model import Model

    paths = [model] if against is None else [model, against]
    packages = [package_of(path) for path in paths]
    models = [Model(package, threads=threads) for package in packages]
    datasets = _datasets(models, data, labels)
    rule = None
    if held_back is not None:
        parts = [split(dataset, 1 - held_back) for dataset in datasets]
        datasets, rule = [part.measurement for part in parts], parts[0].rule
    metrics = _metrics(specs, datasets[0], models[0], min_top1)
    if bound is not None and len(specs) > 1:
        raise InputError(f"--min is for one metric, and {len(specs)} are asked for")
    kept = open_cache(cache)
    with stages(not as_json) as progress, open_executor(jobs, scheduler) as executor:
        running = _Running(executor, progress, threads, kept)
        rows = _rows(metrics, packages, datasets, running)
    begun = recordings(models[0], datasets[0])
    facts = _facts(model, against, datasets[0], rows) | {"split": rule, "recordings": begun}
    if as_json:
        print_json(facts)
    else:
        if rule is not None:
            print(rule)
        if begun is not None:
            print(f"the model's variables are fresh at the beginning of each recording, {begun} times")
        _print(rows, against, len(datasets[0]), confusion, models[0].labels)
        if kept is not None and kept.trouble:
            click.echo(f"edgert: note: {kept.trouble}", err=True)
    _check(rows, bound, min_top1)


@dataclass(frozen=True)
class _Running:
    """Where models run, and what is told and kept meanwhile."""

    executor: Executor | None
    progress: Progress
    threads: int
    cache: Cache | None


@dataclass(frozen=True)
class _Row:
    """What was measured of MODEL; other: of OTHER, against labels; drop: by how much MODEL is worse, paired."""

    metric: Metric
    value: Measurement
    other: Measurement | None = None
    drop: Drop | None = None


def _datasets(models: list[Model], data: str, labels: str | None) -> list[Dataset]:
    """The same samples as each of the models takes them."""
    from edgert.evaluation import class_count, load_dataset

    stated = next((model.normalisation for model in models if model.normalisation[0]), ((), ()))
    names = next((model.labels for model in models if model.labels), ())
    classes = class_count(models[0].outputs)
    datasets = [load_dataset(data, model.inputs, labels, stated, names, classes) for model in models]
    if not len(datasets[0]):
        raise InputError(f"{data} holds no sample")
    return datasets


def _metrics(specs: tuple[str, ...], dataset: Dataset, model: Model, min_top1: float | None) -> list[Metric]:
    """Those that are asked for, else what fits: of a classifier the five best classes, too, where there are more."""
    from edgert.evaluation import class_count, fitting_metric
    from edgert.metrics import metric

    chosen = [metric(spec) for spec in specs] or [fitting_metric(dataset, model.outputs)]
    if not specs and chosen[0].spec == "top1":
        classes = class_count(model.outputs)
        if classes is None:
            outputs = ", ".join(map(str, model.outputs))
            raise InputError(
                f"the model is no classifier: no output has the shape [1, classes] (outputs: {outputs}); name a "
                "--metric"
            )
        chosen += [metric("top5")] if classes > 5 else []
    if min_top1 is not None and all(item.spec != "top1" for item in chosen):
        chosen.append(metric("top1"))
    return chosen


def _rows(metrics: list[Metric], packages: list[bytes], datasets: list[Dataset], running: _Running) -> list[_Row]:
    """Every model runs once."""
    from edgert.evaluation import evidence, labelled
    from edgert.metrics import Bundle

    bundle, first = Bundle(tuple(metrics)), datasets[0]
    where = (running.executor, running.progress, running.threads)

    def measured(package: bytes, dataset: Dataset) -> list[list[Evidence]]:
        return bundle.parts(evidence(package, dataset, bundle, *where, running.cache))

    if first.targets is None and len(packages) == 1:
        hint = "give --labels, or the float model with --against"
        raise InputError(
            f"{first.source} has no labels, so that there is nothing to measure {bundle.name} with; {hint}"
        )
    if first.targets is None:
        targets = labelled(packages[1], datasets[1], bundle, *where).targets or ()
        after = measured(packages[0], first.with_targets(targets))
        return [_Row(metric, metric.measurement(part)) for metric, part in zip(metrics, after, strict=True)]
    after = measured(packages[0], first)
    if len(packages) == 1:
        return [_Row(metric, metric.measurement(part)) for metric, part in zip(metrics, after, strict=True)]
    before = measured(packages[1], datasets[1])
    return [
        _Row(metric, metric.measurement(new), metric.measurement(old), metric.drop(old, new))
        for metric, old, new in zip(metrics, before, after, strict=True)
    ]


def _facts(model: Path, against: Path | None, dataset: Dataset, rows: list[_Row]) -> dict[str, Any]:
    """For --json. The metrics' values stand under their names, too, as far as these are no words of their own here."""
    measured = []
    for row in rows:
        found = row.value.as_json()
        if row.other is not None and row.drop is not None:
            found["against"] = row.other.as_json()
            found["drop"] = row.drop.as_json()
        measured.append(found)
    return {
        **{row.metric.name: row.value.value for row in rows},
        "model": str(model),
        "against": against and str(against),
        "samples": len(dataset),
        "classes": rows[0].value.details.get("classes"),
        "metrics": measured,
    }


def _print(rows: list[_Row], against: Path | None, samples: int, confusion: bool, labels: tuple[str, ...]) -> None:
    from edgert.metrics import number_text
    from edgert.report.console import print_facts

    print_facts([("samples", samples), *((row.metric.name, row.value) for row in rows)])
    for row in rows:
        if row.other is None or row.drop is None:
            continue
        unit = row.drop.unit
        value, low, high = (number_text(number, unit) for number in (row.drop.value, row.drop.low, row.drop.high))
        worse = "points" if unit == "%" else unit
        facts: list[tuple[str, object]] = [
            (f"{row.metric.name} of {against}", row.other),
            ("lost", f"{value} {worse} (95 % confidence {low} to {high}, on the same samples)"),
        ]
        if "p_value" in row.drop.details:
            only = row.drop.details
            found = f"{only['only_before_right']} right only there, {only['only_after_right']} only here"
            facts.append(("differ", f"{found} (McNemar's exact p {only['p_value']:.3g})"))
        print_facts(facts)
    if confusion:
        _print_confusion(rows, labels)


def _print_confusion(rows: list[_Row], labels: tuple[str, ...]) -> None:
    from edgert.report.console import print_table

    details = next((row.value.details for row in rows if "classes" in row.value.details), None)
    if details is None:
        raise InputError("there is a confusion matrix for metrics of classifiers alone, such as top1")

    def name(label: int) -> str:
        return labels[label] if len(labels) == details["classes"] else str(label)

    if "confusion" not in details:
        rows_ = [(name(wanted), name(found), count) for wanted, found, count in details["mistakes"]]
        print_table(("class", "taken for", "samples"), rows_, "commonest mistakes")
        return
    matrix = details["confusion"]
    headings = ["class", *map(name, range(len(matrix))), "recall %"]
    lines = []
    for label, (counts, each) in enumerate(zip(matrix, details["per_class"], strict=True)):
        recall = "" if each["recall"] is None else f"{each['recall']:.1f}"
        lines.append([name(label), *counts, recall])
    print_table(headings, lines, "a row for each class, a column for each prediction")


def _check(rows: list[_Row], bound: float | None, min_top1: float | None) -> None:
    """Raises CheckFailedError for values that are not good enough; NaN never is."""
    from edgert.metrics import number_text

    first = rows[0]
    if bound is not None:
        higher, value = first.metric.higher_is_better, first.value.value
        if not (value >= bound if higher else value <= bound):
            unit = f" {first.metric.unit}" if first.metric.unit else ""
            needed = f"needed {bound:g}{unit} or {'more' if higher else 'less'}"
            raise CheckFailedError(f"{first.metric.name} is {number_text(value, first.metric.unit)}{unit}, {needed}")
    if min_top1 is not None:
        top1 = next(row.value.value for row in rows if row.metric.spec == "top1")
        if not top1 >= min_top1:
            raise CheckFailedError(f"top-1 accuracy is {top1:.2f} %, needed {min_top1:g} %")
