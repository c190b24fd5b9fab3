"""Measures how long MobileNetV2 1.0 at 224 takes to become int8, and how much memory: calibration on many samples, the
choice among ways to quantise, and the final graph. Weights and samples are random, which costs the same.

usage: python tests/bench/calibration.py [--samples 256]

Wanted: within 60 s on two cores for 256 samples, and less than 2 GiB.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator

import numpy as np
from bench_models import mobilenet_v2
from numpy.typing import NDArray

from edgert.compile import LOWER, optimise, run_passes
from edgert.importers import tflite
from edgert.ir import Graph
from edgert.pack.writer import write
from edgert.quant.quantize import Quantizer


def images(graph: Graph, count: int) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Made one by one, as from a folder; smooth, as a network's first layers find photographs."""
    rng = np.random.default_rng(0)
    (value,) = graph.inputs
    _, height, width, channels = value.shape
    for _ in range(count):
        coarse = rng.standard_normal((height // 16, width // 16, channels))
        image = coarse.repeat(16, axis=0).repeat(16, axis=1) + 0.2 * rng.standard_normal((height, width, channels))
        yield {value.name: image[None].astype(np.float32)}


def pack(graph: Graph) -> bytes:
    run_passes(graph, LOWER)
    return write(graph)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=256)
    count: int = parser.parse_args().samples
    net, outputs = mobilenet_v2()
    graph = tflite.load(net.float_model(outputs))
    optimise(graph)

    began, cpu = time.perf_counter(), time.process_time()

    def told(stage: str) -> None:
        wall, busy = time.perf_counter() - began, time.process_time() - cpu
        print(f"{stage:<12} {wall:6.1f} s  ({busy:.1f} s of processors)", flush=True)

    quantizer = Quantizer(graph, images(graph, count), pack)
    told("calibrated")
    tried = quantizer.choose()
    told(f"chose of {len(tried)}")
    data = pack(quantizer.quantized())
    told("quantised")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count} samples, {os.cpu_count()} processors, {len(data) / 2**20:.1f} MiB written; {peak:.0f} MiB at the most"
    )
    print(f"chosen: {tried[0]}")


if __name__ == "__main__":
    main()
