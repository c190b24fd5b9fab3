"""The device's side: repeats golden runs and compares.

A run is a map, as it stands in a manifest:
    {"seed", "steps", "span", "outputs"}    seeded: edgert.golden.inputs
    {"recorded", "outputs"}                 number of a pair that the package brings
and each of its outputs one of
    {"sha256": of all bytes}                has to be just so; {"sha256": b""} in a recorded run: the package's bytes
    {"values": bytes, "stride", "tolerance", "outliers"}
                                            every stride-th element, which may differ by the tolerance; so many of them
                                            by more. {"values": b""} in a recorded run: the package's bytes
    {"skip": why}                           not compared
It comes over a wire: everything in it is checked here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

from edgert.dtypes import DType
from edgert.errors import EdgertError
from edgert.golden.inputs import unpack
from edgert.golden.runs import Runner, element_count, open_model
from edgert.runtime.tensors import TensorInfo

MAX_RUNS = 64
MAX_STEPS = 16
MAX_SPAN = 1 << 16
MAX_VALUES = 1 << 16  # bytes


class CheckError(EdgertError):
    """A package does not compute here what it computed where it was pushed from, or cannot be run here at all."""


def check(package: bytes | str | PathLike[str], golden: Sequence[dict[str, Any]], memory_bytes: int = 0) -> int:
    """Opens the package, binds it, and repeats the runs; the bytes that its session takes.

    memory_bytes: that the session may take; 0: the default. Raises CheckError for the first output that differs, and
    for a run that is no run; InputError, FileFormatError, ModelError, OutOfMemoryError and InvokeError as the runtime
    does. It may take for ever and may crash: see edgert.golden.apart.
    """
    if len(golden) > MAX_RUNS:
        raise CheckError(f"there are {len(golden)} golden runs, at most {MAX_RUNS} are possible")
    runner = Runner(open_model(package), memory_limit=memory_bytes)
    for number, run in enumerate(golden):
        _check_run(runner, run, f"golden run {number + 1} of {len(golden)}")
    return runner.session.peak_bytes


def _check_run(runner: Runner, run: object, what: str) -> None:
    if not isinstance(run, dict):
        raise CheckError(f"{what} is no map")
    pair = None
    if run.keys() == {"seed", "steps", "span", "outputs"}:
        seed = _number(run["seed"], 0, 2**63 - 1, f"{what}: seed")
        steps = _number(run["steps"], 1, MAX_STEPS, f"{what}: steps")
        given = runner.seeded(seed, steps, _number(run["span"], 1, MAX_SPAN, f"{what}: span"))
    elif run.keys() == {"recorded", "outputs"}:
        number = _number(run["recorded"], 0, 2**31, f"{what}: recorded")
        if number >= runner.model.golden_count:
            raise CheckError(f"{what} is pair {number} of the package, which brings {runner.model.golden_count}")
        pair = runner.model.golden(number)
        given = runner.recorded(pair[0])
    else:
        raise CheckError(f"{what} has {sorted(map(str, run))!s:.200}: of a newer edgert? Update edgert here")
    outputs = run["outputs"]
    if not isinstance(outputs, (list, tuple)) or len(outputs) != len(given):
        raise CheckError(f"{what} does not have one entry for each of the model's {len(given)} outputs")
    for k, (info, data, wanted) in enumerate(zip(runner.outputs, given, outputs, strict=True)):
        compare(info, data, wanted, pair[1][k] if pair else None, f"{what}: output {info.name!r:.80}")


def compare(info: TensorInfo, given: bytes, wanted: object, recorded: bytes | None, what: str) -> None:
    """Raises CheckError when the output's bytes are not what is wanted. recorded: the package's bytes."""
    if not isinstance(wanted, dict):
        raise CheckError(f"{what}: what is wanted is no map")
    if wanted.keys() == {"skip"}:
        return
    if wanted.keys() == {"sha256"}:
        expected = wanted["sha256"]
        if recorded is not None and expected == b"":
            expected = hashlib.sha256(recorded).digest()
        if hashlib.sha256(given).digest() != expected:
            raise CheckError(f"{what} is not what it was where the model was pushed from, which has to be exact")
        return
    if wanted.keys() != {"values", "stride", "tolerance", "outliers"}:
        raise CheckError(f"{what}: {sorted(map(str, wanted))!s:.200} is unknown: of a newer edgert? Update edgert here")
    count = element_count(info.shape)
    stride = _number(wanted["stride"], 1, 2**40, f"{what}: stride")
    outliers = _number(wanted["outliers"], 0, 2**40, f"{what}: outliers")
    tolerance, values = wanted["tolerance"], wanted["values"]
    if type(tolerance) is not float or not 0 <= tolerance < math.inf:
        raise CheckError(f"{what}: tolerance is {tolerance!r:.40}, needed a number of at least 0")
    if not isinstance(values, bytes) or len(values) > MAX_VALUES:
        raise CheckError(f"{what}: values are no bytes, or more than {MAX_VALUES}")
    if recorded is not None and values == b"":
        values = every(info.dtype, recorded, stride)
    if len(values) != -(-count // stride) * info.dtype.itemsize:
        raise CheckError(f"{what}: {len(values)} bytes of values do not fit {count} elements with a stride of {stride}")
    wrong, worst = differing(info.dtype, every(info.dtype, given, stride), values, tolerance)
    if wrong > outliers:
        raise CheckError(
            f"{what} differs by {worst:.6g} from what it was where the model was pushed from, needed {tolerance:.6g}"
        )


def every(dtype: DType, data: bytes, stride: int) -> bytes:
    """Every stride-th element, from the first on."""
    if stride == 1:
        return data
    size, step = dtype.itemsize, stride * dtype.itemsize
    return b"".join(data[at : at + size] for at in range(0, len(data), step))


def differing(dtype: DType, given: bytes, wanted: bytes, tolerance: float) -> tuple[int, float]:
    """How many elements differ by more than the tolerance, and the largest difference. NaN equals NaN alone, and an
    infinity itself."""
    wrong, worst = 0, 0.0
    for a, b in zip(unpack(dtype, given), unpack(dtype, wanted), strict=True):
        if a == b or (a != a and b != b):
            continue
        difference = abs(a - b)
        difference = math.inf if difference != difference else difference
        worst = max(worst, difference)
        wrong += not difference <= tolerance
    return wrong, worst


def _number(value: object, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise CheckError(f"{what} is {value!r:.40}, needed a number from {least} to {most}")
    return value
