"""edgert: float, and quantised with nothing but calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from job import FLOAT, Arrays, Invoke, Work, run

import edgert


def ways(work: Work) -> Iterable[tuple[str, Callable[[], Invoke]]]:
    options = {key: _given(value) for key, value in work.job.options.items() if key != "schemes"}

    def float_form() -> bytes:
        return edgert.convert(Path(work.job.model), **options).data

    names = [info.name for info in edgert.Model(float_form()).inputs]

    def calibration() -> Iterator[dict[str, Any]]:
        return (dict(zip(names, arrays, strict=True)) for arrays in work.samples())

    def quantised(scheme: str) -> bytes:
        package = edgert.convert(
            Path(work.job.model), quantize=scheme, calibrate=calibration(), io="float", **options
        ).data
        (work.folder / f"{scheme}.ert").write_bytes(package)
        return package

    yield FLOAT, lambda: _invoke(float_form())
    for scheme in work.job.options["schemes"]:
        yield scheme, lambda scheme=scheme: _invoke(quantised(scheme))


def _given(value: Any) -> Any:
    """JSON has no tuples."""
    return {key: _given(item) for key, item in value.items()} if isinstance(value, dict) else _tuple(value)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _invoke(package: bytes) -> Invoke:
    interpreter = edgert.Interpreter(model_content=package, num_threads=1)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def invoke(arrays: Arrays) -> Arrays:
        interpreter.reset_all_variables()
        for detail, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return [np.array(interpreter.get_tensor(detail["index"])) for detail in outputs]

    return invoke


if __name__ == "__main__":
    run(ways)
