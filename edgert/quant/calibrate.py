"""Runs a float model on samples through the runtime and remembers the range of every tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.quant.histogram import Histogram
from edgert.runtime.model import Model
from edgert.runtime.tensors import tensor_array, tensor_info


def calibrate(
    package: bytes,
    samples: Iterable[Mapping[str, NDArray[Any]]],
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
) -> dict[str, Histogram]:
    """Histograms of every float32 tensor that is not constant, by name.

    package: a float model as an .ert file. samples: inputs by name, one run each. progress: called with the number of
    samples done. The model runs operator by operator; each output is looked at as soon as it is written.
    Raises InputError when there is no sample, when one does not fit, or when a tensor is not finite.
    """
    model = Model(package, threads=threads)
    session, native = model.session, model.session.model
    watched: list[list[tuple[Histogram, NDArray[np.float32]]]] = []
    histograms: dict[str, Histogram] = {}

    def watch(index: int) -> list[tuple[Histogram, NDArray[np.float32]]]:
        info = tensor_info(session, index)
        if info.dtype != DType.FLOAT32:
            return []
        histogram = histograms.setdefault(info.name, Histogram())
        return [(histogram, tensor_array(session, index))]

    inputs = [pair for index in native.inputs for pair in watch(index)]
    for op in range(native.op_count):
        watched.append([pair for index in native.op(op)[3] for pair in watch(index)])
    names = {id(histogram): name for name, histogram in histograms.items()}

    done = 0
    for done, sample in enumerate(samples, 1):
        for info in model.inputs:
            if info.name not in sample:
                raise InputError(
                    f"calibration sample {done} has no input {info.name!r} (it has: {', '.join(sample)}); "
                    f"the model needs {', '.join(str(i) for i in model.inputs)}"
                )
            array = info.checked(sample[info.name], f"calibration sample {done}: input")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = "NaN" if np.isnan(array).any() else "infinity"
                raise InputError(f"calibration sample {done}: input {info.name!r} holds {bad}; remove that sample")
            model.view(info.name)[...] = array
        session.rewind()
        _count(inputs, names, done)
        while (step := session.step()) is not None:
            _count(watched[step], names, done)
        if progress is not None:
            progress(done)
    if done == 0:
        raise InputError("the calibration data hold no sample; give at least one, better 100 to 500")
    return histograms


def _count(pairs: Iterable[tuple[Histogram, NDArray[np.float32]]], names: Mapping[int, str], sample: int) -> None:
    for histogram, array in pairs:
        if not histogram.add(array):
            raise InputError(
                f"calibration sample {sample}: tensor {names[id(histogram)]!r} is not finite; "
                "the float model itself overflows on this sample"
            )
