"""How much of a serial line's raw rate pushes use: payload over baud / 10, through a real pty pair.

    python tests/bench/push.py [--seconds 20] [--json]

The line is tests/device/line_proxy.py: it carries baud / 10 bytes a second in each direction, without faults. The
payload cannot be compressed. "send" is from the first byte of the package to the answer to its last; "all" also counts
connecting, the offer, the device's check and the activation. CPU seconds are those of this process and of the agent.
Ends with 1 when a bound of BOUNDS is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from device.line_faults import Pattern
from device.line_proxy import Line
from device.pushes import Agent, home, key, package

from edgert.device import PushOptions, push

# Of the raw rate, for the payload while it is sent.
BOUNDS = {
    ("cobs", 115_200): 0.95,
    ("cobs", 921_600): 0.90,
    ("cobs", 3_000_000): 0.85,
    ("console", 115_200): 0.70,
    ("console", 921_600): 0.65,
}


@dataclass(frozen=True)
class Measured:
    framing: str
    baud: int
    payload_bytes: int
    send: float  # payload over raw rate
    all: float
    wire: float  # payload over bytes that went over the line
    client_cpu_seconds: float
    agent_cpu_seconds: float
    retries: int

    @property
    def bound(self) -> float:
        return BOUNDS[self.framing, self.baud]


def measure(framing: str, baud: int, seconds: float, folder: Path) -> Measured:
    """One push that takes about so long."""
    signer = key()
    pushed = package(folder / "model.ert", int(baud / 10 * seconds))
    times: dict[str, float] = {}

    def progress(stage: str, done: int, total: int | None) -> None:
        now = time.perf_counter()
        times.setdefault(stage, now)
        times["last send"] = now if stage == "send" else times.get("last send", now)

    with (
        Line(folder / "line", Pattern(baud)) as line,
        Agent(line.device, home(folder / "home", signer), baud) as agent,
    ):
        # The agent is there already, as on a device: its start is not what is measured.
        push(package(folder / "first.ert", 1000), f"serial:{line.host}?baud={baud}", signer, PushOptions(golden=0))
        before, carried, cpu = agent.cpu_seconds(), line.counts()["down"], time.process_time()
        address = f"serial:{line.host}?baud={baud}&framing={framing}"
        result = push(pushed, address, signer, PushOptions(golden=0), progress)
        ended = time.perf_counter()
        cpu, agent_cpu = time.process_time() - cpu, agent.cpu_seconds() - before
        carried = line.counts()["down"] - carried
    raw = baud / 10
    return Measured(
        framing,
        baud,
        result.bytes_total,
        send=result.bytes_total / (times["last send"] - times["send"]) / raw,
        all=result.bytes_total / (ended - times["connect"]) / raw,
        wire=result.bytes_total / carried,
        client_cpu_seconds=cpu,
        agent_cpu_seconds=agent_cpu,
        retries=result.retries,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the line's time that each payload takes")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each")
    arguments = parser.parse_args()
    missed = 0
    for framing, baud in BOUNDS:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(framing, baud, arguments.seconds, Path(folder))
        missed += measured.send < measured.bound
        if arguments.json:
            print(json.dumps(asdict(measured)), flush=True)
            continue
        per_mb = 1e6 / measured.payload_bytes
        print(
            f"{framing:8}{baud:8} baud  {measured.payload_bytes:8} bytes  send {measured.send:6.1%} "
            f"(needed {measured.bound:.0%})  all {measured.all:6.1%}  bytes on the wire {measured.wire:6.1%}  "
            f"CPU s/MB: client {measured.client_cpu_seconds * per_mb:.2f}, agent "
            f"{measured.agent_cpu_seconds * per_mb:.2f}  {measured.retries} retries",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
