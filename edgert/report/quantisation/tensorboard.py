"""A report for TensorBoard: scalars whose steps are the operators, and a histogram for each layer, before and after."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edgert.errors import InputError, MissingExtraError
from edgert.report.quantisation.facts import Report
from edgert.report.quantisation.plots import histograms, label, layer_list, plots

_NOT_IN_TAGS = re.compile(r"[^-/\w.]")


def write_tensorboard(report: Report, folder: Path) -> None:
    """Writes an event file below `folder`, which is made where it is not there.

    Scalars "sqnr/as_the_models_run", "size/quantised" ... have the operator's number as their step; "accuracy/..." and
    "totals/..." have one value. Histograms are "histograms/NUMBER_NAME/float" and ".../quantised". The text "layers"
    says what the numbers stand for. Raises MissingExtraError without tensorboardX, InputError when the folder cannot be
    written.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboardX", "writing for TensorBoard", "report") from error
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; --tensorboard needs a folder")
    with SummaryWriter(str(folder)) as writer:
        for plot in plots(report):
            for name, points in plot.series.items():
                for step, value in points:
                    writer.add_scalar(_tag(f"{plot.name}/{name}"), value, step)
        for accuracy in report.accuracies:
            writer.add_scalar(_tag(f"accuracy/{accuracy.metric}/{accuracy.model}"), accuracy.value, 0)
        for model, facts in (("float", report.exact), ("quantised", report.rounded)):
            writer.add_scalar(f"totals/file_bytes/{model}", facts.file_bytes, 0)
            writer.add_scalar(f"totals/arena_bytes/{model}", facts.arena_bytes, 0)
            if facts.us:
                writer.add_scalar(f"totals/us/{model}", facts.us, 0)
        for layer, found in histograms(report):
            for model, counts in (("float", found.before), ("quantised", found.after)):
                _add_histogram(writer, _tag(f"histograms/{label(layer)}/{model}"), found.low, found.width, counts)
        writer.add_text("layers", layer_list(report), 0)
        for number, note in enumerate(report.notes):
            writer.add_text("notes", note, number)


def _add_histogram(writer: Any, tag: str, low: float, width: float, counts: tuple[int, ...]) -> None:
    """Bins as TensorBoard has them: each ends at its limit; sums are those of the bins' middles."""
    edges = low + width * np.arange(len(counts) + 1)
    middles = np.array([(a + b) / 2 for a, b in pairwise(edges)])
    numbers = np.asarray(counts, np.float64)
    used = np.flatnonzero(numbers)
    first, last = (int(used[0]), int(used[-1])) if used.size else (0, len(counts) - 1)
    writer.add_histogram_raw(
        tag,
        min=float(edges[first]),
        max=float(edges[last + 1]),
        num=int(numbers.sum()),
        sum=float((numbers * middles).sum()),
        sum_squares=float((numbers * middles**2).sum()),
        # An empty bin goes before the first, whose lower end TensorBoard would not know otherwise.
        bucket_limits=[float(edges[first]), *edges[first + 1 : last + 2].tolist()],
        bucket_counts=[0.0, *numbers[first : last + 1].tolist()],
        global_step=0,
    )


def _tag(name: str) -> str:
    return _NOT_IN_TAGS.sub("_", name).strip("/")
