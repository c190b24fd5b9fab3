"""Models and data for evaluation: a classifier of digits, and a model that remembers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgert
from edgert.compile import LOWER, run_passes
from edgert.dtypes import DType
from edgert.evaluation import Dataset
from edgert.importers.builder import GraphBuilder
from edgert.ops._enums import BinaryFunction
from edgert.pack.writer import write
from edgert.quickstart import sample_folder

Array = NDArray[Any]


@lru_cache(maxsize=1)
def digits() -> tuple[bytes, bytes, Dataset]:
    """A float package, an int8 one with int8 inputs and outputs, and 100 labelled samples for either."""
    folder = sample_folder()
    with np.load(folder / "calibration.npz") as archive:
        samples = [{"image": image[None]} for image in archive["image"][:20]]
    exact = edgert.convert(folder / "digits.onnx").data
    rounded = edgert.convert(folder / "digits.onnx", quantize="int8", calibrate=samples, io="int8").data
    with np.load(folder / "test.npz") as archive:
        images, labels = archive["x"][:100].astype(np.float32) / 16, archive["labels"][:100]
    return exact, rounded, Dataset.of([{"image": image[None]} for image in images], [int(label) for label in labels])


def summing() -> bytes:
    """y is the sum of all x since the variables were fresh."""
    b = GraphBuilder("summing")
    x = b.input("x", (1, 2), DType.FLOAT32)
    past = b.variable("past", np.zeros((1, 2), np.float32))
    total = b.emit("add", [past, x])
    b.emit_all("assign", [past, total])
    b.output("y", b.emit("binary", [total, np.zeros((1, 2), np.float32)], {"function": BinaryFunction.MAXIMUM}))
    run_passes(b.graph, LOWER)
    return write(b.graph)
