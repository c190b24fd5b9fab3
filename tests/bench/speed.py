"""Measures edgert against LiteRT on the models of the shared data and prints the README's table.

usage: python tests/bench/speed.py [--data ../shared/data] [--threads 1] [--rounds 12]

Every row is `edgert bench MODEL --against litert`: each engine in a process of its own, in turns, and the ratio of the
best rounds. Needs the extras build and test.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

MODELS = (
    "kws_dscnn_int8",
    "ic_resnet8_int8",
    "vww_mnv1_int8",
    "ad_ae_int8",
    "micro_speech_int8",
    "hello_world_int8",
    "mobilenet_v1_0.25_224_qat_uint8",
    "mobilenet_v2_1.0_224_qat_uint8",
    "vww_mnv1_float",
    "ic_resnet8_float",
    "ad_ae_float",
    "mobilenet_v1_0.25_224_float",
)


def processor() -> str:
    """The processor's name, as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def measure(model: Path, threads: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of one invoke in the best round: (edgert, LiteRT)."""
    command = [sys.executable, "-P", "-m", "edgert", "bench", str(model), "--against", "litert", "--json"]
    command += ["--threads", str(threads), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{model.name}: {done.stderr.strip()}")
    engines = {engine["engine"]: engine["best_ms"] for engine in json.loads(done.stdout)["engines"]}
    return engines["edgert"], engines["litert"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("edgert", "ai-edge-litert")]
    threads = f"{arguments.threads} thread{'s' if arguments.threads > 1 else ''}"
    from edgert.runtime import _native

    print(f"{processor()} ({_native.cpu_isas()[-1]}), {threads}, {', '.join(versions)}, {datetime.date.today()}\n")
    print("| model | edgert, ms | LiteRT, ms | edgert / LiteRT |\n|---|---|---|---|")
    for name in MODELS:
        ours, theirs = measure(arguments.data / "tflite" / f"{name}.tflite", arguments.threads, arguments.rounds)
        print(f"| {name} | {ours:.4f} | {theirs:.4f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
