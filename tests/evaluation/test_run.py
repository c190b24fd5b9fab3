"""Models on data sets: the same results in this process, in threads, and in other processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from evaluation.models import digits, summing

import edgert
from edgert.errors import InputError, WorkerError
from edgert.evaluation import Dataset, digest_of, evaluate, evidence, evidence_of_each, labelled, load_dataset, run
from edgert.executors import open_executor
from edgert.metrics import metric
from edgert.runtime.tensors import TensorInfo


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with open_executor(jobs=2) as executor:
        assert executor is not None
        yield executor


def test_outputs_are_the_models_as_real_numbers() -> None:
    exact, rounded, dataset = digits()
    model = edgert.Model(rounded)
    found = run(rounded, dataset[:5])
    for sample, outputs in zip(dataset[:5], found, strict=True):
        raw = model.run({"image": model.inputs[0].quantize(sample.inputs["image"])})
        np.testing.assert_array_equal(outputs["scores"], model.outputs[0].dequantize(raw["scores"]))
    assert run(exact, dataset[:5])[0]["scores"].dtype == np.float32
    assert digest_of(run(rounded, [sample.inputs for sample in dataset[:5]])) == digest_of(found)


@pytest.mark.parametrize("samples", [1, 7, 32])
def test_results_depend_neither_on_chunks_nor_on_threads(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, rounded, dataset = digits()
    monkeypatch.setattr("edgert.evaluation.runner._CHUNK_SAMPLES", samples)
    top1 = metric("top1")
    here = [evidence(package, dataset, top1) for package in (exact, rounded)]
    with ThreadPoolExecutor(3) as executor:
        there = list(evidence_of_each([exact, rounded], dataset, top1, executor))
    assert digest_of(there) == digest_of(here)


def test_results_of_processes_are_the_same(processes: Executor) -> None:
    exact, rounded, dataset = digits()
    assert digest_of(run(rounded, dataset, processes)) == digest_of(run(rounded, dataset))
    plain = Dataset.of([sample.inputs for sample in dataset])
    for spec in ("agreement", "sqnr", "decisions:0.5"):
        made = metric(spec)
        here, there = labelled(exact, plain, made), labelled(exact, plain, made, processes)
        assert here.digest == there.digest
        assert evaluate(rounded, here, made) == evaluate(rounded, there, made, processes)
    made = metric(_mean_margin)
    assert evaluate(rounded, dataset, made) == evaluate(rounded, dataset, made, processes)


def _mean_margin(outputs: list[dict[str, np.ndarray]], targets: list[int]) -> list[float]:
    return [float(one["scores"][0, target]) for one, target in zip(outputs, targets, strict=True)]


def test_blobs_are_sent_to_each_worker_once() -> None:
    exact, rounded, dataset = digits()
    sent: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, fn, job, blobs):  # type: ignore[no-untyped-def,override]
            sent.append(sum(map(len, blobs.values())))
            return super().submit(fn, job, blobs)

    fresh = Dataset.of([{"image": sample.inputs["image"] + np.float32(0.5)} for sample in dataset], dataset.targets)
    with Counting(1) as executor:
        list(evidence_of_each([exact], fresh, metric("top1"), executor))
        first, sent[:] = sum(sent), []
        list(evidence_of_each([exact], fresh, metric("top1"), executor))
        again, sent[:] = sum(sent), []
        list(evidence_of_each([rounded], fresh, metric("top1"), executor))
    assert first > 100 * 64 * 4
    assert again == 0
    assert sum(sent) <= 4 * len(rounded)


def test_progress_counts_samples(processes: Executor) -> None:
    exact, rounded, dataset = digits()
    for executor in (None, processes):
        seen: list[tuple[str, int, int | None]] = []

        def note(stage: str, done: int, total: int | None, seen: list[tuple[str, int, int | None]] = seen) -> None:
            seen.append((stage, done, total))

        list(evidence_of_each([exact, rounded], dataset, metric("top1"), executor, note))
        assert seen[-1][1:] == (200, 200)
        assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_packages_are_taken_as_they_are_needed() -> None:
    exact, _rounded, dataset = digits()
    taken: list[int] = []

    def packages() -> Iterator[bytes]:
        for i in range(50):
            taken.append(i)
            yield exact

    with ThreadPoolExecutor(1) as executor:
        results = evidence_of_each(packages(), dataset, metric("top1"), executor)
        next(results)
        assert len(taken) < 10
        results.close()


# --- state ---


def recordings(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (40, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=values, sequences=np.repeat([0, 1, 2, 3], [20, 1, 12, 7]))
    info = edgert.Model(summing()).inputs
    return load_dataset(tmp_path / "a.npz", info)


def test_recordings_begin_afresh_and_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: Executor
) -> None:
    dataset = recordings(tmp_path)
    expected, total = [], np.zeros(2, np.float32)
    for sample, first in zip(dataset, dataset.begins, strict=True):
        total = sample.inputs["x"][0] + (0 if first else total)
        expected.append(total)
    for size in (1, 5, 32):
        monkeypatch.setattr("edgert.evaluation.runner._CHUNK_SAMPLES", size)
        with ThreadPoolExecutor(3) as threads:
            for executor in (None, threads, processes):
                outputs = run(summing(), dataset, executor)
                np.testing.assert_array_equal([one["y"][0] for one in outputs], expected)
    # Without recordings every sample is one of its own.
    alone = run(summing(), [sample.inputs for sample in dataset])
    np.testing.assert_array_equal([one["y"] for one in alone], [sample.inputs["x"] for sample in dataset])


# --- what goes wrong ---


def test_errors_name_the_sample(processes: Executor) -> None:
    exact, _rounded, dataset = digits()
    labels = list(dataset.targets or ())
    labels[37] = 12
    wrong = dataset.with_targets(labels)
    for executor in (None, processes):
        with pytest.raises(InputError, match=r"^samples\[37\]: the target is class 12, but the model has 10 classes"):
            evaluate(exact, wrong, metric("top1"), executor)
        with pytest.raises(InputError, match=r"^samples\[0\]: .* needed .*image: float32\[1, 1, 8, 8\]"):
            run(exact, [{"a": np.zeros(3), "b": np.zeros(3)}], executor)
        with pytest.raises(InputError, match=r"^samples\[0\]: input 'image' has shape \[3\]"):
            run(exact, [{"image": np.zeros(3, np.float32)}], executor)


def test_what_cannot_be_measured_without_labels() -> None:
    exact, _rounded, dataset = digits()
    plain = Dataset.of([sample.inputs for sample in dataset], source="digits")
    for call in (labelled, evaluate):
        with pytest.raises(
            InputError, match="digits has no labels, which top1 needs; without labels there are agreement"
        ):
            call(exact, plain, metric("top1"))
    with pytest.raises(InputError, match="digits has no targets"):
        evaluate(exact, plain, metric("agreement"))
    with pytest.raises(InputError, match="holds no sample"):
        run(exact, [])


def test_a_worker_that_dies_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deadly.py").write_text("import os\ndef decode(outputs):\n    os._exit(9)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "deadly", raising=False)
    exact, _rounded, dataset = digits()
    from edgert.metrics import Boxes

    boxes = dataset.with_targets([Boxes.of([])] * 100)
    with open_executor(jobs=2) as executor, pytest.raises(WorkerError, match="a worker process ended") as error:
        evaluate(exact, boxes, metric("map:deadly:decode"), executor)
    assert "\n" not in str(error.value)


def test_a_fault_in_a_worker_arrives_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, _rounded, dataset = digits()
    with ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr("edgert.evaluation.worker.real_outputs", lambda *_: 1 / 0)
        with pytest.raises(WorkerError, match=r"^a worker failed: ZeroDivisionError: division by zero") as error:
            run(exact, dataset, executor)
    assert "\n" not in str(error.value)
    assert "Traceback" in error.value.__notes__[0]


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgert.evaluation import worker

    job = worker.Job("p", "s", None, (), (), worker.OUTPUTS, version="0.0.1")
    failed = worker.work(job, {})
    assert isinstance(failed, worker.Failed)
    assert f"a worker runs edgert {edgert.__version__}, needed 0.0.1" in failed.message


def test_executors() -> None:
    with open_executor() as executor:
        assert executor is None
    with pytest.raises(InputError, match="0 jobs"), open_executor(0):
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_the_one_that_began_them(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(
        "import signal, time\n"
        "from edgert.executors import open_executor\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell's background jobs ignore
        "if __name__ == '__main__':\n"
        "    with open_executor(jobs=2) as executor:\n"
        "        waiting = [executor.submit(time.sleep, 600) for _ in range(2)]\n"
        "        while len(executor._processes) < 2:\n"
        "            time.sleep(0.05)\n"
        "        time.sleep(1)\n"
        "        print(*executor._processes, flush=True)\n"
        "        waiting[0].result()\n"
    )
    command = [sys.executable, "-P", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as main:
        assert main.stdout is not None
        workers = [int(word) for word in main.stdout.readline().split()]
        assert len(workers) == 2
        main.send_signal(how)
        deadline = time.monotonic() + 120  # a busy machine needs a while to end processes that are just starting
        while any(map(_lives, workers)) and time.monotonic() < deadline:
            time.sleep(0.1)
        left = [worker for worker in workers if _lives(worker)]
        main.kill()
    assert left == []


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_inputs_are_paired_by_name_else_in_order() -> None:
    from edgert.dtypes import DType, QuantParams
    from edgert.evaluation.worker import fitted

    quant = QuantParams((0.5,), (3,))
    infos = [
        TensorInfo(0, "a", DType.FLOAT32, (2,), None, "activation"),
        TensorInfo(1, "b", DType.INT8, (2,), quant, "activation"),
    ]
    one, two = np.zeros(2, np.float32), np.ones(2, np.float32)
    for sample in ({"b": two, "a": one}, {"x": one, "y": two}):
        arrays = fitted(sample, infos)
        assert arrays["a"] is one
        assert arrays["b"].tolist() == [5, 5]
