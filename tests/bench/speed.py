"""Measures edgert against LiteRT and OpenVINO on the shared models and those of bench_models.py; prints tables.

usage: python tests/bench/speed.py [--threads 2] [--isa avx2 ...] [--only TEXT] [--rounds 12] [--json]

Every engine runs a model in a process of its own, in turns of short rounds; a time is the fastest invoke of all rounds,
so that what else the machine does disturbs little. "x" is how many times as fast as that engine edgert is. --isa adds
edgert capped to an instruction set; with several threads, edgert on one thread is added. OpenVINO computes float models
in bfloat16 where the processor has it. Needs the extras build and test.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_models as models

import edgert
from edgert.cli.bench_worker import Worker
from edgert.errors import EdgertError
from edgert.runtime import _native

SHARED_INT8 = (
    "tflite/kws_dscnn_int8.tflite",
    "tflite/ic_resnet8_int8.tflite",
    "tflite/vww_mnv1_int8.tflite",
    "tflite/ad_ae_int8.tflite",
    "tflite/person_detect_int8.tflite",
    "tflite/micro_speech_int8.tflite",
    "tflite/mobilenet_v1_0.25_128_qat_uint8.tflite",
    "tflite/mobilenet_v1_0.25_224_qat_uint8.tflite",
    "tflite/mobilenet_v2_1.0_224_qat_uint8.tflite",
)
SHARED_FLOAT = (
    "tflite/vww_mnv1_float.tflite",
    "tflite/ic_resnet8_float.tflite",
    "tflite/ad_ae_float.tflite",
    "tflite/mobilenet_v1_0.25_224_float.tflite",
    "tflite/mp_face_detection_short_fp16w.tflite",
    "ultraface_rfb320/rfb320_raw.tflite",
    "onnx/cntk_mnist.onnx",
    "onnx/fastestdet.onnx",
)
PEERS = {".tflite": ("litert", "openvino"), ".onnx": ("onnxruntime", "openvino")}
REASON = 100  # characters of why an engine refuses a model
PACKAGES = {"litert": "ai-edge-litert", "openvino": "openvino", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class Contender:
    """An engine as it is measured. label: in the table."""

    label: str
    engine: str
    threads: int
    isa: str | None = None


def contenders(path: Path, threads: int, isas: Iterable[str]) -> list[Contender]:
    """edgert first."""
    own = [Contender("edgert", "edgert", threads)]
    if threads > 1:
        own.append(Contender("1 thread", "edgert", 1))
    own += [Contender(isa, "edgert", threads, isa) for isa in isas]
    return own + [Contender(engine, engine, threads) for engine in PEERS[path.suffix]]


def measure(path: Path, rivals: Iterable[Contender], rounds: int, seconds: float) -> dict[str, float | str]:
    """Milliseconds of the fastest invoke by label, or why an engine refuses the model."""
    best: dict[str, float | str] = {}
    with ExitStack() as stack:
        workers = {}
        for rival in rivals:
            try:
                workers[rival.label] = stack.enter_context(Worker(rival.engine, path, rival.threads, rival.isa))
            except EdgertError as error:
                best[rival.label] = str(error).replace(f"{rival.engine} cannot open {path}: ", "")[:REASON]
        for worker in workers.values():
            worker.round(min(seconds, 0.2))  # warm-up
        times = {label: min(found) for label, found in _rounds(workers, rounds, seconds).items()}
    return best | {label: 1e3 * time for label, time in times.items()}


def _rounds(workers: Mapping[str, Worker], rounds: int, seconds: float) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {label: [] for label in workers}
    for _ in range(rounds):
        for label, worker in workers.items():
            times[label].append(worker.round(seconds))
    return times


def geometric_mean(values: Iterable[float]) -> float:
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def processor() -> str:
    """The processor's name, as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def host() -> dict[str, Any]:
    versions = {"edgert": edgert.__version__}
    for package in PACKAGES.values():
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    cap = os.environ.get("ERT_ISA_MAX", "")
    isas = _native.cpu_isas()
    isa = cap if cap in isas else isas[-1]
    return {"processor": processor(), "isa": isa, "date": str(datetime.date.today()), "versions": versions}


def print_table(title: str, rows: Mapping[str, Mapping[str, float | str]]) -> None:
    """Times of all, and ratios to edgert's own; a peer that refuses a model is "-" and told below the table."""
    labels = list(dict.fromkeys(label for row in rows.values() for label in row if label != "edgert"))
    labels.sort(key=lambda label: label in PACKAGES)
    heads = [f"{label}, ms | x" for label in labels]
    print(f"\n| {title} | edgert, ms | {' | '.join(heads)} |\n|---|---{'|---|---' * len(labels)}|")
    ratios: dict[str, list[float]] = {label: [] for label in labels}
    notes = []
    for name, row in rows.items():
        own = row["edgert"]
        cells = []
        for label in labels:
            time = row.get(label)
            if isinstance(time, float) and isinstance(own, float):
                ratios[label].append(time / own)
                cells.append(f"{time:.4f} | {time / own:.2f}")
            else:
                cells.append("- | -")
                notes += [f"{label} refuses {name}: {time}"] if isinstance(time, str) else []
        own_text = f"{own:.4f}" if isinstance(own, float) else "-"
        notes += [f"edgert refuses {name}: {own}"] if isinstance(own, str) else []
        print(f"| {name} | {own_text} | {' | '.join(cells)} |")
    means = [f" | {geometric_mean(ratios[label]):.2f}" for label in labels]
    print(f"| geometric mean | | {' | '.join(means)} |", flush=True)
    print("\n".join(["", *notes]) if notes else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=shared, help="the shared data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", action="append", default=[], help="also edgert with this instruction set at most")
    parser.add_argument("--only", action="append", default=[], help="only models with this in the name")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.15, help="length of a round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    facts: dict[str, Any] = {**host(), "threads": arguments.threads}
    if not arguments.json:
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        threads = f"{arguments.threads} thread{'s' if arguments.threads > 1 else ''}"
        print(f"{facts['processor']} ({facts['isa']}), {threads}; {versions}; {facts['date']}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for kind, files in (("int8", SHARED_INT8), ("float", SHARED_FLOAT)):
            rows: dict[str, dict[str, float | str]] = {}
            made = [Path(folder) / f"{name}.tflite" for name in models.NAMES if name.endswith(kind)]
            for path in [*(arguments.data / name for name in files), *made]:
                if not any(text in path.stem for text in arguments.only or [""]):
                    continue
                if path in made:
                    path.write_bytes(models.make(path.stem))
                elif not path.is_file():
                    rows[path.stem] = {"edgert": f"there is no {path}"}
                    continue
                rivals = contenders(path, arguments.threads, arguments.isa)
                rows[path.stem] = measure(path, rivals, arguments.rounds, arguments.seconds)
            facts[kind] = rows
            if rows and not arguments.json:
                print_table(f"{kind} models", rows)
    if arguments.json:
        print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
