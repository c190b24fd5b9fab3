"""The first thing a new user runs: a small trained network, converted, quantised and run on data it has never seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.compile import convert
from edgert.errors import InputError
from edgert.runtime.model import Model

_PIXEL_MAX = 16.0  # scikit-learn's digits have pixels of 0..16
_LABELS = tuple("0123456789")
_TIMED_RUNS = 2000


@dataclass(frozen=True)
class Side:
    """One precision's figures."""

    accuracy: float  # share of held-back digits that are right
    bytes: int  # of the package
    latency_us: float  # median of one run, one thread


@dataclass(frozen=True)
class Quickstart:
    images: int  # held back: not used in training or calibration
    calibration_images: int
    float32: Side
    int8: Side
    agreement: float  # share of digits on which both say the same
    isa: str  # the instruction set that ran it
    package: Path
    digit: NDArray[np.uint8]  # one test image, [8, 8], 0..16
    digit_label: int
    digit_scores: tuple[tuple[str, float], ...]  # the three best classes of the int8 model


def sample_folder() -> Path:
    """Where the digits sample is: installed beside the package, or in a source checkout."""
    try:
        installed = Path(str(resources.files("edgert.samples.digits")))
    except ModuleNotFoundError:
        installed = Path(__file__).resolve().parent.parent / "samples" / "digits"
    if not (installed / "digits.onnx").exists():
        raise InputError(f"the digits sample is not in {installed}; install edgert again")
    return installed


def run_quickstart(output: Path, report: Callable[[str], None] = lambda stage: None) -> Quickstart:
    """Converts and quantises the digits sample, writes the int8 package to `output`, and measures both precisions.

    report is called with the name of each stage. Raises InputError when the sample or `output` is not usable.
    """
    folder = sample_folder()
    with np.load(folder / "calibration.npz") as archive:
        calibration = archive["image"]
    with np.load(folder / "test.npz") as archive:
        pixels, labels = archive["x"], archive["labels"]
    images = (pixels / np.float32(_PIXEL_MAX)).astype(np.float32)

    report("converting to float32")
    float_package = convert(folder / "digits.onnx", labels=_LABELS).data
    report("quantising to int8")
    samples = ({"image": image[np.newaxis]} for image in calibration)
    int8_package = convert(folder / "digits.onnx", quantize="int8", calibrate=samples, labels=_LABELS).data
    try:
        output.write_bytes(int8_package)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}; name another file with -o") from None

    report("running on held-back digits")
    float_model, int8_model = Model(float_package), Model(output)
    float_scores, int8_scores = _scores(float_model, images), _scores(int8_model, images)
    shown = int(np.flatnonzero(int8_scores.argmax(axis=1) == labels)[0])
    best = np.argsort(-int8_scores[shown])[:3]
    shares = _softmax(int8_scores[shown])
    report("timing")
    return Quickstart(
        images=len(images),
        calibration_images=len(calibration),
        float32=_side(float_package, float_model, float_scores, labels),
        int8=_side(int8_package, int8_model, int8_scores, labels),
        agreement=float((float_scores.argmax(axis=1) == int8_scores.argmax(axis=1)).mean()),
        isa=int8_model.session.isa,
        package=output,
        digit=pixels[shown, 0],
        digit_label=int(labels[shown]),
        digit_scores=tuple((_LABELS[i], float(shares[i])) for i in best),
    )


def _scores(model: Model, images: NDArray[np.float32]) -> NDArray[Any]:
    return np.concatenate([model(image[np.newaxis]) for image in images])


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


def _side(package: bytes, model: Model, scores: NDArray[Any], labels: NDArray[Any]) -> Side:
    times = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        model.invoke()
        times.append(time.perf_counter() - start)
    accuracy = float((scores.argmax(axis=1) == labels).mean())
    return Side(accuracy, len(package), float(np.median(times)) * 1e6)
