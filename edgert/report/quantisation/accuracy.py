"""The float model's accuracy and the quantised model's, on the same samples."""

from __future__ import annotations

from concurrent.futures import Executor

from edgert.evaluation import Dataset, evidence, labelled
from edgert.metrics import Drop, Measurement, Metric
from edgert.progress import Progress, silent
from edgert.report.quantisation.facts import Accuracy


def accuracies(
    exact: bytes,
    rounded: bytes,
    data: Dataset,
    rounded_data: Dataset,
    metric: Metric,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> list[Accuracy]:
    """The metric's value for both packages, and by how much the quantised one is worse, each with its 95 % interval.

    data, rounded_data: the same samples as the float model takes them and as the quantised one does. Without labels, a
    metric that needs none compares the quantised model with the float model's own results, and that value is all there
    is. Raises InputError as evaluating does.
    """
    known = labelled(exact, data, metric, executor, progress)
    before = evidence(exact, known, metric, executor, progress)
    after = evidence(rounded, rounded_data.with_targets(known.targets or ()), metric, executor, progress)
    measured = _row(metric.measurement(after), "quantised")
    if data.targets is None:  # what the float model agrees with is itself
        return [measured]
    return [_row(metric.measurement(before), "float"), measured, _row(metric.drop(before, after), "drop")]


def _row(found: Measurement | Drop, model: str) -> Accuracy:
    return Accuracy(found.metric, found.unit, model, found.value, found.low, found.high, found.count)
