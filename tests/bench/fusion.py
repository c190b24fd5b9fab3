"""Measures what running operators together gains: models with and without fusion, in turns, in one process.

usage: python tests/bench/fusion.py MODEL... [--threads 1 2] [--rounds 30] [--seconds 0.05]

MODEL: .ert, .tflite or .onnx. Times are those of the fastest invoke of all rounds, and the outputs are compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from edgert.engines import open_model, random_inputs
from edgert.runtime.model import Model


def best_seconds(models: list[Model], rounds: int, seconds: float) -> list[float]:
    best = [float("inf")] * len(models)
    for _ in range(rounds):
        for i, model in enumerate(models):
            end = perf_counter() + seconds
            while (start := perf_counter()) < end:
                model.session.invoke()
                best[i] = min(best[i], perf_counter() - start)
    return best


def groups(model: Model) -> int:
    session = model.session
    return len({first for first, count in map(session.group, range(session.model.op_count)) if count > 1})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.05)
    options = parser.parse_args()
    print("| model | threads | groups | alone, us | together, us | ratio |\n|---|---|---|---|---|---|")
    for path in options.models:
        for threads in options.threads:
            models = [open_model(path, threads=threads, fusion=fusion) for fusion in (False, True)]
            inputs = random_inputs(models[0].inputs, np.random.default_rng(0))
            outputs = [model.run(inputs) for model in models]
            for name, array in outputs[0].items():
                assert array.tobytes() == outputs[1][name].tobytes(), f"{path}: {name} differs"
            alone, together = (1e6 * time for time in best_seconds(models, options.rounds, options.seconds))
            print(f"| {path.stem} | {threads} | {groups(models[1])} | {alone:.1f} | {together:.1f} "
                  f"| {together / alone:.3f} |")  # fmt: skip


if __name__ == "__main__":
    main()
