"""Models on labelled data.

    model = edgert.load("model.ert")
    dataset = load_dataset("images/", model.inputs, "labels.csv", model.normalisation, model.labels)
    parts = split(dataset, calibration=100)
    with open_executor(jobs=4) as executor:
        print(evaluate(Path("model.ert").read_bytes(), parts.measurement, metric("top1"), executor))

Without labels, `labelled` makes targets of the float model's outputs. Results do not depend on the executor: int8
models give the same integers everywhere, float ones the same numbers on processors of one kind.
"""

from edgert.evaluation.dataset import Dataset, Split, digest_of, split
from edgert.evaluation.defaults import class_count, fitting_metric
from edgert.evaluation.runner import evaluate, evidence, evidence_of_each, labelled, recordings, run
from edgert.evaluation.sources import load_dataset

__all__ = [
    "Dataset", "Split", "class_count", "digest_of", "evaluate", "evidence", "evidence_of_each", "fitting_metric",
    "labelled", "load_dataset", "recordings", "run", "split",
]  # fmt: skip
