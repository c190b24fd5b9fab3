"""Models on data sets: in this process, or by any executor, with the same results."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

import edgert
from edgert.cache import Cache
from edgert.errors import InputError, WorkerError
from edgert.evaluation import kept
from edgert.evaluation.dataset import Array, Dataset
from edgert.evaluation.worker import (
    OUTPUTS,
    Failed,
    Job,
    Missing,
    Reduction,
    blob_name,
    is_stateful,
    raised,
    run_samples,
    work,
)
from edgert.functions import failure
from edgert.metrics import UNLABELLED, Evidence, Measurement, Metric, Sampler
from edgert.progress import Progress, silent
from edgert.runtime.model import Model

# A chunk is what one job takes: small enough to spread few samples over many workers and to travel well, large enough
# that a model is not opened for nothing. The results do not depend on it.
_CHUNK_BYTES = 4 << 20
_CHUNK_SAMPLES = 32
_LOOK_SECONDS = 2.0  # how often an executor is asked whether it still works
_STAGE = "run"


def run(
    package: bytes,
    samples: Dataset | Sequence[Mapping[str, Array]],
    executor: Executor | None = None,
    progress: Progress = silent,
    threads: int = 1,
) -> list[dict[str, Array]]:
    """The outputs of a package for every sample, by name, in the model's order, as real numbers.

    executor: any of concurrent.futures; None: in this process. A model that keeps variables begins every recording
    (Dataset.sequences) with fresh ones, and a recording's samples run in order, in one job. Raises InputError for
    samples that do not fit the model, InvokeError when it fails on one, WorkerError when the executor fails.
    """
    dataset = samples if isinstance(samples, Dataset) else Dataset.of(samples)
    return next(_each([package], dataset, OUTPUTS, executor, progress, threads))


def evidence(
    package: bytes,
    dataset: Dataset,
    metric: Sampler,
    executor: Executor | None = None,
    progress: Progress = silent,
    threads: int = 1,
    cache: Cache | None = None,
) -> list[Evidence]:
    """What every sample contributes to a metric, or to a Bundle of several. Where the data set has no targets,
    `labelled` makes some.

    cache: where evidence is looked for, and kept; not that of functions of the user's own, whose code may change.
    """
    key = None
    if cache is not None and metric.cacheable:
        key = kept.evidence_key(package, dataset, metric)
        if (found := kept.find(cache, key)) is not None:
            return found
    made = next(evidence_of_each([package], dataset, metric, executor, progress, threads))
    if cache is not None and key is not None:
        kept.keep(cache, key, made)
    return made


def evidence_of_each(
    packages: Iterable[bytes],
    dataset: Dataset,
    metric: Sampler,
    executor: Executor | None = None,
    progress: Progress = silent,
    threads: int = 1,
) -> Iterator[list[Evidence]]:
    """The same of many packages, in order. Workers go on to the next package while one is being finished; `packages`
    may be a generator, of which no more is taken than there is work for."""
    if dataset.targets is None:
        _refuse_unlabelled(dataset, metric)
        raise InputError(f"{dataset.source} has no targets; edgert.evaluation.labelled takes the float model's outputs")
    if metric.runs_here:
        for outputs in _each(packages, dataset, OUTPUTS, executor, progress, threads):
            yield [metric.evidence(*pair) for pair in zip(outputs, dataset.targets, strict=True)]
        return
    yield from _each(packages, dataset, Reduction("evidence", metric), executor, progress, threads)


def labelled(
    package: bytes,
    dataset: Dataset,
    metric: Sampler,
    executor: Executor | None = None,
    progress: Progress = silent,
    threads: int = 1,
) -> Dataset:
    """The data set itself where it has targets; else with what the metric keeps of this (float) package's outputs.

    Raises InputError when there are no targets and the metric needs labels.
    """
    if dataset.targets is not None:
        return dataset
    _refuse_unlabelled(dataset, metric)
    reduction = OUTPUTS if metric.runs_here else Reduction("reference", metric)
    references = next(_each([package], dataset, reduction, executor, progress, threads))
    return dataset.with_targets([metric.reference(r) for r in references] if metric.runs_here else references)


def evaluate(
    package: bytes,
    dataset: Dataset,
    metric: Metric,
    executor: Executor | None = None,
    progress: Progress = silent,
    threads: int = 1,
    cache: Cache | None = None,
) -> Measurement:
    """The metric's value on a data set with targets."""
    return metric.measurement(evidence(package, dataset, metric, executor, progress, threads, cache))


