"""Loads every ONNX file named on the command line, with little memory to spare, and prints how each one ended:
`seconds of the processor, name: error`. A process of its own, so that a file which fills the memory ends only that."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import edgert.compile
from edgert.errors import EdgertError
from edgert.importers.onnx import load

SPARE = 1 << 30  # bytes that a file which is refused may ask for


def main() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    load(Path(sys.argv[1]))  # whatever is imported late is imported now
    edgert.compile.optimise(load(Path(sys.argv[1])))
    limit = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name in sys.argv[2:]:
        started = time.process_time()
        try:
            edgert.compile.optimise(load(Path(name)))
            ended = "no error"
        except EdgertError as error:
            ended = f"{type(error).__name__}: {' '.join(str(error).split())}"
        except BaseException as error:
            ended = f"not ours: {error!r}"
        print(f"{time.process_time() - started:.2f} {Path(name).name}: {ended}", flush=True)


if __name__ == "__main__":
    main()
