"""How accurate a quantised model must be, and on what data that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from edgert.data import Normalisation
from edgert.evaluation import Dataset, load_dataset
from edgert.metrics import Metric, metric
from edgert.quant.budget.search import Budget
from edgert.runtime.tensors import TensorInfo


@dataclass(frozen=True)
class Goal:
    """What edgert.convert must reach, or else write nothing.

        edgert.convert("model.onnx", calibrate="photos/", goal=edgert.Goal(edgert.Budget(max_drop=0.5), "validation/"))

    data: samples, as edgert.evaluation.load_dataset takes them or loaded by it. labels: beside them, where they are a
    folder; without labels the quantised model is compared with the float one. metric: as edgert.metrics.metric takes
    it; None means top-1 hits where there are labels and otherwise agreement with the float model.
    executor: where models run; None is this process.
    """

    budget: Budget
    data: Dataset | str | Path
    labels: str | Path | None = None
    metric: Metric | str | None = None
    executor: Executor | None = None

    def chosen_metric(self, dataset: Dataset | None = None) -> Metric:
        """The metric that is named, or the one that fits the data."""
        labelled = self.labels is not None or (dataset is not None and dataset.targets is not None)
        return metric(self.metric or ("top1" if labelled else "agreement"))

    def dataset(self, inputs: Sequence[TensorInfo], normalisation: Normalisation, names: Sequence[str]) -> Dataset:
        """The samples as a model with these inputs takes them. names: of the classes."""
        if isinstance(self.data, Dataset):
            return self.data
        return load_dataset(self.data, inputs, self.labels, normalisation, names)