def recordings(model: Model, dataset: Dataset) -> int | None:
    """How many times the data set makes the model begin with fresh variables; None for a model that has none."""
    return sum(dataset.begins) if is_stateful(model) else None


def _refuse_unlabelled(dataset: Dataset, metric: Sampler) -> None:
    if metric.needs_labels:
        raise InputError(
            f"{dataset.source} has no labels, which {metric.name} needs; without labels there are {UNLABELLED}"
        )


def _each(
    packages: Iterable[bytes],
    dataset: Dataset,
    reduction: Reduction,
    executor: Executor | None,
    progress: Progress,
    threads: int,
) -> Iterator[list[Any]]:
    if not len(dataset):
        raise InputError(f"{dataset.source} holds no sample")
    if executor is not None:
        yield from _Fan(packages, dataset, reduction, executor, progress, threads).results()
        return
    count, total, done = len(dataset), _total(packages, dataset), 0
    for package in packages:
        model = Model(package, threads=threads)
        inputs = (dataset[i].inputs for i in range(count))

        def report(samples: int, before: int = done) -> None:
            progress(_STAGE, before + samples, total)

        yield run_samples(model, inputs, dataset.targets, dataset.names, dataset.begins, reduction, report)
        done += count


def _total(packages: Iterable[bytes], dataset: Dataset) -> int | None:
    return len(packages) * len(dataset) if isinstance(packages, Sequence) else None


@dataclass
class _Started:
    """A job that an executor has. sent: the blobs that go along, which some worker lacked."""

    package: int
    chunk: int
    job: Job
    sent: frozenset[str] = frozenset()


