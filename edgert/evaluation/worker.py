"""What runs in a worker: a package on a few samples. Everything here is found by name in another process.

Packages, samples and targets travel as blobs: bytes that are called by their hash. A job names its blobs; a worker that
has not seen one answers Missing, and is sent it with the job. So each worker gets each blob once, whatever executor
there is and however it hands out work.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

import edgert
from edgert.errors import (
    EdgertError,
    FileFormatError,
    InputError,
    InvokeError,
    ModelError,
    OutOfMemoryError,
    WorkerError,
)
from edgert.functions import failure
from edgert.metrics import Sampler
from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo, tensor_info

Array = NDArray[Any]
Inputs = Mapping[str, Array]

_KEPT_BYTES = 256 << 20  # of blobs in a worker


@dataclass(frozen=True)
class Reduction:
    """What is kept of a sample's outputs: the outputs themselves, what a metric makes of them with the sample's target
    (evidence), or of the float model's (reference)."""

    kind: str
    metric: Sampler | None = None

    def __call__(self, outputs: dict[str, Array], target: Any) -> Any:
        if self.metric is None:
            return outputs
        return self.metric.evidence(outputs, target) if self.kind == "evidence" else self.metric.reference(outputs)


OUTPUTS = Reduction("outputs")


@dataclass(frozen=True)
class Job:
    """A package on consecutive samples. samples and targets: blobs with a pickled list. begins: whether a sample is the
    first of its recording, before which a model's variables are reset."""

    package: str
    samples: str
    targets: str | None
    names: tuple[str, ...]
    begins: tuple[bool, ...]
    reduction: Reduction
    threads: int = 1
    version: str = edgert.__version__

    @property
    def blobs(self) -> tuple[str, ...]:
        return tuple(name for name in (self.package, self.samples, self.targets) if name is not None)


@dataclass(frozen=True)
class Missing:
    """The worker has not these blobs."""

    blobs: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """An error of edgert's, as text: exceptions with constructors of their own do not survive pickling."""

    kind: str
    message: str
    trace: str = ""  # where it happened, of a fault that edgert does not expect


_ERRORS: dict[str, type[EdgertError]] = {
    error.__name__: error
    for error in (FileFormatError, ModelError, InputError, OutOfMemoryError, InvokeError, WorkerError)
}


def raised(failed: Failed) -> EdgertError:
    """The error as it was raised in the worker; tracebacks show where that was."""
    error = _ERRORS.get(failed.kind, EdgertError)(failed.message)
    if failed.trace:
        error.add_note(failed.trace)
    return error


def blob_name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def work(job: Job, blobs: Mapping[str, bytes]) -> list[Any] | Missing | Failed:
    """One result a sample. blobs: those that the worker is known to lack."""
    if job.version != edgert.__version__:
        return Failed("InputError", f"a worker runs edgert {edgert.__version__}, needed {job.version} as here")
    held = {name: blobs[name] if name in blobs else _store.get(name) for name in job.blobs}
    missing = tuple(name for name, data in held.items() if data is None)
    if missing:
        return Missing(missing)
    for name, data in blobs.items():
        _store.put(name, data)
    package, samples = held[job.package], held[job.samples]
    assert package is not None
    assert samples is not None
    try:
        targets = pickle.loads(held[job.targets] or b"") if job.targets else None
        model = _opened(job.package, package, job.threads)
        return run_samples(model, pickle.loads(samples), targets, job.names, job.begins, job.reduction)
    except MemoryError as error:
        return Failed("OutOfMemoryError", str(error) or "a worker has no memory left")
    except EdgertError as error:
        return Failed(type(error).__name__, str(error))
    except Exception as error:
        return Failed("WorkerError", f"a worker failed: {failure(error)}", traceback.format_exc())


def run_samples(
    model: Model,
    samples: Iterable[Inputs],
    targets: Sequence[Any] | None,
    names: Sequence[str],
    begins: Sequence[bool],
    reduction: Reduction,
    progress: Callable[[int], None] | None = None,
) -> list[Any]:
    """In order. Errors name the sample. progress: called with how many samples are done."""
    reset = is_stateful(model)
    results = []
    for i, (sample, name, first) in enumerate(zip(samples, names, begins, strict=True)):
        if reset and first:
            model.session.reset_variables()
        try:
            outputs = real_outputs(model, fitted(sample, model.inputs))
            results.append(reduction(outputs, None if targets is None else targets[i]))
        except (InputError, InvokeError) as error:
            known = str(error).startswith(name)
            raise type(error)(str(error) if known else f"{name}: {error}") from error
        if progress is not None:
            progress(i + 1)
    return results


def fitted(sample: Inputs, inputs: Sequence[TensorInfo]) -> dict[str, Array]:
    """A sample as a model takes it that may be another form of the one it was read for: inputs by name, else in order;
    real numbers are quantised for an integer input."""
    if any(info.name not in sample for info in inputs):
        if len(sample) != len(inputs):
            raise InputError(f"the sample has the inputs {', '.join(sample)}; needed {', '.join(map(str, inputs))}")
        sample = {info.name: array for info, array in zip(inputs, sample.values(), strict=True)}
    arrays = {}
    for info in inputs:
        array = sample[info.name]
        if array.dtype.kind == "f" and info.quant is not None and info.dtype.numpy_name.startswith(("int", "uint")):
            array = info.quantize(array)
        arrays[info.name] = array
    return arrays


def real_outputs(model: Model, inputs: Inputs) -> dict[str, Array]:
    """Runs the model; its outputs by name, in its order, as real numbers."""
    outputs = model.run(inputs)
    for info in model.outputs:
        array = outputs[info.name]
        if info.quant is not None and not info.quant.per_channel and array.dtype.kind in "iu" and array.itemsize < 4:
            outputs[info.name] = info.dequantize(array)
    return outputs


def is_stateful(model: Model) -> bool:
    """Whether the model keeps variables from one run to the next."""
    tensors = range(model.session.model.tensor_count)
    return any(tensor_info(model.session, index).kind == "variable" for index in tensors)


class _Store:
    """The blobs that came last, within a number of bytes; threads may share it."""

    def __init__(self) -> None:
        self._blobs: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        with self._lock:
            if name in self._blobs:
                self._blobs.move_to_end(name)
            return self._blobs.get(name)

    def put(self, name: str, data: bytes) -> None:
        with self._lock:
            if name in self._blobs or len(data) > _KEPT_BYTES:
                return
            self._blobs[name] = data
            self._bytes += len(data)
            while self._bytes > _KEPT_BYTES:
                _, old = self._blobs.popitem(last=False)
                self._bytes -= len(old)


_store = _Store()
_last = threading.local()  # the model that the thread ran last: sessions are not for two threads


def _opened(name: str, package: bytes, threads: int) -> Model:
    if getattr(_last, "key", None) != (name, threads):
        _last.key, _last.model = None, None  # the old one's memory first
        _last.model = Model(package, threads=threads)
        _last.key = (name, threads)
    model: Model = _last.model
    return model
