"""edgert evaluate: a classifier's accuracy on labelled data."""

from __future__ import annotations

from pathlib import Path

import click

from edgert.cli._shared import FILE, CheckFailedError, json_option, print_json, threads_option
from edgert.errors import InputError


@click.command("evaluate")
@click.argument("model", type=FILE)
@click.option("--data", type=FILE, required=True, metavar="DIR", help="Folder of the files that the labels name.")
@click.option("--labels", type=FILE, required=True, metavar="CSV", help="Rows file,label or file,classes,label.")
@click.option("--min-top1", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit code 1 below this accuracy.")
@threads_option
@json_option
def command(model: Path, data: Path, labels: Path, min_top1: float | None, threads: int, as_json: bool) -> None:
    """Measure top-1 and top-5 accuracy of MODEL on the labelled files of a folder."""
    import numpy as np

    from edgert.cli.run import is_classifier
    from edgert.data import load_files, read_labels
    from edgert.engines import open_model
    from edgert.report.console import print_facts, tracked

    opened = open_model(model, threads=threads)
    scores_of = next((info for info in opened.outputs if is_classifier(info)), None)
    if scores_of is None:
        outputs = ", ".join(map(str, opened.outputs))
        raise InputError(f"{model} is no classifier: no output has the shape [1, classes] (outputs: {outputs})")
    classes = scores_of.shape[-1]
    wanted = read_labels(labels, opened.labels)
    beyond = [name for name, label in wanted.items() if label >= classes]
    if beyond:
        raise InputError(
            f"{labels}: {beyond[0]} has the label {wanted[beyond[0]]}, but the model has {classes} classes"
        )
    if not data.is_dir():
        raise InputError(f"{data} is no folder")
    files = [data / name for name in wanted]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(files)} labelled files are not in {data}, such as {missing[0].name}"
        )

    top1 = top5 = 0
    labelled = zip(files, wanted.values(), strict=True)
    for path, label in tracked(labelled, "evaluating", len(files), not as_json):
        samples = list(load_files([path], opened.inputs, opened.normalisation))
        if len(samples) != 1:
            raise InputError(f"{path} holds {len(samples)} samples; a labelled file must hold one")
        (sample,) = samples
        scores = opened.run(sample.inputs)[scores_of.name].reshape(-1)
        best = np.argsort(-scores.astype(np.float64), kind="stable")[:5]
        top1 += int(best[0] == label)
        top5 += int(label in best)
    count = len(files)
    facts = {
        "model": str(model),
        "samples": count,
        "classes": classes,
        "top1": 100 * top1 / count,
        "top5": 100 * top5 / count if classes > 5 else None,
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(
            [
                ("samples", count),
                ("top-1", f"{100 * top1 / count:.2f} %"),
                ("top-5", f"{100 * top5 / count:.2f} %" if classes > 5 else None),
            ]
        )
    if min_top1 is not None and 100 * top1 / count < min_top1:
        raise CheckFailedError(f"top-1 accuracy is {100 * top1 / count:.2f} %, needed {min_top1:g} %")