class _Fan:
    """Spreads packages and chunks over an executor and puts the results in order."""

    def __init__(
        self,
        packages: Iterable[bytes],
        dataset: Dataset,
        reduction: Reduction,
        executor: Executor,
        progress: Progress,
        threads: int,
    ) -> None:
        self._packages, self._dataset, self._reduction = packages, dataset, reduction
        self._executor, self._progress, self._threads = executor, progress, threads
        self._most = 2 * workers_of(executor)  # in flight: enough that no worker waits for work
        self._running: dict[Future[Any], _Started] = {}
        self._blobs: dict[str, bytes] = {}  # packages in work, and targets
        self._chunks: dict[bool, list[tuple[int, int]]] = {}
        self._parts: dict[int, list[list[Any] | None]] = {}  # results by package and chunk
        self._names: dict[int, str] = {}  # of the packages in work

    def results(self) -> Iterator[list[Any]]:
        total, done, wanted = _total(self._packages, self._dataset), 0, 0
        jobs, exhausted = self._jobs(), False
        try:
            while True:
                while not exhausted and len(self._running) < self._most:
                    started = next(jobs, None)
                    exhausted = started is None
                    if started is not None:
                        self._submit(started)
                while wanted in self._parts and None not in self._parts[wanted]:
                    parts = self._parts.pop(wanted)
                    name = self._names.pop(wanted)
                    if name not in self._names.values():
                        del self._blobs[name]
                    yield [result for part in parts if part is not None for result in part]
                    wanted += 1
                if exhausted and not self._running:
                    return
                for started, results in self._finished():
                    self._parts[started.package][started.chunk] = results
                    done += len(results)
                    self._progress(_STAGE, done, total)
        finally:
            for future in self._running:
                future.cancel()

    def _jobs(self) -> Iterator[_Started]:
        dataset = self._dataset
        names, begins, digest = dataset.names, dataset.begins, dataset.samples_digest
        for number, package in enumerate(self._packages):
            stateful = is_stateful(Model(package))
            if stateful not in self._chunks:
                self._chunks[stateful] = list(_chunks(dataset, stateful))
            chunks = self._chunks[stateful]
            name = blob_name(package)
            self._blobs[name], self._names[number] = package, name
            self._parts[number] = [None] * len(chunks)
            for chunk, (start, stop) in enumerate(chunks):
                samples = f"{digest} {start}:{stop}"
                targets = self._targets(start, stop)
                part = slice(start, stop)
                job = Job(name, samples, targets, names[part], begins[part], self._reduction, self._threads)
                yield _Started(number, chunk, job)

    def _targets(self, start: int, stop: int) -> str | None:
        """The name of a blob with these samples' targets, where they are wanted."""
        if self._dataset.targets is None or self._reduction.kind != "evidence":
            return None
        data = pickle.dumps(self._dataset.targets[start:stop], protocol=5)
        name = blob_name(data)
        self._blobs[name] = data
        return name

    def _submit(self, started: _Started) -> None:
        try:
            future = self._executor.submit(
                work, started.job, {name: self._blob(name, started) for name in started.sent}
            )
        except (RuntimeError, OSError) as error:  # BrokenExecutor is a RuntimeError
            raise _worker_error(error) from error
        self._running[future] = started

    def _finished(self) -> Iterator[tuple[_Started, list[Any]]]:
        """The jobs that are done; those that lack something are handed out again."""
        done, _ = wait(self._running, _LOOK_SECONDS, FIRST_COMPLETED)
        if not done and (check := getattr(self._executor, "check", None)) is not None:
            check()
        for future in done:
            started = self._running.pop(future)
            try:
                result = future.result()
            except (Exception, CancelledError) as error:
                raise _worker_error(error) from error
            if isinstance(result, Missing):
                if started.sent.issuperset(result.blobs):
                    raise WorkerError("a worker lacks what came with its job")
                started.sent |= set(result.blobs)  # the next worker may lack others
                self._submit(started)
            elif isinstance(result, Failed):
                raise raised(result)
            else:
                yield started, result

    def _blob(self, name: str, started: _Started) -> bytes:
        if name != started.job.samples:
            return self._blobs[name]
        start, stop = self._range(started)
        return pickle.dumps([dict(self._dataset[i].inputs) for i in range(start, stop)], protocol=5)

    def _range(self, started: _Started) -> tuple[int, int]:
        start, _, stop = started.job.samples.rpartition(" ")[2].partition(":")
        return int(start), int(stop)


def _chunks(dataset: Dataset, stateful: bool) -> Iterator[tuple[int, int]]:
    """Ranges of samples; with variables, recordings stay whole."""
    begins = dataset.begins
    size = max(1, sum(array.nbytes for array in dataset[0].inputs.values()))
    most = max(1, min(_CHUNK_SAMPLES, _CHUNK_BYTES // size))
    start = 0
    for i in range(1, len(dataset)):
        if i - start >= most and (begins[i] or not stateful):
            yield start, i
            start = i
    yield start, len(dataset)


def workers_of(executor: Executor) -> int:
    """How many jobs an executor runs at once, as far as it tells."""
    count = getattr(executor, "workers", None) or getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) and count > 0 else 4


def _worker_error(error: BaseException) -> WorkerError:
    if isinstance(error, WorkerError):
        return error
    if isinstance(error, BrokenExecutor):
        return WorkerError(
            "a worker process ended before its work was done: it was killed, had no memory left, or could not start "
            "(a script that uses processes needs `if __name__ == '__main__':`)"
        )
    if isinstance(error, CancelledError):
        return WorkerError("the executor cancelled its work: its scheduler or its workers are gone")
    return WorkerError(
        f"the executor failed: {failure(error)}; its workers need this edgert, {edgert.__version__}, too"
    )
