"""The process in which `edgert bench` runs one engine, and the parent's side of it.

The child is `python -P -m edgert.cli.bench_worker ENGINE MODEL THREADS`: it finds the edgert of its parent, and nothing
that lies in the working folder. It answers "ready" or an error when the model is open; then, for every line with a
number of seconds, the least seconds that one invoke took in that time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from edgert.errors import EdgertError, InputError


class Worker:
    """An engine in a process of its own. isa: the highest instruction set that edgert may use there. fusion: whether it
    may run operators together.

    Raises InputError with the engine's message when it cannot open the model."""

    def __init__(self, engine: str, model: Path, threads: int, isa: str | None = None, fusion: bool = True) -> None:
        settings = {} if isa is None else {"ERT_ISA_MAX": isa}
        if not fusion:
            settings["ERT_FUSION"] = "off"
        self._what = f"{engine} on {model}"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgert.cli.bench_worker", engine, str(model), str(threads)],
            env=_environment() | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self._read()
        except InputError:
            self.__exit__(None, None, None)
            raise

    def round(self, seconds: float) -> float:
        """Invokes for about `seconds`; the least seconds of one invoke."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise InputError(f"{self._what}: the engine's process ended") from error
        return float(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise InputError(f"{self._what}: the engine's process ended with code {self._process.wait()}")
        answer: dict[str, str] = json.loads(line)
        if "error" in answer:
            raise InputError(answer["error"])
        return answer["value"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    """This process's, with the folder that edgert was imported from first on the path of modules."""
    path = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def main() -> None:
    from time import perf_counter

    import numpy as np

    from edgert.engines import open_engine, random_inputs

    # Engines print to stdout as they please: the answers keep the real one to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(key: str, value: str) -> None:
        print(json.dumps({key: value}), file=answers, flush=True)

    name, model, threads = sys.argv[1:]
    try:
        engine = open_engine(Path(model), name, int(threads))
        engine.set_inputs(random_inputs(engine.inputs, np.random.default_rng(0)))
        engine.invoke()
    except EdgertError as error:
        answer("error", str(error))
        return
    answer("value", "ready")
    for line in sys.stdin:
        end, best = perf_counter() + float(line), float("inf")
        while True:
            start = perf_counter()
            engine.invoke()
            now = perf_counter()
            best = min(best, now - start)
            if now >= end:
                break
        answer("value", repr(best))


if __name__ == "__main__":
    main()
