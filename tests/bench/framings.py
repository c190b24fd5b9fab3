"""How fast framings are on this machine, in MB/s of message, a frame at a time.

    python tests/bench/framings.py

Data of each kind, since COBS works by blocks between zeros: random, only zeros (a block for every byte, the slowest),
no zeros, a zero in every other byte. "parts": fed in pieces of 256 bytes, as a serial port brings them; "auto":
read by the framing that hears both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from edgert.smp.framing import framing
from edgert.smp.groups import FsCommand, Group
from edgert.smp.message import Header, Op

KINDS: dict[str, Callable[[int], bytes]] = {
    "random": lambda size: random.Random(1).randbytes(size),
    "zeros": bytes,
    "no zeros": lambda size: b"\x55" * size,
    "alternating": lambda size: b"\0\x07" * (size // 2),
}
PART = 256
RUNS, REPEATS = 20, 7


def rate(size: int, run: Callable[[], object]) -> float:
    """MB/s, the best of REPEATS."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        for _ in range(RUNS):
            run()
        best = min(best, time.perf_counter() - began)
    return size * RUNS / best / 1e6


def main() -> None:
    print(f"{'framing':8} {'bytes':>6} {'data':12} {'encode':>8} {'decode':>8} {'parts':>8} {'auto':>8}   MB/s")
    for name in ("cobs", "console"):
        for size in (4096, 8192, 16384):
            for kind, make in KINDS.items():
                message = Header(Op.WRITE, Group.FS, FsCommand.FILE).to_bytes(size) + make(size)
                line, auto = framing(name), framing("auto")
                frame = line.encode(message)
                parts = [frame[at : at + PART] for at in range(0, len(frame), PART)]
                assert line.feed(frame) == auto.feed(frame) == [message]
                runs: list[Callable[[], object]] = [
                    lambda line=line, message=message: line.encode(message),
                    lambda line=line, frame=frame: line.feed(frame),
                    lambda line=line, parts=parts: [line.feed(part) for part in parts],
                    lambda auto=auto, frame=frame: auto.feed(frame),
                ]
                rates = " ".join(f"{rate(size, run):8.1f}" for run in runs)
                print(f"{name:8} {size:6} {kind:12} {rates}")


if __name__ == "__main__":
    main()
