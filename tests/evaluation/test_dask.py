"""A real Dask scheduler with two workers, in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from evaluation.models import digits, summing

import edgert
from edgert.errors import MissingExtraError, WorkerError
from edgert.evaluation import Dataset, digest_of, evaluate, evidence_of_each, labelled, load_dataset, run
from edgert.evaluation.runner import workers_of
from edgert.executors import open_executor
from edgert.metrics import Boxes, metric
from edgert.quant.budget.goal import Goal
from edgert.quant.budget.meter import Budget
from edgert.quickstart import sample_folder

pytestmark = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs distributed")

SLOW = "import time\ndef decode(outputs):\n    time.sleep(0.4)\n    return []\n"


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`dask ...` while the block runs."""
    log = (folder / f"{words[0]}-{time.monotonic_ns()}.log").open("wb")
    with log, subprocess.Popen([sys.executable, "-m", "dask", *words], cwd=folder, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The scheduler's address, and all processes, the scheduler's first. The workers' folder is `folder`."""
    found = folder / "scheduler.json"
    with ExitStack() as stack:
        place = ("--scheduler-file", str(found))
        local = ("--host", "127.0.0.1", "--no-dashboard")
        processes = [stack.enter_context(started(folder, "scheduler", *place, *local, "--port", "0"))]
        worker = ("worker", *place, *local, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder / "work"))
        processes += [stack.enter_context(started(folder, *worker)) for _ in range(workers)]
        deadline = time.monotonic() + 30
        while not found.exists():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        yield json.loads(found.read_text())["address"], processes


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dask")
    (folder / "slow_decoder.py").write_text(SLOW)
    with cluster(folder, 2) as (address, _processes):
        yield address


def test_results_equal_those_of_this_process_and_of_a_pool(scheduler: str, tmp_path: Path) -> None:
    exact, rounded, dataset = digits()
    values = np.random.default_rng(0).uniform(size=(30, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=values, sequences=np.arange(30) // 10)
    sums = load_dataset(tmp_path / "a.npz", edgert.Model(summing()).inputs)

    def results(jobs: int, address: str | None) -> list[str]:
        with open_executor(jobs, address) as executor:
            evidence = list(evidence_of_each([exact, rounded], dataset, metric("top1"), executor))
            value = evaluate(rounded, dataset, metric("auc"), executor)
            return [
                digest_of(found)
                for found in (evidence, value, run(exact, dataset, executor), run(summing(), sums, executor))
            ]

    here = results(1, None)
    assert results(2, None) == here
    assert results(1, scheduler) == here


def test_a_search_ends_in_the_same_bytes(scheduler: str) -> None:
    """In this process, by two processes, and by Dask's two workers."""
    exact, _rounded, dataset = digits()
    source = sample_folder() / "digits.onnx"
    samples = [sample.inputs for sample in dataset[:20]]
    plain = edgert.convert(source, calibrate=samples).data
    data = Dataset.of([sample.inputs for sample in dataset[20:]])
    sqnr = metric("sqnr")
    reached = evaluate(plain, labelled(exact, data, sqnr), sqnr).value

    def searched(jobs: int, address: str | None) -> bytes:
        with open_executor(jobs, address) as executor:
            goal = Goal(Budget(worst=reached + 2), data, metric=sqnr, executor=executor)
            return edgert.convert(source, calibrate=samples, goal=goal).data

    here = searched(1, None)
    assert here != plain  # some layers had to be raised
    assert searched(2, None) == here
    assert searched(1, scheduler) == here


def test_both_workers_work(scheduler: str) -> None:
    with open_executor(scheduler=scheduler) as executor:
        assert executor is not None
        deadline = time.monotonic() + 20
        while workers_of(executor) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        futures = [executor.submit(os.getpid) for _ in range(100)]
        places = {future.result() for future in futures}
    assert len(places) == 2
    assert os.getpid() not in places


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgert.executors._CONNECT_SECONDS", 1)
    with (
        pytest.raises(
            WorkerError, match=r"there is no Dask scheduler at tcp://127\.0\.0\.1:9: .*dask scheduler"
        ) as error,
        open_executor(scheduler="tcp://127.0.0.1:9"),
    ):
        pass
    assert "\n" not in str(error.value)
    with (
        pytest.raises(WorkerError, match="there is no Dask scheduler at nonsense"),
        open_executor(scheduler="nonsense"),
    ):
        pass


def test_a_scheduler_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgert.executors._WORKER_SECONDS", 1)
    with (
        cluster(tmp_path, 0) as (address, _),
        pytest.raises(WorkerError, match=r"has no workers; start some with `dask worker tcp://"),
        open_executor(scheduler=address),
    ):
        pass


@pytest.mark.parametrize("victim", ["scheduler", "workers", "frozen scheduler"])
def test_what_ends_in_the_middle_is_told(victim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_decoder.py").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgert.executors._ABSENT_SECONDS", 1.0)
    monkeypatch.setattr("edgert.executors._CONNECT_SECONDS", 3)
    exact, _rounded, dataset = digits()
    boxes = Dataset.of([sample.inputs for sample in dataset[:40]], [Boxes.of([])] * 40)
    monkeypatch.setattr("edgert.evaluation.runner._CHUNK_SAMPLES", 1)
    with cluster(tmp_path, 1) as (address, processes), open_executor(scheduler=address) as executor:
        seen: list[int] = []

        def kill(_stage: str, done: int, _total: int | None) -> None:
            if not seen:
                if victim == "frozen scheduler":
                    processes[0].send_signal(signal.SIGSTOP)
                for process in {"scheduler": processes[:1], "workers": processes[1:]}.get(victim, []):
                    process.kill()
            seen.append(done)

        begun = time.monotonic()
        with pytest.raises(WorkerError) as error:
            evaluate(exact, boxes, metric("map:slow_decoder:decode"), executor, kill)
        assert time.monotonic() - begun < 30
        assert "\n" not in str(error.value)
        assert "gone" in str(error.value) or "no workers" in str(error.value) or "failed" in str(error.value)


def test_without_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgert\[dask\]'"), open_executor(scheduler="tcp://x:1"):
        pass
