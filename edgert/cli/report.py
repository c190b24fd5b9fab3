"""edgert report: all that quantisation did to a model, as a page, as JSON, or for TensorBoard and Visdom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import FILE, check_output, print_json, threads_option
from edgert.cli._source import source_arguments, source_options
from edgert.errors import InputError

if TYPE_CHECKING:
    from edgert.evaluation import Dataset
    from edgert.progress import Progress
    from edgert.report.quantisation.facts import Accuracy
    from edgert.runtime.model import Model


@click.command("report")
@click.argument("float_model", metavar="FLOAT", type=FILE)
@click.argument("quantised", metavar="QUANTISED.ert", type=FILE)
@click.option("--data", required=True, metavar="DATA", help="Samples: a folder, .npz, .npy, module:function.")
@click.option("--labels", metavar="LABELS", help="What the samples show, as evaluate takes it.")
@click.option("--metric", "metric_name", metavar="M", help="Default: top1 with labels, else agreement or sqnr.")
@click.option("-o", "--output", type=FILE, metavar="OUT.html", help="Write one page that needs no network.")
@click.option("--json", "json_file", type=FILE, metavar="OUT.json", help="Write the same as JSON; - prints it.")
@click.option("--tensorboard", type=FILE, metavar="DIR", help="Write scalars and histograms for TensorBoard.")
@click.option("--visdom", metavar="URL", help="Send the plots to a Visdom server, such as http://localhost:8097.")
@click.option(
    "--samples", type=click.IntRange(1), metavar="N",
    help="Compare layers on N samples, evenly spread [default: 32]. Accuracy is measured on all.",
)  # fmt: skip
@threads_option
@source_options
def command(
    float_model: Path,
    quantised: Path,
    data: str,
    labels: str | None,
    metric_name: str | None,
    output: Path | None,
    json_file: Path | None,
    tensorboard: Path | None,
    visdom: str | None,
    samples: int | None,
    threads: int,
    **source_words: Any,
) -> None:
    """Report what quantisation did to FLOAT, a package or any source that convert reads, in QUANTISED.ert.

    Graph, error and histograms by layer, what each layer costs in size and time, the arena over time, accuracy with its
    95 % interval, and what the quantiser chose.
    """
    from edgert.engines import package_of
    from edgert.evaluation import load_dataset
    from edgert.report.console import print_facts, stages
    from edgert.report.quantisation.gather import MOST_SAMPLES, quantisation_report
    from edgert.report.quantisation.write import write_report
    from edgert.runtime.model import Model

    if output is None and json_file is None and tensorboard is None and visdom is None:
        raise InputError("name what to write: -o OUT.html, --json OUT.json, --tensorboard DIR or --visdom URL")
    printed = json_file == Path("-")
    for path in (output, None if printed else json_file):
        if path is not None:
            check_output(path, [float_model, quantised, Path(data), *([Path(labels)] if labels else [])])
    reading = source_arguments(**source_words)
    packages = [package_of(path, reading) for path in (float_model, quantised)]
    exact, rounded = (Model(package, threads=threads) for package in packages)
    stated = exact.normalisation if exact.normalisation[0] else rounded.normalisation
    names = exact.labels or rounded.labels
    datasets = [load_dataset(data, model.inputs, labels, stated, names, _classes(model)) for model in (exact, rounded)]
    with stages(not printed) as progress:
        measured, notes = _accuracies(packages, datasets, metric_name, exact, progress)
        report = quantisation_report(
            packages[0],
            packages[1],
            lambda: (sample.inputs for sample in datasets[0]),
            files=(float_model.name, quantised.name),
            data=Path(data).name or data,
            most_samples=samples or MOST_SAMPLES,
            accuracies=measured,
            notes=notes,
            threads=threads,
            progress=progress,
        )
    written = write_report(report, html=output, json_file=None if printed else json_file, tensorboard=tensorboard,
                           visdom=visdom)  # fmt: skip
    if printed:
        print_json(report.as_json())
        return
    print_facts(
        [
            *(("wrote", what) for what in written),
            *((f"{row.metric}, {row.model}", _accuracy_text(row)) for row in report.accuracies),
            ("costs most", report.costliest["text"] if report.costliest else "no layer: the results are the same"),
            *(("note", note) for note in report.notes),
        ]
    )


def _classes(model: Model) -> int | None:
    from edgert.cli.run import is_classifier

    return next((info.shape[-1] for info in model.outputs if is_classifier(info)), None)


def _accuracies(
    packages: Sequence[bytes],
    datasets: Sequence[Dataset],
    wanted: str | None,
    model: Model,
    progress: Progress,
) -> tuple[list[Accuracy], list[str]]:
    """Rows of the table of accuracy, and a note where a metric that nobody asked for cannot be measured."""
    from edgert.metrics import metric
    from edgert.report.quantisation.accuracy import accuracies

    chosen = metric(wanted or _default_metric(datasets[0], model))
    try:
        return accuracies(packages[0], packages[1], datasets[0], datasets[1], chosen, None, progress), []
    except InputError as error:
        if wanted is not None:
            raise
        return [], [f"{chosen.name} was not measured: {error}"]


def _default_metric(data: Dataset, model: Model) -> str:
    """What fits the labels; without any, how far the results are from the float model's."""
    import numpy as np

    from edgert.metrics.boxes import Boxes

    if data.targets is None:
        return "agreement" if _classes(model) is not None else "sqnr"
    first = data.targets[0]
    if isinstance(first, Boxes):
        return "map"
    return "top1" if np.ndim(first) == 0 else "miou"


def _accuracy_text(row: Accuracy) -> str:
    unit = f" {row.unit}" if row.unit else ""
    return f"{row.value:.4g}{unit} (95 % interval {row.low:.4g} to {row.high:.4g}, {row.count} samples)"
